"""How far two sides of several runs are apart: the run is the unit that varies.

A restart, another neighbour on the machine, a cache that came out differently: what is constant
within a run and differs from one to the next moves all requests of a run together, and no look into
a run can see it. Several runs a side show it. Their figures are compared by Student's t, on
logarithms, as what moves a service moves it by so many per cent: of the differences within pairs
where runs took turns under the same schedule, so that what both met cancels (Student 1908); else by
Welch's (1947, The generalization of "Student's" problem, Biometrika 34:28). Where one side has a
run alone, that is taken to vary as the other's do.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tailrace.load.judge.confidence import share_above
from tailrace.runs.compare.series import (
    NAMES,
    UNITS,
    Apart,
    FloatArray,
    RunSeries,
    figures,
    percent_of,
)

_CHANGE = math.log(1.05)
_POWER = 0.8
_MOST_RUNS = 10_000


def apart(base: Sequence[RunSeries], other: Sequence[RunSeries], paired: bool) -> list[Apart]:
    """How far the sides are apart, figure by figure in the order of NAMES; `paired` one by one.

    Of a side it has the geometric mean of its runs' figures; of shares the mean.
    """
    first, second = (np.array([figures(run) for run in side]).T for side in (base, other))
    requests = min(float(run.counts.sum() + run.failed.sum()) for run in (*base, *other))
    of_shares = {
        name: _of_shares(first[column], second[column], paired)
        for column, name in enumerate(NAMES)
        if UNITS[column] == "%"
    }
    return [
        of_shares.get(name)
        or _of_ratios(a, b, paired, percent_of(name), requests, of_shares["failed"])
        for name, a, b in zip(NAMES, first, second, strict=True)
    ]


def _of_shares(base: FloatArray, other: FloatArray, paired: bool) -> Apart:
    means = float(base.mean()), float(other.mean())
    if not all(map(math.isfinite, means)):
        return Apart(*means, doubt="in some run nothing ended")
    found = _gap(base, other, paired)
    return Apart(*means, (found.middle - found.half, found.middle + found.half))


def _of_ratios(
    base: FloatArray,
    other: FloatArray,
    paired: bool,
    percent: float | None,
    requests: float,
    failed: Apart,
) -> Apart:
    with np.errstate(divide="ignore"):
        first, second = np.log(base), np.log(other)
    means = float(np.exp(first.mean())), float(np.exp(second.mean()))
    if np.isfinite([first.sum(), second.sum()]).all():
        if percent is not None and requests * share_above(percent) < 1:
            return Apart(*means, doubt=f"a run of {requests:.0f} requests has too few for it")
        found = _gap(first, second, paired)
        span = math.exp(found.middle - found.half), math.exp(found.middle + found.half)
        return Apart(*means, span, runs_for_5_percent=_runs_to_find(found))
    # All runs of one side are told by their failures, if these are more than noise.
    more = failed.span is not None and not failed.span[0] <= 0 <= failed.span[1]
    for side, another, ratio in ((base, other, 0.0), (other, base, math.inf)):
        if more and np.isinf(side).all() and np.isfinite(another).all():
            return Apart(*means, (ratio, ratio))
    return Apart(*means, doubt="in some run too many failed, or nothing was answered")


@dataclass(frozen=True, slots=True)
class _Gap:
    """By how much the mean of one side is above the other's."""

    middle: float
    half: float
    """Of the 95 % interval around it."""
    spread: float
    """Standard deviation of the difference of one run a side."""
    paired: bool


def _gap(base: FloatArray, other: FloatArray, paired: bool) -> _Gap:
    """Between the values of runs, [n] and [m], two or more of them on one side."""
    n, m = len(base), len(other)
    middle = float(other.mean() - base.mean())
    if paired:
        spread = float(np.std(other - base, ddof=1))
        return _Gap(middle, _t(n - 1, 0.975) * spread / math.sqrt(n), spread, paired)
    variances = [float(np.var(side, ddof=1)) for side in (base, other) if len(side) > 1]
    parts = variances[0] / n, variances[-1] / m
    freedom = float(max(n, m) - 1)
    if min(n, m) > 1 and sum(parts) > 0:
        freedom = sum(parts) ** 2 / (parts[0] ** 2 / (n - 1) + parts[1] ** 2 / (m - 1))
    half = _t(freedom, 0.975) * math.sqrt(sum(parts))
    return _Gap(middle, half, math.sqrt(variances[0] + variances[-1]), paired)


def _runs_to_find(found: _Gap) -> int | None:
    """How many runs a side, or pairs, find the change, going by the spread of those there are."""

    def finds(runs: int) -> bool:
        freedom = runs - 1 if found.paired else 2 * (runs - 1)
        needed = _t(freedom, 0.975) + _t(freedom, _POWER)
        return needed * found.spread <= _CHANGE * math.sqrt(runs)

    runs = bisect_left(range(2, _MOST_RUNS + 1), True, key=finds) + 2
    return runs if runs <= _MOST_RUNS else None


def _t(freedom: float, level: float) -> float:
    # Here, as it takes a tenth of a second, and most commands never ask.
    from scipy.special import stdtrit

    return float(stdtrit(freedom, level))
