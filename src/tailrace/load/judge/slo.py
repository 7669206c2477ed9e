"""Service level objectives: on latency, as `p99<100ms`, and on failures, as `failed<0.1%`."""

import contextlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from tailrace.errors import UsageError
from tailrace.load.judge.confidence import share_above
from tailrace.load.measure.histogram import HIGHEST_US, LOWEST_US, WIDTH_US, Histogram
from tailrace.load.measure.measurement import Measurement
from tailrace.units import format_duration, parse_duration_s

_SLO = re.compile(r"(mean|max|failed|p([0-9]+(?:\.[0-9]+)?))\s*(<=?)\s*(.+)")
_SHARE = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*%")
_FAILED = "failed"
_LEAST_PERCENT, _MOST_PERCENT = 0.001, 99.9999999
"""Beyond these no run is long enough to tell, and doubles no longer tell them apart from 0 or 100.
"""
_LEAST_S, _MOST_S = 1e-6, HIGHEST_US / 1e6
"""What a histogram tells apart from nothing, and from longer."""


@dataclass(frozen=True, slots=True)
class Slo:
    """A bound on one statistic of the latency; or on failures, which take for ever: that no more
    than 0.1 % fail is that the p99.9 is finite."""

    expression: str
    statistic: str
    """What stands before the bound: mean, max, a percentile or failed."""
    percent: float | None
    bound_s: float
    """inf of one on failures."""
    inclusive: bool

    @property
    def is_on_failures(self) -> bool:
        """Whether it bounds the share of failures, and no latency."""
        return self.statistic == _FAILED

    @property
    def bound(self) -> str:
        """What stands behind the sign, for a person."""
        if self.is_on_failures:
            return f"{100 - (self.percent or 0.0):.4g} %"
        return format_duration(self.bound_s)

    def over(self, measured: Measurement) -> int:
        """How many requests are not within the bound; those that failed are none of them."""
        return count_over(measured.latency, self.bound_s, self.inclusive) + measured.failures

    def holds(self, measured: Measurement) -> bool:
        """Whether the bound is kept by what was measured.

        A failed request counts as one that took for ever: failing never helps to keep a bound.
        """
        latency, failed = measured.latency, measured.failures
        if latency.total == 0:
            return False
        if self.is_on_failures and not self.inclusive:
            return failed < share_above(self.percent or 0.0) * (latency.total + failed) - 1e-9
        if self.percent is not None:
            ended = latency.total + failed
            return math.ceil(self.percent / 100 * ended - 1e-9) <= ended - self.over(measured)
        if failed:
            return False
        mean_us = latency.sum_ns / latency.total / 1000
        value_us = mean_us if self.statistic == "mean" else latency.max_ns / 1000
        bound_us = self.bound_s * 1e6
        return value_us <= bound_us if self.inclusive else value_us < bound_us


def count_over(times: Histogram, bound_s: float, inclusive: bool) -> int:
    """How many of `times` are not within a bound; a bucket that it cuts through counts."""
    last_us = LOWEST_US[times.buckets] + WIDTH_US[times.buckets] - 1
    bound_us = bound_s * 1e6
    over = last_us > bound_us if inclusive else last_us >= bound_us
    return int(times.counts[over].sum())


def parse_slo(text: str) -> Slo:
    """An SLO from its expression: `p99<100ms`, `p99.9<=1s`, `mean<20ms`, `max<2s`, `failed<0.1%`.

    Raises:
        UsageError: it cannot be read, has no unit, or is beyond what can be measured.
    """
    expression = text.strip()
    match = _SLO.fullmatch(expression)
    if match is None:
        raise UsageError(
            f"{text!r} is not an SLO: write p99<100ms, p99.9<1s, mean<20ms, max<2s or failed<0.1%"
        )
    statistic, digits, operator, bound = match.groups()
    if statistic == _FAILED:
        return Slo(expression, statistic, _succeeding(text, bound), math.inf, operator == "<=")
    percent = float(digits) if digits is not None else None
    if percent is not None:
        if not _LEAST_PERCENT <= percent <= _MOST_PERCENT:
            raise UsageError(
                f"{text!r}: a percentile is {_LEAST_PERCENT} to {_MOST_PERCENT}, not {digits} "
                "(of all requests: max)"
            )
        statistic = f"p{percent:.10g}"
    if not bound[-1].isalpha():
        raise UsageError(f"{text!r}: the bound has no unit: write {expression}ms or {expression}s")
    try:
        bound_s = parse_duration_s(bound, _LEAST_S, _MOST_S)
    except UsageError as error:
        raise UsageError(f"the bound of {text!r}: {error}") from None
    return Slo(
        expression=expression,
        statistic=statistic,
        percent=percent,
        bound_s=bound_s,
        inclusive=operator == "<=",
    )


def _succeeding(text: str, bound: str) -> float:
    """The percentage of requests that may not fail."""
    share = _SHARE.fullmatch(bound)
    if share is None:
        raise UsageError(f"{text!r}: a bound on failures is a share of them: write failed<0.1%")
    percent = 100 - float(share[1])
    if not _LEAST_PERCENT <= percent <= _MOST_PERCENT:
        raise UsageError(
            f"{text!r}: a share of failures is {100 - _MOST_PERCENT:.1g} to "
            f"{100 - _LEAST_PERCENT} %, not {share[1]}"
        )
    return percent


def readable_slos(texts: Iterable[str]) -> tuple[Slo, ...]:
    """The SLOs of a file, but for those that cannot be read: it may have been edited."""
    found = []
    for text in texts:
        with contextlib.suppress(UsageError):
            found.append(parse_slo(text))
    return tuple(found)


def kept(measured: Measurement, slos: Iterable[Slo]) -> dict[str, bool]:
    """Whether a measurement keeps each of `slos`."""
    return {slo.expression: slo.holds(measured) for slo in slos}
