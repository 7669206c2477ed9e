"""What a number of requests proves of a percentile by MLPerf's early stopping.

It rests on counts alone, whatever the distribution of the latencies, and takes requests to be
independent of each other: MLPerf's rule does. What holds for queues is in dependence.py.

A request is *over* when its latency is above the bound. Were the true share of such requests as
large as the percentile allows, or larger, the chance to see t or fewer of them among n would be at
most P(X ≤ t), X binomial (n, 1 − percent / 100). Once that is below 1 %, the run passes (MLPerf
inference rules, "Early Stopping Criterion", with tolerance 0). LoadGen 6.0 decides by the same
integers.
"""

from collections.abc import Callable

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


def share_above(percent: float) -> float:
    """The share, between 0 and 1, of all latencies that lie above their percentile.

    Raises:
        ValueError: `percent` is not between 0 and 100.
    """
    if not 0 < percent < 100:
        raise ValueError(f"a percentile lies between 0 and 100, not at {percent}")
    return 1 - percent / 100


def chance_at_most(count: float, trials: float, share: float) -> float:
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
