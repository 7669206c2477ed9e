"""What a number of requests proves of a percentile: MLPerf's early stopping, and an interval.

Both rest on counts alone, whatever the distribution of the latencies, and take requests to be
independent of each other.

**Early stopping.** A request is *over* when its latency is above the bound. Were the true share of
such requests as large as the percentile allows, or larger, the chance to see t or fewer of them
among n would be at most P(X ≤ t), X binomial (n, 1 − percent / 100). Once that is below 1 %, the
run has shown with 99 % confidence that the percentile is within the bound (MLPerf inference rules,
"Early Stopping Criterion", with tolerance 0). LoadGen 6.0 decides by the same integers.

**Interval.** The number of n samples that lie below their true percentile x_p is binomial
(n, p = percent / 100). So two of the samples in order, the l-th and the u-th, hold x_p between them
with a probability that depends on l, u, n and p only: P(X_(l) ≤ x_p ≤ X_(u)) ≥ P(l ≤ Binomial(n, p)
< u) (Thompson 1936; David and Nagaraja, Order Statistics, 7.1).
"""

from collections.abc import Callable

from tailrace.load.measure.histogram import HIGHEST_US, LOWEST_US, WIDTH_US, Histogram

CONFIDENCE = 0.99
"""Of early stopping."""
_TAIL = 1 - CONFIDENCE


def min_queries(percent: float, over: int) -> int:
    """The fewest requests, `over` of them above the bound, that pass early stopping.

    Raises:
        ValueError: `percent` is not between 0 and 100, or `over` is negative.
    """
    if over < 0:
        raise ValueError(f"{over} requests over the bound: it cannot be negative")
    share = share_above(percent)
    return _smallest(
        lambda n: chance_at_most(over, n, share) < _TAIL, over + 1, round((over + 1) / share)
    )


def allowed_over(percent: float, queries: int) -> int | None:
    """The most of `queries` requests that may be above the bound; None where not even 0 would pass.

    Raises:
        ValueError: `percent` is not between 0 and 100, or `queries` is negative.
    """
    return _largest_count(queries, share_above(percent), _TAIL)


def still_needed(percent: float, queries: int, over: int) -> int:
    """How many more requests, all of them within the bound, make `queries` with `over` above it
    pass; 0 where they pass now.

    Raises:
        ValueError: `percent` is not between 0 and 100, or `over` is not between 0 and `queries`.
    """
    if over > queries:
        raise ValueError(f"{over} of {queries} requests over the bound: more than there are")
    return max(min_queries(percent, over) - queries, 0)


def estimate_rank(percent: float, queries: int) -> int | None:
    """Where the percentile estimate of a stream scenario stands in the ascending latencies.

    The index counts from 0: `sorted_latencies[estimate_rank(percent, len(sorted_latencies))]`. It
    is `queries` − t with the largest t that passes, so the t-th largest latency (LoadGen 6.0,
    SingleStream and MultiStream). t is at least 1: none passes with fewer than
    `min_queries(percent, 1)` requests, and the answer is None.

    Raises:
        ValueError: `percent` is not between 0 and 100, or `queries` is negative.
    """
    over = allowed_over(percent, queries)
    return queries - over if over else None


def rank_interval(percent: float, count: int, level: float = 0.95) -> tuple[int, int] | None:
    """Ranks l < u, from 1 to `count`, of the samples that hold the percentile between them.

    Each side misses it with a probability below (1 − `level`) / 2, by the exact binomial; l is the
    largest and u the smallest such rank. None where `count` is too small: then the largest sample
    itself (for low percentiles the smallest) may lie on the wrong side too often.

    Raises:
        ValueError: `percent` is not between 0 and 100, `count` is negative, or `level` is not
            between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, not at {level}")
    above, tail = share_above(percent), (1 - level) / 2
    # So few samples below the percentile, or so few above it, are seen too seldom to reckon with.
    too_few_below = _largest_count(count, 1 - above, tail)
    too_few_above = _largest_count(count, above, tail)
    if too_few_below is None or too_few_above is None:
        return None
    return too_few_below + 1, count - too_few_above


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
    low, high = histogram.bucket_at(ranks)
    # Times were rounded to the nearest µs: a bucket begins half of one before its first value.
    low_us = max(float(LOWEST_US[low]) - 0.5, 0.0)
    end_us = float(LOWEST_US[high] + WIDTH_US[high]) - 0.5
    max_us = histogram.max_ns / 1000
    # The bucket of the highest value has no end: it holds all that took longer, too.
    return low_us, max_us if end_us > HIGHEST_US else min(end_us, max_us)


def share_above(percent: float) -> float:
    """The share, between 0 and 1, of all latencies that lie above their percentile.

    Raises:
        ValueError: `percent` is not between 0 and 100.
    """
    if not 0 < percent < 100:
        raise ValueError(f"a percentile lies between 0 and 100, not at {percent}")
    return 1 - percent / 100


def chance_at_most(count: int, trials: int, share: float) -> float:
    """P(X ≤ `count`), X binomial of `trials` with chance `share`: I_(1−share)(trials − count,
    count + 1) (DLMF 8.17.5)."""
    # Here, as it takes a tenth of a second, and most commands never ask.
    from scipy.special import betainc

    if count < 0:
        return 0.0
    if count >= trials:
        return 1.0
    return float(betainc(trials - count, count + 1, 1 - share))


def _largest_count(trials: int, share: float, tail: float) -> int | None:
    """The largest k with P(X ≤ k) < `tail`, X binomial of `trials` with chance `share`; None where
    P(X = 0) is no smaller than `tail`.
    """
    if trials < 0:
        raise ValueError(f"a number of requests cannot be negative: {trials}")
    first_not = _smallest(
        lambda k: chance_at_most(k, trials, share) >= tail, 0, round(trials * share)
    )
    return first_not - 1 if first_not else None


def _smallest(passes: Callable[[int], bool], low: int, guess: int) -> int:
    """The smallest integer ≥ `low` that passes, where all above one that passes do too: gallops
    from `guess` until the answer is between two integers, then halves."""
    guess = max(guess, low)
    step = 1
    if passes(guess):
        good, bad = guess, guess - 1
        while bad >= low and passes(bad):
            step *= 2
            good, bad = bad, bad - step
        bad = max(bad, low - 1)
    else:
        good, bad = guess + 1, guess
        while not passes(good):
            step *= 2
            good, bad = good + step, good
    while good - bad > 1:
        middle = (good + bad) // 2
        if passes(middle):
            good = middle
        else:
            bad = middle
    return good
