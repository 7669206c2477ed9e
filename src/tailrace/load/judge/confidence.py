"""How far a measured percentile can be trusted: its confidence interval, from ranks alone.

Whatever the distribution of the latencies, the number of n samples that lie below its true
percentile x_p is binomial (n, p = percent / 100). So two of the samples in order, the l-th and the
u-th, hold x_p between them with a probability that depends on l, u, n and p only:
P(X_(l) ≤ x_p ≤ X_(u)) ≥ P(l ≤ Binomial(n, p) < u) (Thompson 1936; David and Nagaraja, Order
Statistics, 7.1). Nothing is assumed of the distribution, but that samples are independent.
"""

import numpy as np

from tailrace.load.judge.early_stopping import largest_count, share_above, smallest_trials
from tailrace.load.measure.histogram import HIGHEST_US, LOWEST_US, WIDTH_US, Histogram


def rank_interval(percent: float, count: int, level: float = 0.95) -> tuple[int, int] | None:
    """Ranks l < u, from 1 to `count`, of the samples that hold the percentile between them.

    Each side misses it with a probability below (1 − `level`) / 2, by the exact binomial; l is the
    largest and u the smallest such rank. None where `count` is too small: then the largest sample
    itself (for low percentiles the smallest) may lie on the wrong side too often.

    Raises:
        ValueError: `percent` is not between 0 and 100, `count` is negative, or `level` is not
            between 0 and 1.
    """
    above, tail = share_above(percent), _missed(level)
    # So few samples below the percentile, or so few above it, are seen too seldom to reckon with.
    too_few_below = largest_count(count, 1 - above, tail)
    too_few_above = largest_count(count, above, tail)
    if too_few_below is None or too_few_above is None:
        return None
    return too_few_below + 1, count - too_few_above


def enough_for(percent: float, level: float = 0.95) -> int:
    """The smallest number of samples for which `rank_interval` has an answer.

    Raises:
        ValueError: `percent` is not between 0 and 100, or `level` is not between 0 and 1.
    """
    above, tail = share_above(percent), _missed(level)
    return smallest_trials(0, min(above, 1 - above), tail)


def percentile_interval_us(
    histogram: Histogram, percent: float, level: float = 0.95
) -> tuple[float, float] | None:
    """The times in µs between which the percentile lies, at least, with confidence `level`.

    The buckets of the two ranks are taken whole, so rounding widens the interval, by at most 0.1 %
    or 1 µs a side, and never narrows it. None where too little was counted for `rank_interval`.

    Raises:
        ValueError: `percent` is not between 0 and 100, or `level` is not between 0 and 1.
    """
    ranks = rank_interval(percent, histogram.total, level)
    if ranks is None:
        return None
    low, high = np.searchsorted(np.cumsum(histogram.counts), ranks)
    # Times were rounded to the nearest µs: a bucket begins half of one before its first value.
    low_us = max(float(LOWEST_US[low]) - 0.5, 0.0)
    end_us = float(LOWEST_US[high] + WIDTH_US[high]) - 0.5
    max_us = histogram.max_ns / 1000
    # The bucket of the highest value has no end: it holds all that took longer, too.
    return low_us, max_us if end_us > HIGHEST_US else min(end_us, max_us)


def _missed(level: float) -> float:
    """The chance that each side of the interval may miss the percentile with."""
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, not at {level}")
    return (1 - level) / 2
