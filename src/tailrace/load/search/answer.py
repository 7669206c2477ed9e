"""What a search has found."""

import math
from dataclasses import dataclass

import msgspec

from tailrace.errors import UsageError

MOST_TIMES = 3.0
"""How many times the time to spend a search takes at most, where a service is too slow for it."""


@dataclass(frozen=True, slots=True)
class FindLimits:
    """How a search goes about it.

    Rates stay between `lowest_per_s` and `highest_per_s`, the first is `start_per_s`. It offers
    load for `for_s`, and up to `MOST_TIMES` as long where a slow service would otherwise have
    answered too few requests to tell.

    Raises:
        UsageError: there is no rate, or no time, between them.
    """

    start_per_s: float = 10.0
    lowest_per_s: float = 0.1
    highest_per_s: float = 1e6
    for_s: float = 60.0

    def __post_init__(self) -> None:
        for what, rate in (("start", self.start_per_s), ("highest", self.highest_per_s)):
            if not rate >= self.lowest_per_s:
                raise UsageError(
                    f"the {what} rate must be at least {self.lowest_per_s:g} a second, not {rate:g}"
                )
        if not 10 <= self.for_s < math.inf:
            raise UsageError(f"a search needs at least 10 s, and an end, not {self.for_s:g}")


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured at rates close to each other, by the SLO that decides."""

    rate_per_s: float
    seconds: float
    requests: int
    statistic_ms: float | None
    """The SLO's percentile, or mean, of the latency; None where too many failed for one."""
    share: float
    """Of requests over the bound; of an SLO on the mean, the mean as a share of the bound."""
    low: float
    high: float
    """The 95 % interval of `share`."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the highest rate that keeps every SLO."""

    rate_per_s: float | None
    """Certified: the lower end of the interval. None where no rate can be certified."""
    estimate_per_s: float | None
    interval_per_s: tuple[float, float] | None
    """Holds the highest rate with 95 % probability."""
    confidence: float | None
    """The probability, 0 to 1, that every SLO holds at `rate_per_s`."""
    slo: str
    """The SLO that decides: the first to be broken as the rate rises."""
    reason: str
    """One line for a person."""
    findings: tuple[str, ...] = ()
    """What else a person should know: each one plain line."""
    curve: tuple[CurvePoint, ...] = ()
    """By rate, ascending."""
    spent_s: float = 0.0
    needed_s: float | None = None
    """How many seconds more would make the interval half as wide; None where it is not to be told.
    """
    gone: bool = False
    """Nothing but failures came back, and not for being slow."""
