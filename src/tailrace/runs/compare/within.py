"""How far two runs are apart by what each says of its own noise.

A percentile's interval is the one that the run itself is shown with. What is summed up, as the mean
is, has one from batches of stretches the same way: for one length of batches after the other, since
the longer one is, the less it depends on its neighbour, and the fewer there are; the widest spread
of all is taken (batch means: Alexopoulos and Seila 1998, Output data analysis, in Banks ed.,
Handbook of Simulation).

Both runs' intervals give that of their ratio or difference (Zou and Donner 2008, Construction of
confidence limits about effect measures: a general approach, Statistics in Medicine 27:1693). So two
runs whose own intervals lie apart differ. Of what varies between runs nothing is seen: that is
`between`.
"""

import math
from collections.abc import Iterator

import numpy as np

from tailrace.load.judge.dependence import interval_us
from tailrace.load.judge.stretches import Stretches
from tailrace.runs.compare.series import (
    ENDLESS_US,
    NAMES,
    PERCENTS,
    UNITS,
    Apart,
    FloatArray,
    RunSeries,
    Span,
    figures,
    influences,
)

LEAST_BATCHES = 8
"""With fewer in a run nothing can be said of chance."""
_Z = 1.96
"""Of a normal distribution's middle 95 %."""


def apart(base: RunSeries, other: RunSeries, same_schedule: bool) -> list[Apart]:
    """How far two runs are apart, figure by figure in the order of NAMES.

    Where both had the very same schedule, what moved both of them at the same time cancels.
    """
    clustered = max(map(_clustering, (base, other)))
    shared = np.zeros(len(NAMES))
    if same_schedule and len(base) == len(other):
        shared = _in_common(base, other)
    columns = zip(
        *(map(float, figures(run)) for run in (base, other)),
        *(_spans(run, clustered) for run in (base, other)),
        map(float, shared),
        UNITS,
        strict=True,
    )
    return [_apart(*column) for column in columns]


def wilson(share: float, total: float, z: float) -> Span:
    """The interval of a share seen among `total` (Wilson 1927), `z` standard errors wide."""
    middle = share + z**2 / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return (middle - half) / (1 + z**2 / total), (middle + half) / (1 + z**2 / total)


def _apart(
    base: float, other: float, first: Span | None, second: Span | None, shared: float, unit: str
) -> Apart:
    if first is None or second is None:
        return Apart(base, other, doubt="too short a run to tell")
    ends = base, *first, other, *second
    if unit == "%":
        return Apart(base, other, _combined(ends[:3], ends[3:], shared))
    if math.isinf(max(ends)) or not min(ends):
        least = second[0] / first[1] if 0 < first[1] < math.inf else 0.0
        of_endless = 0.0 if second[1] < first[0] else math.inf
        most = second[1] / first[0] if 0 < first[0] < math.inf else of_endless
        return Apart(base, other, (least, most))
    logs = tuple(map(math.log, ends))
    low, high = _combined(logs[:3], logs[3:], shared)
    return Apart(base, other, (math.exp(low), math.exp(high)))


def _combined(base: tuple[float, ...], other: tuple[float, ...], shared: float) -> Span:
    """Of other − base, each a value and its interval: errors add up as correlated ones do."""

    def added(one: float, another: float) -> float:
        return math.sqrt(one**2 + another**2 - 2 * shared * one * another)

    (a, low_a, high_a), (b, low_b, high_b) = base, other
    return b - a - added(b - low_b, high_a - a), b - a + added(high_b - b, a - low_a)


def _spans(series: RunSeries, clustered: float) -> list[Span | None]:
    """95 % intervals of a run's figures; None where it is too short to tell one. Failures come in
    rows at least as `clustered` says.
    """
    if len(series) < LEAST_BATCHES or not series.counts.any():
        return [None] * len(NAMES)
    measured = figures(series)
    mean, *_, failures, answers = influences(series, measured)
    answered, failed = float(series.counts.sum()), float(series.failed.sum())
    total = answered + failed
    stretches = series.stretches()
    share = failed / total
    low, high = wilson(share, total / max(clustered, _inflation(failures, share, total)), _Z)
    percentiles = [_of_percentile(stretches, percent) for percent in PERCENTS]
    of_mean = _around(float(measured[0]), _Z * _spread(mean) / answered)
    return [
        # A run that forgets too slowly to tell its median tells no mean.
        of_mean if percentiles[0] is not None else None,
        *percentiles,
        (100 * low, 100 * high),
        _around(float(measured[-1]), _Z * _spread(answers) / float(series.length_s.sum())),
    ]


def _clustering(series: RunSeries) -> float:
    failed = float(series.failed.sum())
    total = failed + float(series.counts.sum())
    if not failed or len(series) < LEAST_BATCHES:
        return 1.0
    *_, failures, _ = influences(series, figures(series))
    return _inflation(failures, failed / total, total)


def _in_common(base: RunSeries, other: RunSeries) -> FloatArray:
    """How far the runs were moved by the same, [len(NAMES)] from 0 to 1: of each figure the
    correlation of what their stretches did to it, as much of it as is certain.
    """
    if not (base.counts.any() and other.counts.any()):
        return np.zeros(len(NAMES))
    length = max(len(base) // 30, 1)
    pulls = (influences(series, figures(series)) for series in (base, other))
    found = [
        _certain_correlation(_sums(one, length), _sums(another, length))
        for one, another in zip(*pulls, strict=True)
    ]
    return np.array(found)


def _certain_correlation(one: FloatArray, another: FloatArray) -> float:
    if len(one) < LEAST_BATCHES or not one.any() or not another.any():
        return 0.0
    measured = float(np.clip(np.corrcoef(one, another)[0, 1], -0.999, 0.999))
    # Fisher's transformation, and one and a half standard errors below.
    return max(math.tanh(math.atanh(measured) - 1.5 / math.sqrt(len(one) - 3)), 0.0)


def _inflation(pull: FloatArray, share: float, total: float) -> float:
    """How many times the variance of independent requests a sum over them has, at least 1."""
    independent = total * share * (1 - share)
    return max(_spread(pull) ** 2 / independent, 1.0) if independent > 0 else 1.0


def _spread(pull: FloatArray) -> float:
    """The standard error of the sum of `pull`, [n], with t's quantile for z's: the largest that
    batches of any length say.
    """
    # Here, as it takes a tenth of a second, and most commands never ask.
    from scipy.special import stdtrit

    largest = 0.0
    for length in _lengths(len(pull)):
        sums = _sums(pull, length)
        # Stretches that fill no batch have their share of the noise, too.
        error = math.sqrt(float(np.var(sums, ddof=1)) * len(pull) / length)
        largest = max(largest, error * float(stdtrit(len(sums) - 1, 0.975)) / _Z)
    return largest


def _lengths(stretches: int) -> Iterator[int]:
    length = 1
    while stretches // length >= LEAST_BATCHES:
        yield length
        length = max(length + 1, 3 * length // 2)


def _sums(pull: FloatArray, length: int) -> FloatArray:
    whole = len(pull) // length
    sums: FloatArray = pull[: whole * length].reshape(whole, length).sum(axis=1)
    return sums


def _of_percentile(stretches: Stretches, percent: float) -> Span | None:
    ends = interval_us(stretches, percent)
    if ends is None:
        return None
    low, high = (math.inf if end > ENDLESS_US else end / 1000 for end in ends)
    return low, high


def _around(value: float, half: float) -> Span | None:
    """Equally wide by ratio: neither a time nor a rate is below 0."""
    if not value:
        return None
    wide = math.exp(half / value)
    return value / wide, value * wide
