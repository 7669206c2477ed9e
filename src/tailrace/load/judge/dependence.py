"""How much a run knows of a share of its requests, where these depend on each other."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from tailrace.load.judge.confidence import share_above
from tailrace.load.judge.slo import Slo
from tailrace.load.judge.stretches import Stretches, first_over
from tailrace.load.measure.histogram import HIGHEST_US, LOWEST_US, WIDTH_US

Floats = NDArray[np.float64]
ERROR = 0.01
"""The chance of a wrong decision where the truth is just beyond the bound."""
LEVELS = (50.0, 90.0, 95.0, 99.0)
FEWEST_BATCHES = 8
KEPT_AFTER_S = 60.0
"""What happens once a minute may not have come before."""


class SloDecision(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the service keeps a bound, as far as a run decides it."""

    outcome: Literal["kept", "broken", "undecided"]
    confidence: float
    """Between 0 and 1: what the outcome has been shown with; of the likelier side where it is
    undecided."""
    over: int
    """Requests that are not within the bound, failed ones included."""
    ended: int
    """Requests that were answered or failed."""
    needed_s: float | None = None
    """How much longer a run at this rate would decide it; None where it is decided, or cannot be
    told."""
    reason: str = ""
    """In one line, for a person."""


def decide(stretches: Stretches, slo: Slo) -> SloDecision:
    """Whether the service keeps `slo`, as far as the run decides it."""
    if slo.percent is None:
        return SloDecision(outcome="undecided", confidence=0.5, over=0, ended=0)
    bucket = np.array([first_over(slo.bound_s, slo.inclusive)])
    over = stretches.over(bucket)[0] + stretches.failed
    ended = stretches.answered + stretches.failed
    n, t = ended.sum(), over.sum()
    inflation = max(_inflation(stretches, slo.percent, ERROR), *_inflations(over, ended, ERROR))
    share = share_above(slo.percent)
    from scipy.special import betainc

    chance_fewer = float(betainc(max(n - t, 1e-9) / inflation, t / inflation + 1, 1 - share))
    chance_more = float(betainc(t / inflation, (n - t) / inflation + 1, share)) if t else 1.0
    if chance_fewer < ERROR and stretches.length_s >= KEPT_AFTER_S:
        outcome: Literal["kept", "broken", "undecided"] = "kept"
    elif chance_more < ERROR:
        outcome = "broken"
    else:
        outcome = "undecided"
    return SloDecision(
        outcome=outcome,
        confidence=1 - min(chance_fewer, chance_more),
        over=int(t),
        ended=int(n),
        reason=f"{100 * t / max(n, 1):.3g} % of {int(n):,} requests are over the bound",
    )


def interval_us(
    stretches: Stretches, percent: float, level: float = 0.95
) -> tuple[float, float] | None:
    """The times in µs between which the percentile of what was answered lies, with confidence
    `level`; None where the run is too short to tell.

    Raises:
        ValueError: `percent` is not between 0 and 100, or `level` is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, not at {level}")
    above, tail = share_above(percent), (1 - level) / 2
    latency = stretches.latency
    if not latency.total:
        return None
    inflation = _inflation(stretches, percent, tail)
    n = latency.total / inflation
    rare = min(above, 1 - above)
    low, high = _binomial_quantiles(n, rare, tail)
    if low * inflation < 1 or low <= 0:
        return None
    if above > 0.5:
        low, high = n - high, n - low
    ranks = latency.total * np.array([1 - high / n, 1 - low / n])
    first, last = latency.bucket_at(np.clip(np.ceil(ranks), 1, latency.total))
    # Times were rounded to the nearest µs: a bucket begins half of one before its first value.
    low_us = max(float(LOWEST_US[first]) - 0.5, 0.0)
    end_us = float(LOWEST_US[last] + WIDTH_US[last]) - 0.5
    max_us = latency.max_ns / 1000
    return low_us, max_us if end_us > HIGHEST_US else min(end_us, max_us)


def _inflation(stretches: Stretches, percent: float, tail: float) -> float:
    levels = sorted({percent, *(level for level in LEVELS if level < percent)})
    latency = stretches.latency
    if not latency.total:
        return 1.0
    buckets = latency.bucket_at(np.ceil(np.array(levels) / 100 * latency.total)) + 1
    answered = stretches.answered
    return max(
        1.0,
        *(each for over in stretches.over(buckets) for each in _inflations(over, answered, tail)),
    )


def _inflations(over: Floats, ended: Floats, tail: float) -> Iterator[float]:
    yield 1.0
    p = over.sum() / max(ended.sum(), 1)
    if not 0 < p < 1:
        return
    residuals = over - p * ended
    size = 1
    while (batches := len(over) // size) >= FEWEST_BATCHES:
        sums = residuals[: batches * size].reshape(batches, size).sum(axis=1)
        variance = (sums**2).sum() / (batches - 1) / size * len(over)
        yield variance / (ended.sum() * p * (1 - p)) * _t_factor(batches - 1, tail) ** 2
        size = size + 1 if size < 4 else int(size * 1.5)


@lru_cache(maxsize=4096)
def _t_factor(freedom: int, tail: float) -> float:
    from scipy.special import ndtri, stdtrit

    return float(stdtrit(freedom, 1 - tail) / ndtri(1 - tail))


def _binomial_quantiles(n: float, share: float, tail: float) -> tuple[float, float]:
    """Counts of a binomial made continuous, of n trials that need not be whole, that lie beyond on
    either side with a chance of `tail`."""
    from scipy.special import bdtrik

    return float(bdtrik(tail, n, share)), float(bdtrik(1 - tail, n, share)) + 1
