"""LoadControl: what a person or a program can ask of the control room.

The controller implements it in this process; REST, gRPC, the original's URLs and the page translate
to it and add nothing of their own, and `tailrace.connect` gives a remote object with the very same
methods. All of them are coroutines, but for `watch` and `find`, which give asynchronous iterators.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from typing import Any, Literal, Protocol

import msgspec

from tailrace.control.config import ServiceConfig
from tailrace.control.methods import method, methods_of, waits
from tailrace.control.window import Window
from tailrace.errors import TailraceError
from tailrace.load.judge.dependence import SloDecision
from tailrace.load.judge.verdict import MlperfAnswer, Verdict
from tailrace.load.measure.point import Point
from tailrace.load.session.finder import ServiceGoneError
from tailrace.load.session.found import Found, SearchProgress
from tailrace.runs.listing import RunInfo, RunRecord, SearchInfo, UnknownRunError

__all__ = [
    "METHODS",
    "Found",
    "LoadControl",
    "NotAllowedError",
    "Point",
    "RunInfo",
    "RunRecord",
    "SearchInfo",
    "SearchProgress",
    "ServiceConfig",
    "ServiceGoneError",
    "ServiceInfo",
    "State",
    "StateError",
    "UnknownRunError",
    "UnknownServiceError",
    "Update",
    "WaitingControl",
    "Window",
]

State = Literal["idle", "starting", "running", "stopping", "removed"]


class UnknownServiceError(TailraceError):
    """No service has this id."""

    http_status = 404
    rpc_status = "NOT_FOUND"


class StateError(TailraceError):
    """The service is not in a state in which this can be done."""

    http_status = 409
    rpc_status = "FAILED_PRECONDITION"


class NotAllowedError(TailraceError):
    """The control room's configuration forbids it: a target, a rate, a file."""

    http_status = 403
    rpc_status = "PERMISSION_DENIED"


class ServiceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP endpoint under load, as every face lists it."""

    id: str
    name: str
    url: str
    method: str
    arrivals: str
    profile: str
    """The profile that the run, or while idle the next one, was given last; a rate is one too."""
    state: State
    rate_per_s: float
    """The rate asked for now; while idle, the rate at which the next start begins."""
    slo: tuple[str, ...]
    run: str | None
    """Directory of the run in progress, or of the last one."""
    problems: tuple[str, ...] = ()
    """What went wrong with that run so far: a worker that died, a disk that is full."""
    verdict: Verdict | None = None
    """On that run's measurement, as of its last interval: VALID, or why not."""
    missing: tuple[str, ...] = ()
    """Of each SLO that is not decided yet, why not."""
    decisions: dict[str, SloDecision] = {}
    """What that run decides of each SLO, as of its last interval."""
    mlperf: MlperfAnswer | None = None
    """Whether that run is official by now, by MLPerf's conditions; None where nobody asked."""


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """What `watch` yields: the service's state now, and the interval that ended, if one did."""

    service: ServiceInfo
    point: Point | None
    search: SearchProgress | None = None
    """The search in progress, or the last one until the service is started again."""


