"""Bounds on how much worse than another run a run may be: `p99+10%`.

A bound is broken where the run is *proven* worse by more than it allows: the whole 95 % interval of
the difference lies beyond. It is kept where the whole of it lies within. In between it is
undecided: the runs are too short, or too noisy, to tell. An outage breaks every bound, but for one
on failures that allows for it.
"""

import re

import msgspec

from tailrace.errors import UsageError
from tailrace.load.judge.dependence import Decided
from tailrace.runs.compare.compare import Comparison, Difference
from tailrace.runs.compare.series import NAMES
from tailrace.runs.compare.words import in_words, shown

DEFAULT = "p99+10%"
"""Wide enough for what one machine differs from another like it."""

_BOUND = re.compile(r"([a-z/]+[\d.]*)\s*([+-])\s*(\d+(?:\.\d*)?|\.\d+)\s*%")
_FALLING = ("completed/s",)
"""Figures of which less is worse."""
_SHARES = ("failed",)
"""Figures that are shares: their bounds are in percentage points."""


class RegressionBound(msgspec.Struct, frozen=True, kw_only=True):
    """How much worse one figure may be than in the run compared with."""

    expression: str
    figure: str
    allowed_percent: float
    """Of the other run's figure; of `failed`, percentage points."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a comparison says of a bound."""

    bound: str
    outcome: Decided
    reason: str
    """One line for a person."""


def parse_bound(text: str) -> RegressionBound:
    """A bound from its expression: `p99+10%`, `mean+5%`, `failed+0.5%`, `completed/s-5%`.

    Raises:
        UsageError: it cannot be read.
    """
    match = _BOUND.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"{text!r} is no bound on a regression: write p99+10%, failed+0.5% or completed/s-5%"
        )
    figure, sign, percent = match.groups()
    if figure not in NAMES:
        raise UsageError(f"{text!r}: {figure!r} is none of {', '.join(NAMES)}")
    if (sign == "-") != (figure in _FALLING):
        worse = "lower: write -" if figure in _FALLING else "higher: write +"
        raise UsageError(f"{text!r}: {figure} is worse when it is {worse}{percent}%")
    return RegressionBound(expression=text.strip(), figure=figure, allowed_percent=float(percent))


def judge_bound(comparison: Comparison, bound: RegressionBound) -> Outcome:
    """Whether `bound` is kept by the comparison's other run."""
    outcome, reason = _judge(comparison, bound)
    return Outcome(bound=bound.expression, outcome=outcome, reason=reason)


def _judge(comparison: Comparison, bound: RegressionBound) -> tuple[Decided, str]:
    found = comparison.by_name
    difference = found[bound.figure]
    if found["completed/s"].base and not found["completed/s"].other:
        return "broken", "nothing was answered"
    measured = " → ".join(
        shown(value, difference.unit) for value in (difference.base, difference.other)
    )
    down: tuple[Decided, str] | None = None
    if comparison.outage is not None and not _allows(bound, difference, found["failed"]):
        down = "broken", f"{measured}: {comparison.outage}"
    change = difference.change_interval
    if change is None:
        return down or ("undecided", f"{measured}: {_why(comparison, bound.figure)}")
    spread = f"95 % interval {in_words(change, difference.change_unit)}"
    low, high = change
    if bound.figure in _FALLING:
        low, high = -high, -low
    if low > bound.allowed_percent:
        return "broken", f"{measured}, {spread}: proven worse than it allows"
    if down is not None:
        return down
    if high <= bound.allowed_percent:
        return "kept", f"{measured}, {spread}"
    more = "longer" if comparison.runs == (1, 1) else "more"
    return "undecided", f"{measured}, {spread}: not proven either way; {more} runs would tell"


def _allows(bound: RegressionBound, difference: Difference, failed: Difference) -> bool:
    """Whether a bound on failures is so wide that what was measured lies within; or one is on
    answers a second, and none are missing: they were only late.
    """
    if bound.figure in _FALLING:
        return (failed.other or 0.0) <= (failed.base or 0.0)
    if bound.figure not in _SHARES or difference.base is None or difference.other is None:
        return False
    return difference.other - difference.base <= bound.allowed_percent


def _why(comparison: Comparison, figure: str) -> str:
    about = [note.partition(": ") for note in comparison.notes]
    said = [why for names, _, why in about if figure in names.split(", ")]
    return said[0] if said else "too short a run to tell"
