"""A log-linear histogram of times: three significant digits from 1 µs to 1 h.

The layout is HdrHistogram's (2,048 sub-buckets, units of 1 µs), so exporting loses nothing. Counts
are int64 and merge by addition: over workers, machines and intervals. Mean and maximum are exact,
kept in nanoseconds beside the counts.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

HIGHEST_US = 3_600_000_000
_HALF = 1024
"""Half the sub-buckets: the resolution of every octave above the first."""
_OCTAVES = HIGHEST_US.bit_length() - 11
SIZE = _HALF * (_OCTAVES + 2)

BINS_PER_DECADE = 20
"""Of the logarithmic bins that latency is shown by: each is 12 % wide."""
BINS = 10 * BINS_PER_DECADE
"""From 1 µs to beyond the longest time that is told from others, an hour."""

IntArray = NDArray[np.int64]


def bucket_of(values_us: IntArray) -> IntArray:
    """Bucket number, int64 of the same shape, of times in µs; longer ones than 1 h count as 1 h."""
    values = np.clip(values_us, 0, HIGHEST_US)
    # frexp's exponent is the bit length; exact, for every value here is below 2**53.
    octave = np.maximum(np.frexp(values.astype(np.float64))[1].astype(np.int64) - 11, 0)
    number: IntArray = octave * _HALF + (values >> octave)
    return number


def _edges() -> tuple[IntArray, IntArray]:
    number = np.arange(SIZE, dtype=np.int64)
    octave = np.maximum(number // _HALF - 1, 0)
    return (number - octave * _HALF) << octave, np.int64(1) << octave


LOWEST_US, WIDTH_US = _edges()
"""int64 [SIZE]: the smallest time in µs that falls into each bucket, and how many µs it spans."""


def _bins() -> IntArray:
    middles_us = LOWEST_US + (WIDTH_US - 1) / 2
    starts_us = 10.0 ** (np.arange(1, BINS) / BINS_PER_DECADE)
    number: IntArray = np.searchsorted(starts_us, middles_us, side="right")
    return number


BIN_OF = _bins()
"""int64 [SIZE]: into which logarithmic bin each bucket falls, by its middle. Number b begins at
10^(b / BINS_PER_DECADE) µs; 0 takes in what is shorter.
"""
NO_COUNTS: IntArray = np.zeros(0, dtype=np.int64)


class Histogram:
    """Counts of times, of the buckets in use alone. A value: adding two makes a third."""

    __slots__ = ("buckets", "counts", "max_ns", "sum_ns", "total")

    def __init__(
        self,
        buckets: IntArray = NO_COUNTS,
        counts: IntArray = NO_COUNTS,
        sum_ns: int = 0,
        max_ns: int = 0,
    ) -> None:
        self.buckets = buckets
        """int64 [k]: numbers of the buckets in use, ascending."""
        self.counts = counts
        """int64 [k]."""
        self.total = int(counts.sum())
        self.sum_ns = sum_ns
        self.max_ns = max_ns

    @classmethod
    def of(cls, times_ns: IntArray) -> "Histogram":
        """One of times in ns, int64 [n]."""
        counting = OpenHistogram()
        counting.record(times_ns)
        return counting.closed()

    @classmethod
    def merged(cls, parts: Iterable["Histogram"]) -> "Histogram":
        """All of `parts` added up."""
        used = [part for part in parts if part.total]
        if len(used) < 2:
            return used[0] if used else cls()
        buckets = np.concatenate([part.buckets for part in used])
        counts = np.concatenate([part.counts for part in used])
        # Exact: a count of 2**53 would take a million requests a second for three centuries.
        sums = np.bincount(buckets, weights=counts)
        found = np.flatnonzero(sums)
        return cls(
            found,
            sums[found].astype(np.int64),
            sum(part.sum_ns for part in used),
            max(part.max_ns for part in used),
        )

    def __add__(self, other: "Histogram") -> "Histogram":
        return self.merged((self, other))

    def percentile_us(self, *percents: float) -> list[float]:
        """Times in µs below or at which `percents` of all counted lie, as the middle of the bucket
        that holds the ⌈p·n/100⌉-th smallest: off by at most 0.05 % or 0.5 µs. Never above max.

        Raises:
            ValueError: nothing has been counted.
        """
        if self.total == 0:
            raise ValueError("the histogram is empty")
        ranks = np.maximum(np.ceil(np.asarray(percents) * self.total / 100 - 1e-9), 1)
        bucket = self.bucket_at(ranks)
        middle = LOWEST_US[bucket] + (WIDTH_US[bucket] - 1) / 2
        return [float(value) for value in np.minimum(middle, self.max_ns / 1000)]

    def bucket_at(self, ranks: ArrayLike) -> IntArray:
        """The bucket that holds the time of each rank, counted from 1, shortest first."""
        return self.buckets[np.searchsorted(np.cumsum(self.counts), ranks)]

    def bins(self) -> dict[int, int]:
        """Counts by the bins of BIN_OF; those without counts are absent."""
        sums = np.bincount(BIN_OF[self.buckets], weights=self.counts).astype(np.int64)
        return {int(b): int(sums[b]) for b in np.flatnonzero(sums)}

    def pack(self) -> bytes:
        """A compact form for the wire."""
        head = np.array([self.sum_ns, self.max_ns], dtype="<i8")
        return b"".join(part.astype("<i8").tobytes() for part in (head, self.buckets, self.counts))

    @classmethod
    def unpacked(cls, data: bytes) -> "Histogram":
        """What `pack` gave."""
        words = np.frombuffer(data, dtype="<i8")
        middle = (2 + len(words)) // 2
        return cls(words[2:middle], words[middle:], int(words[0]), int(words[1]))


class OpenHistogram:
    """A histogram that times are still recorded in."""

    __slots__ = ("_counts", "_max_ns", "_sum_ns")

    def __init__(self) -> None:
        self._counts: IntArray = np.zeros(SIZE, dtype=np.int64)
        self._sum_ns = 0
        self._max_ns = 0

    def record(self, times_ns: IntArray) -> IntArray:
        """Count times in ns, int64 [n], each rounded to the nearest µs; the bucket of each."""
        buckets = bucket_of((times_ns + 500) // 1000)
        if len(times_ns):
            self._counts += np.bincount(buckets, minlength=SIZE)
            self._sum_ns += int(times_ns.sum())
            self._max_ns = max(self._max_ns, int(times_ns.max()))
        return buckets

    def closed(self) -> Histogram:
        """What was recorded; from now on it is empty again."""
        used = np.flatnonzero(self._counts)
        histogram = Histogram(used, self._counts[used], self._sum_ns, self._max_ns)
        self._counts[used] = 0
        self._sum_ns = self._max_ns = 0
        return histogram
