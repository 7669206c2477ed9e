"""What an SLO asks of each request, as one number whose mean decides."""

import math
from dataclasses import dataclass

import numpy as np

from tailrace.errors import UsageError
from tailrace.load.judge.slo import Slo
from tailrace.load.search.block import Floats
from tailrace.units import format_figure


@dataclass(frozen=True, slots=True)
class Goal:
    """An SLO, turned into scores with an allowed mean: for a percentile 1 a request over the bound
    and 0 otherwise, for the mean the latency as a share of the bound.

    Raises:
        UsageError: the SLO is on the largest latency, which has no mean to estimate.
    """

    slo: Slo

    def __post_init__(self) -> None:
        if self.slo.statistic == "max":
            raise UsageError(
                f"{self.slo.expression!r}: a search needs a percentile, as in p99<100ms: the "
                "largest latency only grows with time"
            )

    @property
    def is_mean(self) -> bool:
        """Whether scores are latencies, not shares."""
        return self.slo.statistic == "mean"

    @property
    def allowed(self) -> float:
        """The mean of the scores at which the SLO is just kept."""
        return 1.0 if self.slo.percent is None else 1 - self.slo.percent / 100

    @property
    def most(self) -> float:
        """What a score counts for at most: one failure makes a mean infinite, and is as much."""
        return 1e3 if self.is_mean else 1.0

    def link(self, mean: float) -> float:
        """What grows in proportion to the logarithm of the rate: of a mean its logarithm, of a
        share that of its odds."""
        if self.is_mean:
            return math.log(min(max(mean, 1e-9), self.most))
        mean = min(max(mean, 1e-9), 1 - 1e-9)
        return math.log(mean / (1 - mean))

    def expected(self, beyond: Floats) -> Floats:
        """The mean score where `link` is by `beyond` above what is allowed."""
        if self.is_mean:
            return np.exp(beyond)
        return 1 / (1 + np.exp(-(self.link(self.allowed) + beyond)))

    def scores(self, latency_s: Floats) -> Floats:
        """Of latencies, inf for failures: float64 of the same shape."""
        if self.is_mean:
            return latency_s / self.slo.bound_s
        over = latency_s > self.slo.bound_s
        if not self.slo.inclusive:
            over |= latency_s == self.slo.bound_s
        return (over | np.isinf(latency_s)).astype(np.float64)

    def describe(self, mean: float) -> str:
        """A mean score in words."""
        if self.is_mean:
            return f"the mean is {100 * mean:.0f} % of the bound"
        return f"{format_figure(100 * mean)} % are over the bound"

    def statistic_s(self, latency_s: Floats) -> float | None:
        """The SLO's own statistic of latencies; None where failures leave it without bound."""
        if not len(latency_s):
            return None
        value = (
            float(np.mean(latency_s))
            if self.slo.percent is None
            else float(np.quantile(latency_s, self.slo.percent / 100, method="inverted_cdf"))
        )
        return value if np.isfinite(value) else None
