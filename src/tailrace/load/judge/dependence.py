"""What a run says of a percentile or a bound, where its requests depend on each other.

In a queue a slow request makes the next ones slow, and a row of them is one piece of news. Counts
of such requests vary by F times as much as independent ones would, so n requests say as much as
n / F of those (the *effective sample size*).

**Intervals** and **decisions** are those of counts alone, whatever the distribution of latencies:
exact binomial (Thompson 1936; Clopper and Pearson 1934), of n / F requests. By simulation of
queues whose truth is known they hold what they say: docs/truth.md.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from tailrace.load.judge.confidence import share_above
from tailrace.load.judge.slo import Slo
from tailrace.load.judge.spread import Spread, raised, spread_of
from tailrace.load.judge.stretches import Stretches, first_over
from tailrace.load.measure.histogram import HIGHEST_US, LOWEST_US, WIDTH_US
from tailrace.units import format_duration

ERROR = 0.01
"""The chance of a wrong decision where the truth is just beyond the bound."""
KEPT_AFTER_S = 60.0
"""No bound is kept before: what happens once a minute may not have come yet."""
LARGEST_RARE = 0.001
"""What a bound on the largest has to be kept for: no run can show that nothing ever is above."""
_LEVELS = (50.0, 75.0, 90.0, 95.0, 99.0)
_MEMORY_LEVELS = (50.0, 75.0, 90.0)
_FORGETS = 30
"""Correlation times that an interval takes: in fewer, a run may have been a quiet spell."""
_TAIL_OF_MEAN = 0.05
"""The share of the slowest requests that make a mean vary."""
_MOST_LONGER = 100.0
"""Times the length of a run: a time still needed beyond that cannot be told."""

Decided = Literal["kept", "broken", "undecided"]


class SloDecision(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the service keeps a bound, as far as a run decides it."""

    outcome: Decided
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


@dataclass(frozen=True, slots=True)
class _Evidence:
    """A run's requests as if they were `longer` times as many, of which there are two chances: to
    see no more over the bound than it did, or no fewer, were the truth just at the bound."""

    fewer: Callable[[float], float]
    more: Callable[[float], float]


