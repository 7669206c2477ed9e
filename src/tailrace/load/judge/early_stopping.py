"""MLPerf's early stopping: how many requests prove that a percentile lies within a bound.

A request is *over* when its latency is above the bound. Were the true share of such requests as
large as the percentile allows, or larger, the chance to see t or fewer of them among n would be at
most I_p(n − t, t + 1), p = percent / 100. Once that is below 1 %, the run has shown with 99 %
confidence that the percentile is within the bound (MLPerf inference rules, "Early Stopping
Criterion", with tolerance 0). h_min(t) is the least h with I_p(h, t + 1) < 0.01, where h counts the
requests within the bound and n = h + t. LoadGen 6.0 decides by the same integers.

The criterion takes requests to be independent of each other.
"""

import math
from collections.abc import Callable
from statistics import NormalDist

CONFIDENCE = 0.99
_TAIL = 1 - CONFIDENCE
_CONVERGED = 4e-15
_MOST_STEPS = 100_000
_TINY = 1e-300
"""Stands for a zero that Lentz's method would divide by."""
_STIRLING_FROM = 16.0
"""From here on, the terms of Stirling's series used below leave out less than 1e-15."""


def min_queries(percent: float, over: int) -> int:
    """The fewest requests, `over` of them above the bound, that pass: h_min(t) + t, t = `over`.

    Raises:
        ValueError: `percent` is not between 0 and 100, or `over` is negative.
    """
    if over < 0:
        raise ValueError(f"{over} requests over the bound: it cannot be negative")
    return smallest_trials(over, share_above(percent), _TAIL)


def allowed_over(percent: float, queries: int) -> int | None:
    """The most of `queries` requests that may be above the bound; None where not even 0 would pass.

    Raises:
        ValueError: `percent` is not between 0 and 100, or `queries` is negative.
    """
    return largest_count(queries, share_above(percent), _TAIL)


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


def smallest_trials(count: int, share: float, tail: float) -> int:
    """The smallest n with P(X ≤ `count`) < `tail`, X binomial of n trials with chance `share`.

    Raises:
        ValueError: `count` is negative, or `share` or `tail` is not between 0 and 1.
    """
    if count < 0:
        raise ValueError(f"a count cannot be negative: {count}")
    _check_chances(share, tail)
    low = count + 1
    # Cornish-Fisher's quantile solved for n: a quadratic in √n.
    z, skew = _normal_terms(share, tail)
    spread = -z * math.sqrt(share * (1 - share))
    inside = max(spread**2 + 4 * share * (count + 0.5 - skew), 0.0)
    guess = round(((spread + math.sqrt(inside)) / (2 * share)) ** 2)
    return _smallest(lambda n: chance_at_most(count, n, share) < tail, low, guess)


def largest_count(trials: int, share: float, tail: float) -> int | None:
    """The largest k with P(X ≤ k) < `tail`, X binomial of `trials` with chance `share`; None where
    P(X = 0) is no smaller than `tail`.

    Raises:
        ValueError: `trials` is negative, or `share` or `tail` is not between 0 and 1.
    """
    if trials < 0:
        raise ValueError(f"a number of trials cannot be negative: {trials}")
    _check_chances(share, tail)
    z, skew = _normal_terms(share, tail)
    spread = math.sqrt(trials * share * (1 - share))
    guess = round(trials * share + z * spread + skew - 0.5)
    first_not = _smallest(lambda k: chance_at_most(k, trials, share) >= tail, 0, guess)
    return first_not - 1 if first_not else None


def chance_at_most(count: int, trials: int, share: float) -> float:
    """P(X ≤ `count`), X binomial of `trials` with chance `share`: I_(1−share)(trials − count,
    count + 1) (DLMF 8.17.5)."""
    if count < 0:
        return 0.0
    if count >= trials:
        return 1.0
    return regularized_beta(1 - share, trials - count, count + 1)


