"""A run as a series of stretches of time, each with its counts: what can be resampled, and the
figures of it, or of many resamples at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tailrace.load.measure.histogram import LOWEST_US, WIDTH_US, IntArray
from tailrace.load.measure.point import PERCENTS as SHOWN
from tailrace.load.measure.point import Point
from tailrace.load.session.result import answering_s
from tailrace.runs.files import RunFiles
from tailrace.runs.histogram_log import LoggedIntervals, start_of

FloatArray = NDArray[np.float64]

PERCENTS = tuple(SHOWN.values())
NAMES = ("mean", *SHOWN, "failed", "completed/s")
UNITS = ("ms", *("ms" for _ in PERCENTS), "%", "/s")
"""Of the figures, and their units: in the order of a row of them."""

LONGEST = 600
"""Stretches in a series, at most: of a longer run, several intervals are taken together."""


@dataclass(frozen=True, slots=True)
class RunSeries:
    """The requests of a run by when they came to their end, n stretches of k latencies."""

    length_s: FloatArray
    """[n]: how long each stretch lasted; of the last one up to the last answer, if that came after
    the offering."""
    latency_ms: FloatArray
    """[k], ascending: the middles of the histogram's buckets."""
    half_width_ms: FloatArray
    """[k]: by how much a latency may differ from its bucket's middle."""
    counts: FloatArray
    """[n, k]: answered requests, whole numbers."""
    failed: FloatArray
    """[n]: failed requests, whole numbers."""
    unread: int = 0
    """Intervals left out because their line in one of the files is missing or damaged."""

    def __len__(self) -> int:
        return len(self.length_s)


def read_series(
    directory: Path, points: Sequence[Point], duration_s: float, answered_s: float | None = None
) -> RunSeries:
    """The series of the run in `directory`, whose timeline is `points`.

    What was answered after the offering had ended, `duration_s` into the run, is added to the last
    stretch that offered something; the last answer came `answered_s` into the run, if that is
    known.
    """
    if answered_s is None:
        answered_s = max((point.t_s for point in points if point.completed), default=None)
    log = RunFiles(directory).intervals()
    rows = {start: row for row, start in enumerate(log.starts)}
    known = [(point, rows[key]) for point in points if (key := start_of(point)) in rows]
    ends_s = duration_s, answering_s(duration_s, answered_s)
    return _lay_out(known, log, *ends_s, unread=len(points) - len(known))


def _lay_out(
    known: Sequence[tuple[Point, int]],
    log: LoggedIntervals,
    offered_s: float,
    answered_s: float,
    unread: int,
) -> RunSeries:
    begin_s = np.array([point.t_s - point.interval_s for point, _ in known])
    end_s = np.array([point.t_s for point, _ in known])
    offering_s, length_s = (
        np.clip(np.minimum(end_s, until_s) - begin_s, 0.0, None)
        for until_s in (offered_s, answered_s)
    )
    # A rest, and what came after it, is no stretch of its own.
    usual_s = np.median(offering_s[offering_s > 0]) if (offering_s > 0).any() else 0.0
    whole = offering_s >= 0.5 * usual_s
    place = np.maximum(np.cumsum(whole) - 1, 0)
    place //= max(1, -(-int(whole.sum()) // LONGEST))
    size = int(place[-1]) + 1 if len(place) else 0
    counts = np.zeros((size, len(log.buckets)))
    np.add.at(counts, place, log.counts[[row for _, row in known]].astype(np.float64))
    failed = [float(sum(point.failed.values())) for point, _ in known]
    return RunSeries(
        length_s=_sums(place, length_s, size),
        latency_ms=_middles_ms(log.buckets),
        half_width_ms=WIDTH_US[log.buckets] / 2000,
        counts=counts,
        failed=_sums(place, np.array(failed), size),
        unread=unread,
    )


def _sums(place: IntArray, values: FloatArray, size: int) -> FloatArray:
    sums = np.zeros(size)
    np.add.at(sums, place, values)
    return sums


def _middles_ms(buckets: IntArray) -> FloatArray:
    middles: FloatArray = (LOWEST_US[buckets] + (WIDTH_US[buckets] - 1) / 2) / 1000
    return middles


def figures(series: RunSeries, weights: FloatArray | None = None) -> FloatArray:
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


def influences(series: RunSeries, measured: FloatArray) -> list[FloatArray]:
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


def occasions(series: RunSeries, measured: FloatArray, length: float) -> FloatArray:
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


def rounding(series: RunSeries, latency_ms: float) -> float:
    """By what share `latency_ms`, one of the series' figures, may be off as it was rounded."""
    if not np.isfinite(latency_ms) or latency_ms <= 0:
        return 0.0
    place = min(int(np.searchsorted(series.latency_ms, latency_ms)), len(series.latency_ms) - 1)
    return float(series.half_width_ms[place] / latency_ms)
