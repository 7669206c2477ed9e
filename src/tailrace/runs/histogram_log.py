"""Reading `latency.hlog` back: its intervals' histograms, merged or one by one.

The format is HdrHistogram's log 1.2, whose buckets at three significant digits are those of
`load/measure/histogram.py`.
"""

import base64
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from hdrh.codec import HdrCookieException, HdrLengthException
from hdrh.histogram import HdrHistogram

from tailrace.load.measure.histogram import LOWEST_US, SIZE, WIDTH_US, Histogram, IntArray
from tailrace.load.measure.point import Point
from tailrace.untrusted import UnreadableError

_MOST_BYTES = 9 * SIZE + 64
"""Of a histogram unpacked: a number has at most 9."""
_LIBRARYS_ERRORS = (
    *(ValueError, IndexError, OverflowError),
    *(HdrCookieException, HdrLengthException),
)
_HEADER_SIZE = 8
"""Of what comes before the compressed bytes."""
MOST_MERGED = 2**29
"""Counts that are added up, of all intervals together: 2,000 in each second of three days."""
MOST_APART = 2**26
"""Counts that are kept apart, some 24 bytes each: 750 in each second of a day."""
_MOST_CELLS = 2**28
"""Of the matrix of intervals and buckets, 8 bytes each."""


@dataclass(frozen=True, slots=True)
class LoggedIntervals:
    """The histograms of a log, one a row, by the buckets that any of them uses."""

    starts: tuple[str, ...]
    """When each began, Unix time in seconds, as the log writes it: six decimals."""
    buckets: IntArray
    """int64 [k]: numbers of the buckets in use, ascending."""
    counts: IntArray
    """int64 [n, k]."""

    def histograms(self) -> dict[str, Histogram]:
        """By when they began; mean and maximum as `merge_log` has them."""
        used = [(row > 0, row) for row in self.counts]
        return {
            start: _histogram(self.buckets[some], row[some])
            for start, (some, row) in zip(self.starts, used, strict=True)
        }


def start_of(point: Point) -> str:
    """When an interval began, as RunDirectory has it written into the log."""
    return f"{point.wall_time - point.interval_s:f}"


def read_log(lines: Iterable[bytes], most: int = MOST_APART) -> LoggedIntervals:
    """The histograms of a log, line by line; a line that is damaged is left out.

    Raises:
        UnreadableError: it has more than `most` counts.
    """
    starts: list[str] = []
    rows: list[tuple[IntArray, IntArray]] = []
    for line, used, counts in _histograms(lines, most):
        starts.append(line.partition(b",")[0].decode("ascii", "replace"))
        rows.append((used, counts[used]))
    buckets = np.unique(np.concatenate([used for used, _ in rows] or [np.zeros(0, np.int64)]))
    if len(rows) * len(buckets) > _MOST_CELLS:
        raise _too_much()
    matrix = np.zeros((len(rows), len(buckets)), dtype=np.int64)
    for row, (used, counted) in zip(matrix, rows, strict=True):
        row[np.searchsorted(buckets, used)] = counted
    return LoggedIntervals(tuple(starts), buckets, matrix)


def merge_log(lines: Iterable[bytes], most: int = MOST_MERGED) -> Histogram:
    """The histograms of all lines of a log added up; a line that is damaged is passed over.

    The log knows buckets alone, so the mean comes from their middles, and the maximum is the last
    one's upper edge.

    Raises:
        UnreadableError: it has more than `most` counts.
    """
    counts = np.zeros(SIZE, dtype=np.int64)
    for _, own, found in _histograms(lines, most):
        counts[own] += found[own]
    used = np.flatnonzero(counts)
    return _histogram(used, counts[used])


def _histogram(buckets: IntArray, counts: IntArray) -> Histogram:
    middles_ns = 1000 * LOWEST_US[buckets] + 500 * (WIDTH_US[buckets] - 1)
    longest_us = (LOWEST_US[buckets] + WIDTH_US[buckets] - 1).max(initial=0)
    return Histogram(buckets, counts, int((counts * middles_ns).sum()), 1000 * int(longest_us))


def _histograms(lines: Iterable[bytes], most: int) -> Iterator[tuple[bytes, IntArray, IntArray]]:
    """(line, numbers of the buckets in use, counts of all) of each line that can be read."""
    for line in lines:
        if line[:1].isdigit() and (counts := _counts(line.rpartition(b",")[2])) is not None:
            used = np.flatnonzero(counts)
            most -= len(used)
            if most < 0:
                raise _too_much()
            yield line, used, counts


def _counts(encoded: bytes) -> IntArray | None:
    """int64 [SIZE], of one histogram; None where it cannot be read."""
    try:
        # First, with a limit: it may be from anybody, and the library has none.
        unpacking = zlib.decompressobj()
        unpacking.decompress(base64.b64decode(encoded)[_HEADER_SIZE:], _MOST_BYTES)
        if not unpacking.eof:
            return None
        counts = np.frombuffer(HdrHistogram.decode(encoded).counts, dtype=np.int64)
    except (*_LIBRARYS_ERRORS, zlib.error):
        return None
    return counts if len(counts) == SIZE and counts.min() >= 0 else None


def _too_much() -> UnreadableError:
    return UnreadableError("latency.hlog cannot be read: it holds more than a run has")
