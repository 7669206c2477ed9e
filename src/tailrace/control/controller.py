"""The controller: LoadControl over load sessions in this process, one run a service at a time."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from tailrace.control.broadcast import Broadcast
from tailrace.control.config import ServiceConfig, with_credentials
from tailrace.control.interface import (
    NotAllowedError,
    RunInfo,
    RunRecord,
    SearchInfo,
    SearchProgress,
    ServiceInfo,
    StateError,
    UnknownServiceError,
    Update,
)
from tailrace.control.limits import Limits
from tailrace.control.service import Service, Settings
from tailrace.control.window import Window
from tailrace.errors import UsageError
from tailrace.load.judge.ending import STOP
from tailrace.load.measure.point import WINDOW, Point
from tailrace.load.schedule.profile import constant, parse_profile
from tailrace.load.session.plan import Plan, read_plan
from tailrace.load.session.result import Result
from tailrace.runs.directory import RUNS_DIR, delete, write_label
from tailrace.runs.listing import find_either, is_running, list_runs, list_searches, read_run


class Controller:
    """Implements LoadControl; every face shares one.

    Args:
        services: what can be put under load to begin with; ids must differ. They may name any
            file: whoever starts the controller may read it.
        window: how many intervals `window` takes together.
        interval_s: length of an interval.
        runs_dir: where run directories are made and listed.
        limits: what a service may do.

    Raises:
        UsageError: a service's configuration cannot be used.
        NotAllowedError: a service's profile goes above the cap.
    """

    def __init__(
        self,
        services: Sequence[ServiceConfig] = (),
        *,
        window: int = WINDOW,
        interval_s: float = 1.0,
        runs_dir: Path = RUNS_DIR,
        limits: Limits | None = None,
    ) -> None:
        self._settings = Settings(window, interval_s, runs_dir, limits or Limits())
        self._broadcast = Broadcast()
        self._services: dict[str, Service] = {}
        self._closed = False
        for config in services:
            if config.id in self._services:
                raise UsageError(f"two services have the id {config.id!r}")
            try:
                self._put(config, read_plan(config))
            except UsageError as error:
                raise UsageError(f"service {config.id!r}: {error}") from None
            except NotAllowedError as error:
                raise NotAllowedError(f"service {config.id!r}: {error}") from None

    async def list(self) -> list[ServiceInfo]:
        return [service.info for service in self._services.values()]

    async def get(self, service_id: str) -> ServiceInfo:
        return self._find(service_id).info

    async def config(self, service_id: str) -> ServiceConfig:
        return self._find(service_id).config

    async def add(self, config: ServiceConfig) -> ServiceInfo:
        self._require_free(config.id)
        plan = await self._admit(config)
        self._require_free(config.id)
        return self._put(config, plan).info

    async def change(self, config: ServiceConfig) -> ServiceInfo:
        known = self._find(config.id)
        known.require_idle("changed")
        config = with_credentials(config, known.given)
        plan = await self._admit(config)
        service = self._find(config.id)
        service.require_idle("changed")
        service.change(config, plan)
        return service.info

    async def remove(self, service_id: str) -> None:
        service = self._find(service_id)
        service.require_idle("removed")
        del self._services[service_id]
        service.remove()

    async def start(self, service_id: str, rate_per_s: float | None = None) -> ServiceInfo:
        service = self._find(service_id)
        self._require_open()
        await service.start(rate_per_s)
        return service.info

    async def stop(self, service_id: str) -> ServiceInfo:
        service = self._find(service_id)
        await service.stop()
        return service.info

    async def set_rate(self, service_id: str, rate_per_s: float) -> ServiceInfo:
        service = self._find(service_id)
        service.follow(constant(rate_per_s), f"{rate_per_s:g}")
        return service.info

    async def set_profile(self, service_id: str, profile: str) -> ServiceInfo:
        service = self._find(service_id)
        given = parse_profile(profile, self._settings.limits.files)
        service.follow(given, profile)
        return service.info

    async def find(
        self,
        service_id: str,
        slo: tuple[str, ...] = (),
        duration_s: float = 60.0,
        highest_per_s: float = 1e6,
    ) -> AsyncGenerator[SearchProgress, None]:
        service = self._find(service_id)
        self._require_open()
        searching = await service.search(slo, duration_s, highest_per_s)
        try:
            async with contextlib.aclosing(self.watch(service_id)) as updates:
                async for update in updates:
                    if update.search is not None:
                        yield update.search
                        if update.search.is_over:
                            break
            await searching
        finally:
            if not searching.done():
                service.abandon()

    async def latest(self, service_id: str) -> Point | None:
        window = self._find(service_id).window
        return window[-1].point if window else None

    async def window(self, service_id: str) -> Window:
        return self._find(service_id).summary()

    def watch(self, service_id: str | None = None) -> AsyncGenerator[Update, None]:
        watched = [self._find(service_id)] if service_id is not None else None

        def now() -> Sequence[Update]:
            services = watched if watched is not None else self._services.values()
            return [
                Update(service=service.info, point=None, search=service.searched)
                for service in services
            ]

        return self._broadcast.watch(service_id, now)

    async def runs(self) -> tuple[RunInfo, ...]:
        return await asyncio.to_thread(list_runs, self._settings.runs_dir)

    async def run(self, name: str) -> RunRecord:
        return await asyncio.to_thread(read_run, self._settings.runs_dir, name)

    async def searches(self) -> tuple[SearchInfo, ...]:
        return await asyncio.to_thread(list_searches, self._settings.runs_dir)

    async def label_run(
        self, name: str, *, title: str | None = None, note: str | None = None
    ) -> None:
        def write() -> None:
            write_label(find_either(self._settings.runs_dir, name), title, note)

        await asyncio.to_thread(write)

    async def delete_run(self, name: str) -> None:

        def remove() -> None:
            path = find_either(self._settings.runs_dir, name)
            if is_running(path):
                raise StateError(f"run {name!r} is in progress: stop it before it is deleted")
            delete(path)

        await asyncio.to_thread(remove)

    def result(self, service_id: str) -> Result | None:
        """The result document of the service's last run that is over."""
        return self._find(service_id).result

    async def finished(self, service_id: str) -> None:
        """Return once no run of the service is in progress."""
        await self._find(service_id).finished()

    def abandon(self, by: str = STOP) -> None:
        """End every run at once, as `by` asks, with what was measured so far."""
        for service in self._services.values():
            service.abandon(by)

    async def close(self) -> None:
        """Stop every run and wait for its results; none begins from now on."""
        self._closed = True
        await asyncio.gather(*(service.stop() for service in self._services.values()))

    async def _admit(self, config: ServiceConfig) -> Plan:
        limits = self._settings.limits
        await limits.check(config)
        plan = await asyncio.to_thread(
            read_plan, config, files=limits.files, check_file=limits.check_file
        )
        limits.check_profile(plan.profile)
        return plan

    def _put(self, config: ServiceConfig, plan: Plan) -> Service:
        service = Service(config, plan, self._settings, self._broadcast.publish)
        self._services[config.id] = service
        self._broadcast.publish(Update(service=service.info, point=None))
        return service

    def _require_open(self) -> None:
        if self._closed:
            raise StateError("this control room is closing: no run begins any more")

    def _require_free(self, service_id: str) -> None:
        if service_id in self._services:
            raise StateError(f"there is a service {service_id!r} already: change or remove it")

    def _find(self, service_id: str) -> Service:
        try:
            return self._services[service_id]
        except KeyError:
            known = ", ".join(self._services) or "none"
            raise UnknownServiceError(f"no service {service_id!r}; there are: {known}") from None
