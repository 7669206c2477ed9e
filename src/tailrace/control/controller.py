"""The controller: LoadControl over load sessions in this process, one run a service at a time."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec

from tailrace.control.interface import ServiceInfo, State, StateError, UnknownServiceError, Update
from tailrace.control.window import Window, summarize
from tailrace.errors import TailraceError, UsageError
from tailrace.load.arrivals import parse_arrivals
from tailrace.load.plan import Plan
from tailrace.load.point import Point
from tailrace.load.profile import Profile, constant, parse_profile
from tailrace.load.request import read_bodies
from tailrace.load.result import Result
from tailrace.load.slo import parse_slo
from tailrace.load.tally import Interval
from tailrace.load.traffic import Tls, plan_traffic
from tailrace.load.verdict import MIN_DURATION_S
from tailrace.runs.directory import RunDirectory
from tailrace.runs.run import Run

_WATCH_BACKLOG = 256
"""Updates kept for a watcher that does not keep up; older ones are dropped."""


class ServiceConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One service that can be put under load, and how.

    `body` is a file or a directory of files to send in turn; with one, `method` None means POST.
    `duration_s` None is a run that goes on until it is stopped.
    """

    id: str
    url: str
    name: str | None = None
    method: str | None = None
    headers: dict[str, str] = {}
    body: Path | None = None
    arrivals: str = "poisson"
    profile: str = "50"
    duration_s: float | None = None
    slo: tuple[str, ...] = ()
    seed: int = 1
    workers: int = 1
    connections: int = 1024
    timeout_s: float = 10.0
    min_duration_s: float = MIN_DURATION_S
    verify: bool = True
    ca_file: Path | None = None


class Controller:
    """Implements LoadControl; every face shares one.

    Args:
        services: what can be put under load; ids must differ.
        window: how many intervals `window` takes together.
        interval_s: length of an interval.
        runs_dir: where run directories are made.

    Raises:
        UsageError: a service's configuration cannot be used.
    """

    def __init__(
        self,
        services: Sequence[ServiceConfig],
        *,
        window: int = 60,
        interval_s: float = 1.0,
        runs_dir: Path = Path("runs"),
    ) -> None:
        self._services: dict[str, _Service] = {}
        for config in services:
            if config.id in self._services:
                raise UsageError(f"two services have the id {config.id!r}")
            self._services[config.id] = _Service(config, window, interval_s, runs_dir)

    async def list(self) -> list[ServiceInfo]:
        """See LoadControl."""
        return [service.info for service in self._services.values()]

    async def get(self, service_id: str) -> ServiceInfo:
        """See LoadControl."""
        return self._find(service_id).info

    async def start(self, service_id: str, rate_per_s: float | None = None) -> ServiceInfo:
        """See LoadControl."""
        service = self._find(service_id)
        await service.start(rate_per_s)
        return service.info

    async def stop(self, service_id: str) -> ServiceInfo:
        """See LoadControl."""
        service = self._find(service_id)
        await service.stop()
        return service.info

    async def set_rate(self, service_id: str, rate_per_s: float) -> ServiceInfo:
        """See LoadControl."""
        service = self._find(service_id)
        service.set_rate(rate_per_s)
        return service.info

    async def latest(self, service_id: str) -> Point | None:
        """See LoadControl."""
        history = self._find(service_id).history
        return history[-1].point if history else None

    async def window(self, service_id: str) -> Window:
        """See LoadControl."""
        return summarize(self._find(service_id).history)

    def watch(self, service_id: str) -> AsyncIterator[Update]:
        """See LoadControl."""
        return self._find(service_id).watch()

    def result(self, service_id: str) -> Result | None:
        """The result document of the service's last run that is over."""
        return self._find(service_id).result

    async def finished(self, service_id: str) -> None:
        """Return once no run of the service is in progress."""
        await self._find(service_id).finished()

    def abandon(self) -> None:
        """End every run at once, with what was measured so far."""
        for service in self._services.values():
            service.abandon()

    async def close(self) -> None:
        """Stop every run and wait for its results."""
        await asyncio.gather(*(service.stop() for service in self._services.values()))

    def _find(self, service_id: str) -> "_Service":
        try:
            return self._services[service_id]
        except KeyError:
            known = ", ".join(self._services) or "none"
            raise UnknownServiceError(f"no service {service_id!r}; there are: {known}") from None


