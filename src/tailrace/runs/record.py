"""A run read back from its directory."""

from typing import Any, Literal

import msgspec

from tailrace.errors import TailraceError
from tailrace.load.config import LoadConfig
from tailrace.load.judge.verdict import Verdict
from tailrace.load.measure.point import Point
from tailrace.load.session.result import Result
from tailrace.units import format_duration

RunState = Literal["running", "finished", "interrupted", "broken"]


class Asked(
    LoadConfig,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=False,
    rename={"url": "target", "slo": "slos"},
):
    """run.json: what was asked for, but for what may be secret, and where; all that follows from
    the rest is said as well. One of another version may have more or less.
    """

    url: str = ""
    slo: tuple[str, ...] = ()
    tailrace: str = ""
    """Its version."""
    started: str = ""
    """ISO 8601, UTC."""
    requests: int = 0
    """Different ones."""
    expect: str = ""
    """Of an answer, in words."""
    environment: Any = None
    """An Environment."""


class UnknownRunError(TailraceError):
    """There is no run of this name."""

    http_status = 404
    rpc_status = "NOT_FOUND"


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A run at a glance."""

    def __repr__(self) -> str:
        p99 = "–" if self.p99_ms is None else format_duration(self.p99_ms / 1000)
        return (
            f"{self.name}: {self.target}, {self.profile}, {self.state}, "
            f"{self.completed:,} answered, {self.failed:,} failed, p99 {p99}"
        )

    name: str
    """Of its directory."""
    target: str
    arrivals: str
    profile: str
    started: str
    """ISO 8601, UTC."""
    state: RunState
    """`interrupted`: whoever made it is gone and left no result; the finished intervals are kept.
    `broken`: a file of it cannot be read; what the others say is here.
    """
    duration_s: float
    """How long it offered load; of a run without a result, up to its last finished interval."""
    ended_by: str | None = None
    """As its result has it; None while there is none."""
    intervals: int
    completed: int
    failed: int
    p99_ms: float | None
    """Of all completed requests, from merged histograms."""
    verdict: Verdict | None = None
    """None while there is no result."""
    slo: dict[str, bool] = {}
    problems: tuple[str, ...] = ()
    """Which of its files cannot be read, and why."""
    title: str = ""
    """What a person called it."""
    note: str = ""
    """What a person wrote about it."""


BROKEN = "broken"
"""What ended a search of which the outcome cannot be read."""


class SearchInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A search for the highest rate within an SLO, at a glance."""

    name: str
    """Of its directory."""
    target: str
    slo: str
    rate_per_s: float | None
    """The highest rate found; None if there is none."""
    confirmed: bool
    reason: str
    steps: int
    """Rates that were tried."""
    ended: str
    """ISO 8601, UTC."""
    ended_by: str | None = None
    """What cut it short, if anything did; or BROKEN."""
    title: str = ""
    note: str = ""


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A run whole."""

    info: RunInfo
    points: tuple[Point, ...]
    """Every finished interval, oldest first."""
    result: Result | None