def regularized_beta(x: float, a: float, b: float) -> float:
    """I_x(a, b), the regularized incomplete beta function, for 0 ≤ x ≤ 1 and a, b > 0.

    By the continued fraction DLMF 8.17.22 where that converges fast, in some tens of steps, and by
    I_x(a, b) = 1 − I_(1−x)(b, a) (DLMF 8.17.4) elsewhere. Where the first applies, as for every
    small chance, the relative error is below 1e-11 up to a + b = 1e8. There, one request more or
    less changes a chance of 1 % by 1e-7 of itself or more (p99.999; p99: 3e-5): a search by these
    chances ends at the very integer.

    Raises:
        ValueError: an argument is outside its range.
        ArithmeticError: the continued fraction does not converge (it does up to a + b = 1e15).
    """
    if not (0 <= x <= 1 and a > 0 and b > 0):
        raise ValueError(f"I_x(a, b) with x = {x}, a = {a}, b = {b} is not defined")
    if x in (0, 1):
        return float(x)
    y = 1 - x
    if x < (a + 1) / (a + b + 2):
        return _power_term(x, y, a, b) * _fraction(x, y, a, b)
    return 1 - _power_term(y, x, b, a) * _fraction(y, x, b, a)


def _power_term(x: float, y: float, a: float, b: float) -> float:
    """xᵃ yᵇ / B(a, b), with y = 1 − x.

    Γ is replaced by Stirling's formula with its remainder Δ, and what is large cancels on paper:
    √(ab / 2π(a+b)) · exp(a ln(x/x₀) + b ln(y/y₀) + Δ(a+b) − Δ(a) − Δ(b)), x₀ = a / (a+b) = 1 − y₀.
    The difference of three log-gammas would lose nine digits at a = 1e8.
    """
    off = x * b - y * a
    exponent = a * _log_ratio(x, a / (a + b), off / a)
    exponent += b * _log_ratio(y, b / (a + b), -off / b)
    exponent += _stirling_rest(a + b) - _stirling_rest(a) - _stirling_rest(b)
    return math.sqrt(a / (a + b) * b / (2 * math.pi)) * math.exp(exponent)


def _log_ratio(value: float, mean: float, excess: float) -> float:
    """ln(`value` / `mean`), where `excess` = `value` / `mean` − 1: each is exact where the other
    loses digits."""
    return math.log1p(excess) if excess > -0.5 else math.log(value / mean)


def _stirling_rest(z: float) -> float:
    """ln Γ(z) − ((z − ½) ln z − z + ½ ln 2π), DLMF 5.11.1."""
    if z < _STIRLING_FROM:
        return math.lgamma(z) - ((z - 0.5) * math.log(z) - z + 0.5 * math.log(2 * math.pi))
    r = 1 / z**2
    return (1 / 12 - r * (1 / 360 - r * (1 / 1260 - r * (1 / 1680 - r / 1188)))) / z


def _fraction(x: float, y: float, a: float, b: float) -> float:
    """(1/a) / (1 + d₁/(1 + d₂/(1 + …))) with the dₙ of DLMF 8.17.23, and y = 1 − x.

    Each two levels are taken as one: the even part of DLMF 8.17.22, 1/(β₀ + α₁/(β₁ + …)) with
        αₘ = (a+m−1) (a+b+m−1) m (b−m) x² / (a+2m−1)²
        βₘ = m + m (b−m) x / (a+2m−1) + (a+m) / (a+2m+1) · (ay − bx + 1 + m (1+y))
    (DiDonato and Morris, ACM TOMS 18, 1992, equation 9). As long as m < b it has positive terms
    alone; the fraction itself takes a d near −1 from 1 at each second level, and loses the digits.
    Evaluated by Lentz's method as modified by Thompson and Barnett (J. Comput. Phys. 64, 1986).
    """
    off = a * y - b * x + 1
    ratio = a / (a + 1) * off or _TINY
    c, d = ratio, 0.0
    for m in range(1, _MOST_STEPS):
        k = a + 2 * m - 1
        alpha = (a + m - 1) / k * ((a + b + m - 1) / k) * m * (b - m) * x * x
        beta = m + m * (b - m) * x / k + (a + m) / (k + 2) * (off + m * (1 + y))
        d = 1 / (beta + alpha * d or _TINY)
        c = beta + alpha / c or _TINY
        ratio *= c * d
        if abs(c * d - 1) < _CONVERGED:
            return 1 / ratio
    raise ArithmeticError(f"I_x(a, b) with x = {x}, a = {a}, b = {b} is beyond this method")


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


def _normal_terms(share: float, tail: float) -> tuple[float, float]:
    """The normal quantile of `tail`, and what a binomial's skewness adds to its own quantile
    (Cornish and Fisher 1938, first term)."""
    z = NormalDist().inv_cdf(tail)
    return z, (z**2 - 1) * (1 - 2 * share) / 6


def _check_chances(share: float, tail: float) -> None:
    if not (0 < share < 1 and 0 < tail < 1):
        raise ValueError(f"chances lie between 0 and 1, not at {share} or {tail}")
