"""A run as a series of stretches of time, each with its counts: what can be resampled."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tailrace.load.measure.histogram import LOWEST_US, WIDTH_US, IntArray
from tailrace.load.measure.point import Point
from tailrace.load.session.result import answering_s
from tailrace.runs.files import RunFiles
from tailrace.runs.histogram_log import LoggedIntervals, start_of

FloatArray = NDArray[np.float64]

LONGEST = 600
"""Stretches in a series, at most: of a longer run, several intervals are taken together."""


@dataclass(frozen=True, slots=True)
class Series:
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
) -> Series:
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
) -> Series:
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
    return Series(
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
