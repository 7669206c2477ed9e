"""One service in the control room: how it is configured, its run, and its last intervals."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from tailrace.control.config import ServiceConfig, shown
from tailrace.control.interface import (
    SearchProgress,
    ServiceInfo,
    State,
    StateError,
    Update,
)
from tailrace.control.limits import Limits
from tailrace.control.probe import Probe, metrics_url_of
from tailrace.control.window import Window, summarize
from tailrace.load.client.target import Tls, parse_target, without_credentials
from tailrace.load.client.traffic import weighted_url
from tailrace.load.judge.dependence import SloDecision
from tailrace.load.judge.ending import STOP
from tailrace.load.judge.slo import parse_slo
from tailrace.load.judge.verdict import MlperfAnswer, Verdict
from tailrace.load.measure.point import WINDOW, Interval, Point
from tailrace.load.schedule.profile import Profile, constant
from tailrace.load.search.answer import FindLimits
from tailrace.load.session.finder import Finder
from tailrace.load.session.found import DEFAULT_SLO
from tailrace.load.session.plan import Plan, choose_timeout_s
from tailrace.load.session.result import Result
from tailrace.runs.directory import RUNS_DIR, RunDirectoryError, new_directory, write_search
from tailrace.runs.run import Run
from tailrace.view.search_curve import draw_search

_PROBE_S = 1.0
"""A service is asked for its metrics no more often than this, however short the intervals."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What all services of a control room share."""

    window: int = WINDOW
    """Intervals that are taken together."""
    interval_s: float = 1.0
    runs_dir: Path = RUNS_DIR
    limits: Limits = field(default_factory=Limits)