class LoadControl(Protocol):
    """Steer the load on several services and read their tails back.

    Every method that takes a `service_id` raises UnknownServiceError for one that is not listed.
    """

    @method("GET", "/services", field="services")
    async def list(self) -> list[ServiceInfo]:
        """All services, in the order in which they were added."""

    @method("GET", "/services/{id}")
    async def get(self, service_id: str) -> ServiceInfo:
        """One service."""

    @method("GET", "/services/{id}/config", rpc="GetConfig")
    async def config(self, service_id: str) -> ServiceConfig:
        """How one service was configured; a rate or profile set later is in its `profile`."""

    @method("POST", "/services", status=201)
    async def add(self, config: ServiceConfig) -> ServiceInfo:
        """Add a service; it is idle until it is started.

        Raises:
            StateError: the id is taken.
            UsageError: the configuration cannot be used; the message names the setting.
            NotAllowedError: the target, the rate or the body's file is not allowed here.
        """

    @method("PUT", "/services/{id}")
    async def change(self, config: ServiceConfig) -> ServiceInfo:
        """Give the service of that id another configuration. What was measured stays.

        Raises:
            StateError: it is not idle.
            UsageError: the configuration cannot be used; the message names the setting.
            NotAllowedError: the target, the rate or the body's file is not allowed here.
        """

    @method("DELETE", "/services/{id}")
    async def remove(self, service_id: str) -> None:
        """Take a service off the list; its runs' directories stay.

        Raises:
            StateError: it is not idle.
        """

    @method("POST", "/services/{id}/start")
    async def start(self, service_id: str, rate_per_s: float | None = None) -> ServiceInfo:
        """Start a run, at `rate_per_s` if given, else at the service's own profile.

        Raises:
            StateError: it is running, or its last run has not ended yet.
            UsageError: the rate is negative or not finite.
            NotAllowedError: the rate is above the control room's cap, or the target's address is
                not allowed any more.
        """

    @method("POST", "/services/{id}/stop")
    async def stop(self, service_id: str) -> ServiceInfo:
        """Stop offering; returns once all in flight is answered or timed out and results are
        written. Stopping an idle service does nothing.
        """

    @method("PUT", "/services/{id}/rate")
    async def set_rate(self, service_id: str, rate_per_s: float) -> ServiceInfo:
        """Change the rate: of the run at once, or, while idle, of the next start.

        Raises:
            StateError: a search is in progress, which sets the rate itself.
            UsageError: the rate is negative or not finite.
            NotAllowedError: it is above the control room's cap.
        """

    @method("PUT", "/services/{id}/profile")
    async def set_profile(self, service_id: str, profile: str) -> ServiceInfo:
        """Change the profile, which begins now for a run, or with the next start while idle.

        Raises:
            StateError: a search is in progress, which sets the rate itself.
            UsageError: the expression cannot be read; the message says which part and where.
            NotAllowedError: it goes above the control room's cap, or reads a file not allowed.
        """

    @method("POST", "/services/{id}/find")
    def find(
        self,
        service_id: str,
        slo: tuple[str, ...] = (),
        duration_s: float = 60.0,
        highest_per_s: float = 1e6,
    ) -> AsyncGenerator[SearchProgress, None]:
        """Find the highest rate at which the service keeps `slo`, else its own, else p99<100ms: how
        far that is, several times a second, until one `is_over` and has the outcome.

        `stop` ends it, as does who no longer listens; what was found by then is kept among the
        searches. At most `highest_per_s` are offered, and no more than the control room's cap.

        Raises:
            StateError: the service is not idle.
            UsageError: an SLO cannot be read or searched for, or the time is too short.
            NotAllowedError: the target's address is not allowed any more.
            ServiceGoneError: nothing but failures comes back.
        """

    @method("GET", "/services/{id}/latest", field="point")
    async def latest(self, service_id: str) -> Point | None:
        """The last complete interval; None before the first."""

    @method("GET", "/services/{id}/window", rpc="GetWindow")
    async def window(self, service_id: str) -> Window:
        """The last `window` intervals taken together."""

    @method("GET", "/services/{id}/stream", "/stream")
    def watch(self, service_id: str | None = None) -> AsyncGenerator[Update, None]:
        """One Update of the service at once, then one each interval and each change, until closed;
        None watches all services, those added later included.

        A watcher that does not keep up loses its own oldest updates, and holds up nobody. One of a
        single service ends with the update whose state is "removed".
        """

    @method("GET", "/runs", rpc="ListRuns", field="runs")
    async def runs(self) -> tuple[RunInfo, ...]:
        """The runs in the control room's directory of runs, newest first."""

    @method("GET", "/runs/{name}", rpc="GetRun", in_parts=True)
    async def run(self, name: str) -> RunRecord:
        """A run, with every interval that it finished.

        Raises:
            UnknownRunError: there is none of that name.
        """

    @method("GET", "/searches", rpc="ListSearches", field="searches")
    async def searches(self) -> tuple[SearchInfo, ...]:
        """The searches, by `tailrace find`, in the same directory, newest first."""

    @method("PATCH", "/runs/{name}")
    async def label_run(
        self, name: str, *, title: str | None = None, note: str | None = None
    ) -> None:
        """Give a run or search a title, a note, or both; what is None stays as it is.

        Raises:
            UnknownRunError: there is none of that name.
            UsageError: the title is no line of at most 200 characters, or the note is longer than
                10,000.
        """

    @method("DELETE", "/runs/{name}")
    async def delete_run(self, name: str) -> None:
        """Delete the directory of a run or search, with all of its files.

        Raises:
            UnknownRunError: there is none of that name.
            StateError: it is in progress.
            UsageError: there are directories in it, which no run makes.
        """


METHODS = methods_of(LoadControl)
"""Those of LoadControl, in its order."""


class WaitingControl(ABC):
    """LoadControl for plain scripts: each method waits for the answer. `watch` and `find` are
    iterators.
    """

    list = waits(LoadControl.list)
    get = waits(LoadControl.get)
    config = waits(LoadControl.config)
    add = waits(LoadControl.add)
    change = waits(LoadControl.change)
    remove = waits(LoadControl.remove)
    start = waits(LoadControl.start)
    stop = waits(LoadControl.stop)
    set_rate = waits(LoadControl.set_rate)
    set_profile = waits(LoadControl.set_profile)
    latest = waits(LoadControl.latest)
    window = waits(LoadControl.window)
    runs = waits(LoadControl.runs)
    run = waits(LoadControl.run)
    searches = waits(LoadControl.searches)
    label_run = waits(LoadControl.label_run)
    delete_run = waits(LoadControl.delete_run)

    @abstractmethod
    def _ask(self, method: str, *given: Any, **named: Any) -> Any:
        """What LoadControl's method of that name answers."""
