"""The figures that runs are compared by, of a series or of anything drawn from it."""

import numpy as np

from tailrace.load.measure import point
from tailrace.runs.compare.series import FloatArray, Series

PERCENTS = tuple(point.PERCENTS.values())
NAMES = ("mean", *point.PERCENTS, "failed", "completed/s")
UNITS = ("ms", *("ms" for _ in PERCENTS), "%", "/s")


def figures(series: Series, weights: FloatArray | None = None) -> FloatArray:
    """Figures, float64 [r, len(NAMES)], of r draws from `series`; `weights`, float64 [r, n], says
    how often each stretch is in each, None once.

    Percentiles are of all requests, those that failed slower than any other: infinite where they
    reach the percentile. `mean` is of what was answered. NaN where there is nothing to take one of.
    """
    if weights is None:
        weights = np.ones((1, len(series)))
    # Drawing is a sum, so it may come after the sums over the buckets.
    answered_up_to = weights @ np.cumsum(series.counts, axis=1)
    answered = weights @ series.counts.sum(axis=1)
    failed = weights @ series.failed
    total = answered + failed
    latency_ms = np.append(series.latency_ms, np.inf)
    with np.errstate(invalid="ignore", divide="ignore"):
        columns = [weights @ (series.counts @ series.latency_ms) / answered]
        for percent in PERCENTS:
            rank = np.maximum(np.ceil(percent / 100 * total - 1e-9), 1)
            bucket = (answered_up_to < rank[:, None]).sum(axis=1)
            columns.append(np.where(total > 0, latency_ms[bucket], np.nan))
        columns.append(100 * failed / total)
        columns.append(answered / (weights @ series.length_s))
    return np.stack(columns, axis=1)


def influences(series: Series, measured: FloatArray) -> list[FloatArray]:
    """By how much each stretch pulls at each figure, [n] of mean about 0: what chance does to a
    figure is what it does to the sum of these. `measured`, [len(NAMES)], is that of the series.
    """
    answered = series.counts.sum(axis=1)
    total = answered + series.failed
    mean_ms, *percentiles_ms, failed_percent, completed_per_s = measured
    pulls = [series.counts @ series.latency_ms - mean_ms * answered]
    for percent, value_ms in zip(PERCENTS, percentiles_ms, strict=True):
        over = series.counts[:, series.latency_ms > value_ms].sum(axis=1) + series.failed
        pulls.append(over - (1 - percent / 100) * total)
    pulls.append(series.failed - failed_percent / 100 * total)
    pulls.append(answered - completed_per_s * series.length_s)
    return [pull - pull.mean() for pull in pulls]


def occasions(series: Series, measured: FloatArray, length: float) -> FloatArray:
    """How many separate pieces of news the series has of each figure, [len(NAMES)], if stretches
    closer than `length` to each other are one: for a percentile those with requests at or beyond
    it, for the failed share those with failures, else all.
    """
    place = np.arange(len(series))
    news = [place]
    for value_ms in measured[1 : 1 + len(PERCENTS)]:
        beyond = series.counts[:, series.latency_ms >= value_ms].sum(axis=1) + series.failed
        news.append(np.flatnonzero(beyond))
    news += [np.flatnonzero(series.failed), place]
    return np.array([float(len(np.unique(places // length))) for places in news])


def rounding(series: Series, latency_ms: float) -> float:
    """By what share `latency_ms`, one of the series' figures, may be off as it was rounded."""
    if not np.isfinite(latency_ms) or latency_ms <= 0:
        return 0.0
    place = min(int(np.searchsorted(series.latency_ms, latency_ms)), len(series.latency_ms) - 1)
    return float(series.half_width_ms[place] / latency_ms)