class Service:
    """One service; every method belongs to the controller's event loop."""

    def __init__(
        self,
        config: ServiceConfig,
        plan: Plan,
        settings: Settings,
        publish: Callable[[Update], None],
    ) -> None:
        self.given: ServiceConfig
        """Its configuration as it was given, credentials and all."""
        self.window: deque[Interval] = deque(maxlen=settings.window)
        self.result: Result | None = None
        self.searched: SearchProgress | None = None
        """The search in progress, or the last one until the next start."""
        self._settings = settings
        self._publish_update = publish
        self._state: State = "idle"
        self._run: Run | None = None
        self._finder: Finder | None = None
        """Of the search in progress."""
        self._unwritten: list[str] = []
        """Why files of the last search could not be written."""
        self._probe: Probe | None = None
        self._beginning: asyncio.Task[Run] | None = None
        self._follower: asyncio.Task[None] | None = None
        self._take(config, plan)

    @property
    def config(self) -> ServiceConfig:
        """Its configuration, without credentials; the profile is the one given last."""
        return shown(msgspec.structs.replace(self.given, profile=self._profile_text))

    @property
    def info(self) -> ServiceInfo:
        """What every face lists."""
        config, run = self.given, self._run
        searching = self._finder.session if self._finder is not None else None
        session = searching or (run.session if run is not None else None)
        if self.searched is not None:
            problems = [*(searching.problems if searching is not None else ()), *self._unwritten]
        else:
            problems = run.problems if run is not None else []
        return ServiceInfo(
            id=config.id,
            name=config.name or config.id,
            url=without_credentials(config.url),
            method=self._plan.config.method or "",
            arrivals=config.arrivals,
            profile=self._profile_text,
            state=self._state,
            rate_per_s=(
                session.rate_per_s
                if session is not None and self._state in ("running", "stopping")
                else self._profile.rate(0)
            ),
            slo=config.slo,
            run=run.path if run is not None else None,
            problems=tuple(problems),
            verdict=self._verdict,
            missing=tuple(
                each.reason for each in self._decisions.values() if each.outcome == "undecided"
            ),
            decisions=self._decisions,
            mlperf=self._mlperf,
        )

    def summary(self) -> Window:
        """Its last intervals taken together."""
        return summarize(self.window, self._plan.slos)

    def require_idle(self, what: str) -> None:
        """Raise StateError, which says that it cannot be `what`, unless it is idle."""
        if self._state != "idle":
            raise StateError(
                f"service {self.given.id!r} is {self._state}: stop it before it is {what}"
            )

    def change(self, config: ServiceConfig, plan: Plan) -> None:
        """Take another configuration, for the next start."""
        self._take(config, plan)
        self._publish(None)

    def remove(self) -> None:
        """Tell the watchers that it is gone."""
        self._enter("removed")

    async def start(self, rate_per_s: float | None) -> None:
        """See LoadControl."""
        if self._state != "idle":
            raise StateError(f"service {self.given.id!r} is {self._state} already")
        if rate_per_s is not None:
            self._accept(constant(rate_per_s), f"{rate_per_s:g}")
        self._beginning = asyncio.create_task(self._begin())
        self._enter("starting")
        try:
            run = await self._beginning
        except asyncio.CancelledError:
            await self._unbegin(self._beginning)
            self._enter("idle")
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise StateError(f"service {self.given.id!r} was stopped before it began") from None
        except Exception:
            self._enter("idle")
            raise
        self._clear()
        self._run = run
        self._follower = asyncio.create_task(self._follow(run))
        # Given while the workers started.
        if self._profile is not run.session.plan.profile:
            run.session.follow(self._profile)
        self._enter("running")

    async def search(
        self, slo: tuple[str, ...], duration_s: float, highest_per_s: float
    ) -> asyncio.Task[None]:
        """Begin a search, as `find` of LoadControl; the task ends with it, raises what it raises,
        and never leaves load behind.
        """
        self.require_idle("searched")
        settings = self._settings
        cap = settings.limits.max_rate_per_s
        highest = min(highest_per_s, cap if cap is not None else highest_per_s)
        limits = FindLimits(highest_per_s=highest, start_per_s=min(10.0, highest), for_s=duration_s)
        slos = tuple(map(parse_slo, slo or self.given.slo or (DEFAULT_SLO,)))
        config = msgspec.structs.replace(
            self._plan.config, timeout_s=choose_timeout_s(self.given.timeout_s, slos)
        )
        plan = replace(self._plan, config=config, slos=slos, abort_on=(), cap_per_s=cap)
        finder = Finder(plan, limits, self.window.append)
        self._finder = finder
        self._enter("starting")
        try:
            await settings.limits.check(self.given, files=False)
            plan.check_start()
            path = new_directory(settings.runs_dir, f"{self.given.id}-find")
        except BaseException:
            self._finder = None
            self._enter("idle")
            raise
        self._clear()
        searching = asyncio.create_task(self._follow_search(finder, path))
        self._follower = searching
        return searching

    async def stop(self) -> None:
        """See LoadControl."""
        if self._finder is not None and self._state in ("starting", "running"):
            self._finder.cancel()
            self._enter("stopping")
        if self._beginning is not None and self._state == "starting":
            self._beginning.cancel()
            # It may be done already, and its start about to say so.
            await asyncio.wait({self._beginning})
            await asyncio.sleep(0)
        if self._run is not None and self._state == "running":
            self._run.session.stop()
            self._enter("stopping")
        await self.finished()

    async def finished(self) -> None:
        """Return once no run is in progress."""
        if self._follower is not None:
            await asyncio.wait({self._follower})

    def abandon(self, by: str = STOP) -> None:
        """End the run at once, as `by` asks, with what was measured so far."""
        if self._finder is not None:
            self._finder.cancel(by)
        elif self._run is not None and self._state in ("running", "stopping"):
            self._run.session.abandon(by)
        elif self._beginning is not None and self._state == "starting":
            self._beginning.cancel()

    def follow(self, profile: Profile, text: str) -> None:
        """Follow `profile` from now on, which `text` says."""
        if self._finder is not None:
            raise StateError(
                f"a search has service {self.given.id!r}, and sets its rate: stop it before"
            )
        self._accept(profile, text)
        if self._run is not None and self._state == "running":
            self._run.session.follow(profile)
        self._publish(None)

    def _take(self, config: ServiceConfig, plan: Plan) -> None:
        self.given, self._plan = config, plan
        self._forget()
        self._accept(plan.profile, config.profile)

    def _accept(self, profile: Profile, text: str) -> None:
        self._settings.limits.check_profile(profile)
        self._profile, self._profile_text = profile, text

    async def _begin(self) -> Run:
        config, profile, settings = self.given, self._profile, self._settings
        plan = self._plan
        await settings.limits.check(config, files=False)
        asked = msgspec.structs.replace(
            plan.config, interval_s=config.interval_s or settings.interval_s
        )
        plan = replace(plan, config=asked, cap_per_s=settings.limits.max_rate_per_s).at(profile)
        plan.check_start()
        probe = self._make_probe()
        path = new_directory(settings.runs_dir, config.id)
        run = Run(plan, path, probe.latest if probe is not None else None)
        await run.start()
        self._probe = probe
        return run

    async def _unbegin(self, beginning: asyncio.Task[Run]) -> None:
        """End what may have begun as its start was called off."""
        if beginning.done() and not beginning.cancelled() and beginning.exception() is None:
            await beginning.result().session.give_up()

    def _make_probe(self) -> Probe | None:
        config = self.given
        tls = Tls(config.verify, config.ca_file, config.cert_file, config.key_file)
        interval_s = max(self._settings.interval_s, _PROBE_S)
        if config.metrics_url is not None:
            return Probe(config.metrics_url, interval_s, tls=tls) if config.metrics_url else None
        if config.unix_socket is not None or config.connect_to is not None:
            # Who answers at the URL's host is somebody else.
            return None
        # The very server that the load goes to may know whom it has before it.
        _, url = weighted_url(config.urls[0])
        given = {name.lower(): value for name, value in config.headers.items()}
        authorization = given.get("authorization") or parse_target(url).authorization
        return Probe(metrics_url_of(url), interval_s, tls=tls, authorization=authorization)

    async def _follow(self, run: Run) -> None:
        try:
            if self._probe is not None:
                await self._probe.start()
            async with aclosing(run.intervals()) as intervals:
                async for interval in intervals:
                    self.window.append(interval)
                    self._judge(run)
                    self._publish(interval.point)
            self._judge(run)
            self.result = run.result
        except Exception as error:  # noqa: BLE001
            # Whatever it is: a load that nobody follows would be beyond every face.
            await run.give_up(error)
        finally:
            if self._probe is not None:
                await self._probe.close()
            self._enter("idle")

    async def _follow_search(self, finder: Finder, path: Path) -> None:
        told = -1
        try:
            async with aclosing(finder.progress()) as progress:
                async for self.searched in progress:
                    if self._state == "starting":
                        self._state = "running"
                    if told != len(finder.found.steps):
                        told = len(finder.found.steps)
                        await asyncio.to_thread(self._keep, finder, path)
                    self._publish(self.window[-1].point if self.window else None)
        finally:
            self._keep(finder, path)
            self.searched = finder.outcome
            self._finder = None
            self._enter("idle")

    def _keep(self, finder: Finder, path: Path) -> None:
        """Write down what a search has found so far."""
        try:
            write_search(path, finder.found, draw_search(finder.found))
        except RunDirectoryError as error:
            self._unwritten = [str(error)]

    def _clear(self) -> None:
        """Nothing of an earlier run or search is to be seen any more."""
        self.window.clear()
        self._forget()
        self.searched = None
        self._unwritten = []

    def _forget(self) -> None:
        self._verdict: Verdict | None = None
        self._decisions: dict[str, SloDecision] = {}
        self._mlperf: MlperfAnswer | None = None

    def _judge(self, run: Run) -> None:
        session = run.session
        self._verdict, self._mlperf = session.verdict, session.mlperf
        self._decisions = session.decisions

    def _enter(self, state: State) -> None:
        self._state = state
        self._publish(None)

    def _publish(self, point: Point | None) -> None:
        self._publish_update(Update(service=self.info, point=point, search=self.searched))
