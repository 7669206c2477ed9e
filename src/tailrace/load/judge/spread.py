"""By how much the dependence of requests swells how their counts vary: F, by batch means.

F comes from how counts above a threshold vary from stretch to stretch of a run, by batch means:
batches of 1, 2, 3, 4, 6, 9, … stretches, up to the first whose sums depend on their neighbours by
no more than a standard error of that correlation; what it leaves is added, as for an autoregressive
process of order 1 (Tafazzoli, Steiger and Wilson 2011, N-Skart: a nonsequential skewness- and
autoregression-adjusted batch-means procedure; Alexopoulos and Steiger). A correlation of few is
estimated too low by (1 + 3r) / m (Kendall 1954). Where few requests are above, too few rows of
them are seen: so F is the largest of a percentile's own and of those below it.

F is itself an estimate, from m batches and from no more rows than there are effective requests
beyond the percentile. The smaller of the two is the freedom of a t distribution: its quantile
squared, against the normal's, raises F.
"""

import math
from dataclasses import dataclass

import numpy as np

from tailrace.load.judge.stretches import Floats
from tailrace.load.measure.histogram import IntArray

FEWEST_BATCHES = 8
_MOST_CORRELATED = 0.8
"""What a sum of a batch is taken to have to do with the next, at most: more cannot be told."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How a sum over stretches varies."""

    inflation: float
    """Of its variance, against independent requests; inf where there are too few stretches."""
    freedom: float
    correlation: float
    """Of neighbouring stretches."""


def spread_of(
    sums: Floats, ended: Floats, strata: list[IntArray], independent: Floats
) -> list[Spread]:
    """How sums by stretch [k, n] vary that are of `ended` requests [n], against the variance of
    `independent` ones [k]; those without any do not."""
    known = independent > 0
    inflation = np.where(known, math.inf, 1.0)
    largest, correlation = np.zeros(len(sums)), np.zeros(len(sums))
    freedom = np.where(known, 1.0, math.inf)
    looking = known.copy()
    for size in _sizes(sum(map(len, strata))):
        batches = [_batches(sums, ended, part, size) for part in strata if len(part) >= 2 * size]
        many = sum(batch.shape[1] for batch in batches)
        if many < FEWEST_BATCHES or not looking.any():
            break
        squares = sum((batch**2).sum(axis=1) for batch in batches)
        products = sum((batch[:, 1:] * batch[:, :-1]).sum(axis=1) for batch in batches)
        covered = size * many / sum(map(len, strata))
        variance = squares * many / (many - len(batches)) / covered
        lag = np.divide(products, squares, out=np.zeros(len(sums)), where=squares > 0)
        lag += (1 + 3 * np.maximum(lag, 0)) / many
        if size == 1:
            correlation = lag
        left = np.clip(lag, 0, _MOST_CORRELATED)
        largest = np.maximum(largest, variance * (1 + left) / (1 - left))
        inflation = np.where(looking, largest / np.where(known, independent, 1.0), inflation)
        freedom = np.where(looking, many - len(batches), freedom)
        looking &= lag >= 1 / math.sqrt(many)
    return [
        Spread(float(f), float(m), min(float(r), 1 - 1e-9))
        for f, m, r in zip(inflation, freedom, correlation, strict=True)
    ]


def _batches(sums: Floats, ended: Floats, part: IntArray, size: int) -> Floats:
    """What batches of `size` stretches of a stratum are above its mean, [k, m]."""
    share = sums[:, part].sum(axis=1, keepdims=True) / max(ended[part].sum(), 1.0)
    residuals = sums[:, part] - share * ended[part]
    many = len(part) // size
    batches = residuals[:, : many * size].reshape(len(sums), many, size).sum(axis=2)
    return np.asarray(batches - batches.mean(axis=1, keepdims=True), dtype=np.float64)


def _sizes(most: int) -> list[int]:
    sizes = [1, 2, 3, 4]
    while sizes[-1] * FEWEST_BATCHES <= most:
        sizes.append(int(sizes[-1] * 1.5))
    return [size for size in sizes if size * FEWEST_BATCHES <= most]


def raised(freedom: float, tail: float) -> float:
    """By how much an inflation grows that is an estimate of such freedom, for one who errs with a
    chance of `tail`."""
    # Here, as it takes a tenth of a second, and most commands never ask.
    from scipy.special import ndtri, stdtrit

    return float(stdtrit(freedom, 1 - tail) / ndtri(1 - tail)) ** 2
