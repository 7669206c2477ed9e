"""Service level objectives on latency: `p99<100ms`."""

import math
import re
from dataclasses import dataclass

from tailrace.errors import UsageError
from tailrace.load.histogram import LOWEST_US, WIDTH_US, Histogram
from tailrace.units import parse_duration_s

_SLO = re.compile(r"(mean|max|p(\d{1,2}(?:\.\d+)?))\s*(<=?)\s*(.+)")


@dataclass(frozen=True, slots=True)
class Slo:
    """A bound on one statistic of the latency."""

    expression: str
    statistic: str
    percent: float | None
    bound_s: float
    inclusive: bool

    def count_over(self, latency: Histogram) -> int:
        """How many of `latency` are not within the bound; a bucket that it cuts through counts."""
        last_us = LOWEST_US + WIDTH_US - 1
        bound_us = self.bound_s * 1e6
        over = last_us > bound_us if self.inclusive else last_us >= bound_us
        return int(latency.counts[over].sum())

    def holds(self, latency: Histogram, failed: int) -> bool:
        """Whether the bound is kept by `latency` together with `failed` requests that have none.

        A failed request counts as one that took for ever: failing never helps to keep a bound.
        """
        if latency.total == 0:
            return False
        if self.percent is not None:
            rank = math.ceil(self.percent / 100 * (latency.total + failed) - 1e-9)
            return rank <= latency.total - self.count_over(latency)
        if failed:
            return False
        mean_us = latency.sum_ns / latency.total / 1000
        value_us = mean_us if self.statistic == "mean" else latency.max_ns / 1000
        bound_us = self.bound_s * 1e6
        return value_us <= bound_us if self.inclusive else value_us < bound_us


def parse_slo(text: str) -> Slo:
    """An SLO from its expression: `p99<100ms`, `p99.9<=1s`, `mean<20ms`, `max<2s`.

    Raises:
        UsageError: it cannot be read.
    """
    match = _SLO.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is not an SLO: write p99<100ms, p99.9<1s, mean<20ms or max<2s")
    statistic, percent, operator, bound = match.groups()
    return Slo(
        expression=text.strip(),
        statistic=statistic,
        percent=float(percent) if percent is not None else None,
        bound_s=parse_duration_s(bound),
        inclusive=operator == "<=",
    )
