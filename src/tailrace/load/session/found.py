"""What a search has found, and how far it is: the documents of `tailrace find`."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from tailrace.load.judge.slo import Slo
from tailrace.load.search.answer import Answer, CurvePoint
from tailrace.units import format_duration, format_figure, format_latency

Decision = Literal["holds", "breaks", "late"]
"""As measured; `late`: nothing about the service, for want of the generator."""

DEFAULT_SLO = "p99<100ms"
"""Of a search that is told none."""
UNFINISHED = "unfinished"
"""What a search was ended by whose process was killed, or broke."""
ERROR = "error"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of load at one rate."""

    rate_per_s: float
    decision: Decision
    reason: str
    """What it was for, or why the generator was late."""
    duration_s: float
    """How long it was counted."""
    offered: int
    completed: int
    failed: int
    reasons: dict[str, int] = {}
    """Of the failures."""
    over: int
    """Requests over the bound: answered too late, or failed."""
    percentile_ms: float | None
    """The statistic that the SLO bounds, of what was answered."""
    send_lag_p99_us: float | None
    doubt: str | None = None
    """What else than the service may have broken the SLO: the cap on connections."""

    def __str__(self) -> str:
        return (
            f"{format_figure(self.rate_per_s)}/s {self.decision}: "
            f"{format_latency(self.percentile_ms)}, {self.over:,} of "
            f"{self.completed + self.failed:,} over, {self.duration_s:.1f} s"
        )


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a search, or what it has found so far."""

    def __repr__(self) -> str:
        confirmed = "confirmed" if self.confirmed else "not confirmed"
        return f"{self.target}: {self.reason} ({confirmed}, {len(self.steps)} steps)"

    @property
    def certainty(self) -> str | None:
        """Where the highest rate lies, in a line for a person; None where that is not known."""
        if self.estimate_per_s is None or self.interval_per_s is None:
            return None
        low, high = map(format_figure, self.interval_per_s)
        about = (
            f"the highest rate that holds is about {format_figure(self.estimate_per_s)}/s: {low} "
            f"to {high} with a probability of 95 %"
        )
        if self.needed_s is not None:
            about += f"; {format_duration(self.needed_s)} more would make that half as wide"
        return about

    target: str
    slo: str
    """The one that decides: the first to be broken as the rate rises."""
    slos: tuple[str, ...] = ()
    """All that were to hold; empty in documents of earlier versions."""
    rate_per_s: float | None
    """The highest rate that is certain to keep every SLO: the lower end of `interval_per_s`. None
    where none is."""
    confirmed: bool
    """Whether the search came to its end, load at that rate included."""
    reason: str
    estimate_per_s: float | None = None
    interval_per_s: tuple[float, float] | None = None
    """Holds the highest rate with a probability of 95 %."""
    confidence: float | None = None
    """The probability, 0 to 1, that every SLO holds at `rate_per_s`."""
    findings: tuple[str, ...] = ()
    """What else there is to know of the service, a line each."""
    curve: tuple[CurvePoint, ...] = ()
    """What was measured, by rate."""
    spent_s: float | None = None
    needed_s: float | None = None
    """How many seconds more would make the interval half as wide."""
    ended_by: str | None = None
    """What cut it short before it came to its own end, if anything did: the name of a signal,
    `stop`, `error`, or `unfinished` if it was killed."""
    steps: tuple[Step, ...]


class SearchProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a search is."""

    doing: str
    """What the load at the rate of now is for."""
    rate_per_s: float
    elapsed_s: float
    left_s: float
    """As it looks now."""
    is_over: bool = False
    found: Found
    """So far; where `is_over`, the outcome."""


def conclude(
    url: str,
    slos: Sequence[Slo],
    answer: Answer,
    steps: Sequence[Step] = (),
    *,
    ended_by: str | None = None,
    error: str | None = None,
) -> Found:
    """The document of an answer, whose search is over, or was cut short as `ended_by` says, or
    that an `error` ended.
    """
    cut = "it did not come to its end" if ended_by == UNFINISHED else f"cut short by {ended_by}"
    told = answer.reason if steps or error is None else None
    reasons = [told, error or (cut if ended_by is not None else None)]
    return Found(
        target=url,
        slo=answer.slo,
        slos=tuple(slo.expression for slo in slos),
        rate_per_s=answer.rate_per_s,
        confirmed=answer.rate_per_s is not None and ended_by is None and error is None,
        reason="; ".join(filter(None, reasons)),
        estimate_per_s=answer.estimate_per_s,
        interval_per_s=answer.interval_per_s,
        confidence=answer.confidence,
        findings=answer.findings,
        curve=answer.curve,
        spent_s=round(answer.spent_s, 3),
        needed_s=answer.needed_s,
        ended_by=ERROR if error is not None else ended_by,
        steps=tuple(steps),
    )