class _Service:
    """One service: its configuration, its run, and what the last intervals were."""

    def __init__(
        self, config: ServiceConfig, window: int, interval_s: float, runs_dir: Path
    ) -> None:
        parse_arrivals(config.arrivals)
        bodies = read_bodies(config.body) if config.body is not None else []
        self._config = config
        self._method = (config.method or ("POST" if bodies else "GET")).upper()
        self._traffic = plan_traffic(
            [config.url],
            method=self._method,
            headers=config.headers,
            bodies=bodies,
            seed=config.seed,
            tls=Tls(config.verify, config.ca_file),
        )
        self._slos = tuple(parse_slo(text) for text in config.slo)
        self._profile_text = config.profile
        self._profile: Profile = parse_profile(config.profile)
        self._interval_s = interval_s
        self._runs_dir = runs_dir
        self._state: State = "idle"
        self._run: Run | None = None
        self._follower: asyncio.Task[None] | None = None
        self._watchers: set[asyncio.Queue[Update]] = set()
        self.history: deque[Interval] = deque(maxlen=window)
        self.result: Result | None = None

    @property
    def info(self) -> ServiceInfo:
        running = self._run is not None and self._state in ("running", "stopping")
        return ServiceInfo(
            id=self._config.id,
            name=self._config.name or self._config.id,
            url=self._config.url,
            method=self._method,
            arrivals=self._config.arrivals,
            profile=self._profile_text,
            state=self._state,
            rate_per_s=(
                self._run.session.rate_per_s
                if running and self._run is not None
                else self._profile.rate(0)
            ),
            slo=self._config.slo,
            run=str(self._run.directory.path) if self._run is not None else None,
            problems=tuple(self._run.problems) if self._run is not None else (),
            verdict=self._run.session.verdict if self._run is not None else None,
        )

    async def start(self, rate_per_s: float | None) -> None:
        if self._state != "idle":
            raise StateError(f"service {self._config.id!r} is {self._state} already")
        if rate_per_s is not None:
            self._set_profile(rate_per_s)
        plan = Plan(
            url=self._config.url,
            traffic=self._traffic,
            arrivals=self._config.arrivals,
            profile=self._profile,
            duration_s=self._config.duration_s,
            seed=self._config.seed,
            workers=self._config.workers,
            connections=self._config.connections,
            timeout_s=self._config.timeout_s,
            interval_s=self._interval_s,
            slos=self._slos,
            min_duration_s=self._config.min_duration_s,
        )
        directory = RunDirectory.create(self._runs_dir, self._config.id, plan)
        run = Run(plan, directory)
        self._enter("starting")
        try:
            await run.start()
        except (TailraceError, asyncio.CancelledError):
            self._enter("idle")
            raise
        # A rate asked for while the workers started.
        if self._profile is not plan.profile:
            run.session.set_rate(self._profile.rate(0))
        self.history.clear()
        self._run = run
        self._follower = asyncio.create_task(self._follow(run))
        self._enter("running")

    async def stop(self) -> None:
        if self._run is not None and self._state == "running":
            self._run.session.stop()
            self._enter("stopping")
        await self.finished()

    async def finished(self) -> None:
        if self._follower is not None:
            await asyncio.shield(self._follower)

    def abandon(self) -> None:
        if self._run is not None and self._state in ("running", "stopping"):
            self._run.session.abandon()

    def set_rate(self, rate_per_s: float) -> None:
        self._set_profile(rate_per_s)
        if self._run is not None and self._state == "running":
            self._run.session.set_rate(rate_per_s)
        self._publish(None)

    async def watch(self) -> AsyncIterator[Update]:
        queue: asyncio.Queue[Update] = asyncio.Queue()
        queue.put_nowait(Update(service=self.info, point=None))
        self._watchers.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._watchers.discard(queue)

    def _set_profile(self, rate_per_s: float) -> None:
        self._profile = constant(rate_per_s)
        self._profile_text = f"{rate_per_s:g}"

    async def _follow(self, run: Run) -> None:
        try:
            async for interval in run.intervals():
                self.history.append(interval)
                self._publish(interval.point)
            self.result = run.result
        finally:
            self._enter("idle")

    def _enter(self, state: State) -> None:
        self._state = state
        self._publish(None)

    def _publish(self, point: Point | None) -> None:
        update = Update(service=self.info, point=point)
        for queue in self._watchers:
            if queue.qsize() >= _WATCH_BACKLOG:
                queue.get_nowait()
            queue.put_nowait(update)
