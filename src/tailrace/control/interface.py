"""LoadControl: what a person or a program can ask of the control room.

The controller implements it in this process; REST, gRPC and the page translate to it and add
nothing of their own. All methods are coroutines, to be called on the controller's event loop.
"""

from collections.abc import AsyncIterator
from typing import Literal, Protocol

import msgspec

from tailrace.control.window import Window
from tailrace.errors import TailraceError
from tailrace.load.point import Point
from tailrace.load.verdict import Verdict

__all__ = [
    "LoadControl",
    "Point",
    "ServiceInfo",
    "State",
    "StateError",
    "UnknownServiceError",
    "Update",
    "Window",
]

State = Literal["idle", "starting", "running", "stopping"]


class UnknownServiceError(TailraceError):
    """No service has this id."""


class StateError(TailraceError):
    """The service is not in a state in which this can be done."""


class ServiceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP endpoint under load, as every face lists it."""

    id: str
    name: str
    url: str
    method: str
    arrivals: str
    profile: str
    state: State
    rate_per_s: float
    """The rate asked for now; while idle, the rate the next start will use."""
    slo: tuple[str, ...]
    run: str | None
    """Directory of the run in progress, or of the last one."""
    problems: tuple[str, ...] = ()
    """What went wrong with that run so far: a worker that died, a disk that is full."""
    verdict: Verdict | None = None
    """On that run, so far: VALID, or what is missing."""


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """What `watch` yields: the service's state now, and the interval that ended, if one did."""

    service: ServiceInfo
    point: Point | None


class LoadControl(Protocol):
    """Steer the load on several services and read their tails back.

    Every method that takes a `service_id` raises UnknownServiceError for one that is not listed.
    """

    async def list(self) -> list[ServiceInfo]:
        """All services, in the order in which they were added."""

    async def get(self, service_id: str) -> ServiceInfo:
        """One service."""

    async def start(self, service_id: str, rate_per_s: float | None = None) -> ServiceInfo:
        """Start a run, at `rate_per_s` if given, else at the service's own profile.

        Raises:
            StateError: it is running, or its last run has not ended yet.
            UsageError: the rate is negative or not finite.
        """

    async def stop(self, service_id: str) -> ServiceInfo:
        """Stop offering; returns once all in flight is answered or timed out and results are
        written. Stopping an idle service does nothing.
        """

    async def set_rate(self, service_id: str, rate_per_s: float) -> ServiceInfo:
        """Change the rate: of the run at once, or, while idle, of the next start.

        Raises:
            UsageError: the rate is negative or not finite.
        """

    async def latest(self, service_id: str) -> Point | None:
        """The last complete interval; None before the first."""

    async def window(self, service_id: str) -> Window:
        """The last `window` intervals taken together."""

    def watch(self, service_id: str) -> AsyncIterator[Update]:
        """One Update at once, then one each interval and each change of state, until closed."""
