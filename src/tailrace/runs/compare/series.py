"""A run as a series of stretches of time, each with its counts, and the figures of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tailrace.load.judge.stretches import MOST, Stretches
from tailrace.load.measure.histogram import (
    HIGHEST_US,
    LOWEST_US,
    WIDTH_US,
    Histogram,
    IntArray,
    bucket_of,
)
from tailrace.load.measure.measurement import Measurement
from tailrace.load.measure.point import PERCENTS as SHOWN
from tailrace.load.measure.point import Point
from tailrace.load.session.result import answering_s
from tailrace.runs.files import RunFiles
from tailrace.runs.histogram_log import LoggedIntervals, start_of

FloatArray = NDArray[np.float64]
Span = tuple[float, float]
"""The ends of an interval."""

PERCENTS = tuple(SHOWN.values())
NAMES = ("mean", *SHOWN, "failed", "completed/s")
UNITS = ("ms", *("ms" for _ in PERCENTS), "%", "/s")
"""Of the figures, and their units: in the order of a row of them."""

percent_of = SHOWN.get
"""The percentage of a percentile, by its name; None of any other figure."""

ENDLESS_US = LOWEST_US[bucket_of(np.array(2 * HIGHEST_US))] - 1.0
"""What took longer, or failed, took for ever."""


@dataclass(frozen=True, slots=True)
class Apart:
    """How far a figure of two sides is apart."""

    base: float
    """NaN where there is none, infinite where failed requests reach it."""
    other: float
    span: Span | None = None
    """95 % interval of other / base; of a share of requests in %, of other − base. None where it
    cannot be told, and `doubt` says why."""
    doubt: str = ""
    runs_for_5_percent: int | None = None


@dataclass(frozen=True, slots=True)
class RunSeries:
    """The requests of a run by when they came to their end, n stretches of k latencies."""

    length_s: FloatArray
    """[n]: how long each stretch lasted; of the last one up to the last answer, if that came after
    the offering."""
    rate_per_s: FloatArray
    """[n]: what the profile asked for."""
    buckets: IntArray
    """int64 [k], ascending: of the histogram, those in use."""
    counts: FloatArray
    """[n, k]: answered requests, whole numbers."""
    failed: FloatArray
    """[n]: failed requests, whole numbers."""
    unread: int = 0
    """Intervals left out because their line in one of the files is missing or damaged."""

    def __len__(self) -> int:
        return len(self.length_s)

    @property
    def latency_ms(self) -> FloatArray:
        """[k], ascending: the middles of the buckets."""
        return (LOWEST_US[self.buckets] + (WIDTH_US[self.buckets] - 1) / 2) / 1000

    def stretches(self) -> Stretches:
        """The same as the judge takes them, failed requests among the answered ones: as longer than
        ENDLESS_US.
        """
        found = Stretches()
        buckets = np.append(self.buckets, bucket_of(np.array(2 * HIGHEST_US)))
        rows = np.column_stack((self.counts, self.failed)).astype(np.int64)
        # Two latencies so long are one bucket.
        buckets, column = np.unique(buckets, return_inverse=True)
        for row, length_s, rate_per_s in zip(rows, self.length_s, self.rate_per_s, strict=True):
            counts = np.bincount(column, weights=row).astype(np.int64)
            used = np.flatnonzero(counts)
            last = buckets[used].max(initial=0)
            max_us = 2 * HIGHEST_US if row[-1] else LOWEST_US[last] + WIDTH_US[last]
            latency = Histogram(buckets[used], counts[used], 0, 1000 * int(max_us))
            found.add(Measurement(series={"latency": latency}), float(length_s), float(rate_per_s))
        return found


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
    place //= max(1, -(-int(whole.sum()) // MOST))
    size = int(place[-1]) + 1 if len(place) else 0
    counts = np.zeros((size, len(log.buckets)))
    np.add.at(counts, place, log.counts[[row for _, row in known]].astype(np.float64))
    rates = np.zeros(size)
    # The first of a stretch says: load may have ended before the last.
    rates[place[::-1]] = [point.target_per_s for point, _ in reversed(known)]
    failed = [float(sum(point.failed.values())) for point, _ in known]
    return RunSeries(
        length_s=_sums(place, length_s, size),
        rate_per_s=rates,
        buckets=log.buckets,
        counts=counts,
        failed=_sums(place, np.array(failed), size),
        unread=unread,
    )


def _sums(place: IntArray, values: FloatArray, size: int) -> FloatArray:
    sums = np.zeros(size)
    np.add.at(sums, place, values)
    return sums


def figures(series: RunSeries) -> FloatArray:
    """Figures of a run, float64 [len(NAMES)].

    Percentiles are of all requests, those that failed slower than any other: infinite where they
    reach the percentile. `mean` is of what was answered. NaN where there is nothing to take one of.
    """
    counts = series.counts.sum(axis=0)
    answered, failed = counts.sum(), series.failed.sum()
    total = answered + failed
    ranks = np.maximum(np.ceil(np.array(PERCENTS) / 100 * total - 1e-9), 1)
    buckets = np.searchsorted(np.cumsum(counts), ranks)
    percentiles = np.append(series.latency_ms, np.inf)[buckets]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = counts @ series.latency_ms / answered
        return np.array(
            [
                mean,
                *np.where(total > 0, percentiles, np.nan),
                100 * failed / total,
                answered / series.length_s.sum(),
            ]
        )


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


def rounding(series: RunSeries, latency_ms: float) -> float:
    """By what share `latency_ms`, one of the series' figures, may be off as it was rounded."""
    if not np.isfinite(latency_ms) or latency_ms <= 0:
        return 0.0
    place = min(int(np.searchsorted(series.latency_ms, latency_ms)), len(series.latency_ms) - 1)
    return float(WIDTH_US[series.buckets[place]] / 2000 / latency_ms)