def interval_us(
    stretches: Stretches, percent: float, level: float = 0.95
) -> tuple[float, float] | None:
    """The times in µs between which the percentile of what was answered lies, with confidence
    `level`; None where the run is too short to tell.

    The buckets at its ends are taken whole, which widens it by at most 0.1 % or 1 µs a side.

    Raises:
        ValueError: `percent` is not between 0 and 100, or `level` is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, not at {level}")
    above, tail = share_above(percent), (1 - level) / 2
    if not stretches.latency.total or _forgets_too_slowly(stretches):
        return None
    spreads = _spreads_at(stretches, _levels(percent), with_failures=False)
    effective = _effective(stretches.latency.total, spreads, min(above, 1 - above), tail)
    few, many = _count_quantiles(effective, min(above, 1 - above), tail)
    if few <= 0 or few * stretches.latency.total < effective:
        return None
    beyond = (many, few) if above <= 0.5 else (effective - few, effective - many)
    return _between_us(stretches, [1 - count / effective for count in beyond])


def decide(stretches: Stretches, slo: Slo) -> SloDecision:
    """Whether the service keeps `slo`, as far as the run decides it.

    A bound on the largest is broken by one request, and kept once fewer than LARGEST_RARE of all
    are shown to be above; one on the mean is broken by one failure.
    """
    failed = stretches.failed
    bucket = first_over(slo.bound_s, slo.inclusive)
    over = stretches.over(np.array([bucket]))[0] + failed
    ended = stretches.answered + failed
    n, t = int(ended.sum()), int(over.sum())
    certainly_broken = slo.percent is None and (t if slo.statistic == "max" else failed.sum()) > 0
    if not n or certainly_broken:
        outcome: Decided = "broken" if n else "undecided"
        reason = f"{t:,} of {n:,} requests are over it" if n else "no request came to its end"
        return SloDecision(
            outcome=outcome, confidence=float(bool(n)), over=t, ended=n, reason=reason
        )
    if slo.statistic == "mean":
        evidence, seen = _evidence_of_mean(stretches, slo.bound_s), _mean_seen(stretches)
    else:
        rare = LARGEST_RARE if slo.percent is None else share_above(slo.percent)
        evidence = _evidence_of_share(stretches, bucket, n, t, rare)
        so, may = ("failed", "may") if slo.is_on_failures else ("are over it", "may be")
        seen = f"{100 * t / n:.3g} % of {n:,} requests {so}; {100 * rare:.3g} % {may}"
    fewer, more = evidence.fewer(1.0), evidence.more(1.0)
    long_enough = stretches.length_s >= 0.99 * KEPT_AFTER_S
    outcome = "undecided"
    if fewer < ERROR and long_enough:
        outcome = "kept"
    elif more < ERROR:
        outcome = "broken"
    needed_s = _needed_s(stretches.length_s, evidence) if outcome == "undecided" else None
    told = needed_s is not None
    if outcome == "undecided" and not told and not long_enough:
        needed_s = math.ceil(KEPT_AFTER_S - stretches.length_s)
    return SloDecision(
        outcome=outcome,
        confidence=round(max(1 - min(fewer, more), 0.5), 4),
        over=t,
        ended=n,
        needed_s=needed_s,
        reason=_reason(seen, outcome, 1 - min(fewer, more), needed_s, told, fewer < ERROR),
    )


def _reason(
    seen: str,
    outcome: Decided,
    confidence: float,
    needed_s: float | None,
    is_told: bool,
    too_soon: bool,
) -> str:
    if outcome != "undecided":
        return f"{seen} ({min(100 * confidence, 99.99):.4g} % sure)"
    if needed_s is None:
        return f"{seen}; how long it would take cannot be told"
    if not is_told:
        return f"{seen}; too short to tell: {format_duration(needed_s)} more may decide it"
    if too_soon:
        return (
            f"{seen}; what happens once a minute may not have come yet: "
            f"{format_duration(needed_s)} more would decide it"
        )
    return f"{seen}; {format_duration(needed_s)} more would decide it if that goes on"


def _evidence_of_share(stretches: Stretches, bucket: int, n: int, t: int, rare: float) -> _Evidence:
    spreads = _spreads_at(stretches, _levels(100 * (1 - rare)), with_failures=True)
    spreads.append(_spreads(stretches, [bucket], with_failures=True)[0])

    def fewer(longer: float) -> float:
        m = _effective(n * longer, spreads, rare, ERROR, longer)
        return _binomial_at_most(m * t / n, m, rare)

    def more(longer: float) -> float:
        m = _effective(n * longer, spreads, rare, ERROR, longer)
        if not t:
            return 1.0
        # Markov's inequality, however requests depend on each other: no run is over by 1 in 2 more
        # often than 2 × `rare`. What no run is too short for.
        return min(_binomial_at_most(m * (n - t) / n, m, 1 - rare), rare * n / t * (1 - 1e-9))

    return _Evidence(fewer, more)


def _evidence_of_mean(stretches: Stretches, bound_s: float) -> _Evidence:
    latency = stretches.latency
    middles_s = (LOWEST_US[latency.buckets] + (WIDTH_US[latency.buckets] - 1) / 2) / 1e6
    mean_s = latency.sum_ns / latency.total / 1e9
    variance = float((latency.counts * (middles_s - mean_s) ** 2).sum())
    n = latency.total
    (spread,) = spread_of(
        stretches.sums_s[np.newaxis], stretches.answered, stretches.strata, np.array([variance])
    )

    # Latencies of a queue are skewed, and vary more where their mean is longer: so is their mean,
    # as a gamma distribution whose scale is the mean.
    def shape(longer: float) -> float:
        inflation = max(spread.inflation, 1.0)
        effective = n * longer / inflation
        rows = max(_TAIL_OF_MEAN * effective, 1.0)
        freedom = min(spread.freedom * longer, rows)
        return effective * mean_s**2 / max(variance / n, 1e-18) / raised(freedom, ERROR)

    def fewer(longer: float) -> float:
        from scipy.special import gammainc

        size = shape(longer)
        return float(gammainc(size, size * mean_s / bound_s)) if size else 1.0

    def more(longer: float) -> float:
        from scipy.special import gammaincc

        size = shape(longer)
        return float(gammaincc(size, size * mean_s / bound_s)) if size else 1.0

    return _Evidence(fewer, more)


def _mean_seen(stretches: Stretches) -> str:
    latency = stretches.latency
    mean = format_duration(latency.sum_ns / latency.total / 1e9)
    return f"the mean of {latency.total:,} requests is {mean}"


def _needed_s(length_s: float, evidence: _Evidence) -> float | None:
    """How much longer a run would decide, if it went on alike."""

    def decides(longer: float) -> bool:
        kept = evidence.fewer(longer) < ERROR and length_s * longer >= KEPT_AFTER_S
        return kept or evidence.more(longer) < ERROR

    undecided, decided = 1.0, 1.0
    while not decides(decided):
        if decided >= _MOST_LONGER:
            return None
        undecided, decided = decided, 1.5 * decided
    while decided / undecided > 1.02:
        middle = math.sqrt(undecided * decided)
        undecided, decided = (undecided, middle) if decides(middle) else (middle, decided)
    return float(math.ceil(length_s * (decided - 1)))


def _levels(percent: float) -> list[float]:
    return [*(level for level in _LEVELS if level < percent - 1e-9), percent]


def _forgets_too_slowly(stretches: Stretches) -> bool:
    spreads = _spreads_at(stretches, _MEMORY_LEVELS, with_failures=False)
    correlation = max(spread.correlation for spread in spreads)
    return correlation > 0 and len(stretches) * -math.log(correlation) < _FORGETS


def _effective(
    n: float, spreads: list[Spread], rare: float, tail: float, longer: float = 1.0
) -> float:
    """How many independent requests say as much as `n`, of which a share of `rare` is beyond what
    is asked, to one who errs with a chance of `tail`."""
    rows = max(n / max(1.0, *(spread.inflation for spread in spreads)) * rare, 1.0)
    inflations = (
        spread.inflation * raised(min(spread.freedom * longer, rows), tail) for spread in spreads
    )
    return n / max(1.0, *inflations)


def _binomial_at_most(count: float, trials: float, share: float) -> float:
    """P(X ≤ count) of a binomial made continuous by the beta function, as DLMF 8.17.5."""
    from scipy.special import betainc

    return float(betainc(trials - count, count + 1, 1 - share)) if count < trials else 1.0


def _count_quantiles(trials: float, share: float, tail: float) -> tuple[float, float]:
    """Of the same, the counts that a smaller, or a larger one has a chance of `tail`; the first is
    below 0 where none has."""
    from scipy.special import bdtrik

    if (1 - share) ** trials >= tail:
        return -1.0, trials
    return float(bdtrik(tail, trials, share)), float(bdtrik(1 - tail, trials, share)) + 1


def _between_us(stretches: Stretches, shares: list[float]) -> tuple[float, float]:
    latency = stretches.latency
    ranks = np.clip(np.ceil(np.array(shares) * latency.total), 1, latency.total)
    first, last = latency.bucket_at(ranks)
    # Times were rounded to the nearest µs: a bucket begins half of one before its first value.
    low_us = max(float(LOWEST_US[first]) - 0.5, 0.0)
    end_us = float(LOWEST_US[last] + WIDTH_US[last]) - 0.5
    max_us = latency.max_ns / 1000
    # The bucket of the highest value has no end: it holds all that took longer, too.
    return low_us, max_us if end_us > HIGHEST_US else min(end_us, max_us)


def _spreads_at(
    stretches: Stretches, percents: list[float] | tuple[float, ...], with_failures: bool
) -> list[Spread]:
    """Of the counts above percentiles of what was seen; failed requests are above all."""
    latency = stretches.latency
    if not latency.total:
        return [Spread(1.0, math.inf, 0.0) for _ in percents]
    total = latency.total + (stretches.failures if with_failures else 0)
    ranks = np.clip(np.ceil(np.array(percents) / 100 * total - 1e-9), 1, latency.total)
    buckets = [int(bucket) + 1 for bucket in latency.bucket_at(ranks)]
    return _spreads(stretches, buckets, with_failures)


def _spreads(stretches: Stretches, buckets: list[int], with_failures: bool) -> list[Spread]:
    """Of the counts in each of `buckets` or beyond, remembered until stretches are added."""
    memo = stretches.memo
    missing = sorted({bucket for bucket in buckets if (bucket, with_failures) not in memo})
    if missing:
        failed = stretches.failed if with_failures else 0.0
        over = stretches.over(np.array(missing)) + failed
        ended = stretches.answered + failed
        shares = over.sum(axis=1) / ended.sum()
        independent = ended.sum() * shares * (1 - shares)
        for bucket, spread in zip(
            missing, spread_of(over, ended, stretches.strata, independent), strict=True
        ):
            memo[bucket, with_failures] = spread
    return [memo[bucket, with_failures] for bucket in buckets]
