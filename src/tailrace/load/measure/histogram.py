"""A log-linear histogram of times: three significant digits from 1 µs to 1 h.

The layout is HdrHistogram's (2,048 sub-buckets, units of 1 µs), so exporting loses nothing. Counts
are int64 and merge by addition: over workers, machines and intervals. Mean and maximum are exact,
kept in nanoseconds beside the counts.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from tailrace.load.measure.point import Percentiles

HIGHEST_US = 3_600_000_000
_HALF = 1024
"""Half the sub-buckets: the resolution of every octave above the first."""
_OCTAVES = HIGHEST_US.bit_length() - 11
SIZE = _HALF * (_OCTAVES + 2)

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


@cache
def bin_of(per_decade: int) -> IntArray:
    """int64 [SIZE]: into which logarithmic bin each bucket falls, by its middle; `per_decade` bins
    make a factor of ten. Number b begins at 10^(b / per_decade) µs; 0 takes in what is shorter.
    """
    middles_us = LOWEST_US + (WIDTH_US - 1) / 2
    starts_us = 10.0 ** (np.arange(1, 10 * per_decade) / per_decade)
    number: IntArray = np.searchsorted(starts_us, middles_us, side="right")
    return number


class Histogram:
    """Counts of times; empty when made."""

    __slots__ = ("counts", "max_ns", "sum_ns", "total")

    def __init__(self) -> None:
        self.counts: IntArray = np.zeros(SIZE, dtype=np.int64)
        self.total = 0
        self.sum_ns = 0
        self.max_ns = 0

    def record(self, times_ns: IntArray) -> IntArray:
        """Count times in ns, int64 [n], each rounded to the nearest µs; the bucket of each."""
        buckets = bucket_of((times_ns + 500) // 1000)
        if len(times_ns) == 0:
            return buckets
        self.counts += np.bincount(buckets, minlength=SIZE)
        self.total += len(times_ns)
        self.sum_ns += int(times_ns.sum())
        self.max_ns = max(self.max_ns, int(times_ns.max()))
        return buckets

    def add_packed(self, data: bytes) -> None:
        """Merge what `pack` gave of another histogram."""
        words = np.frombuffer(data, dtype="<i8")
        middle = (3 + len(words)) // 2
        self.counts[words[3:middle]] += words[middle:]
        self.total += int(words[0])
        self.sum_ns += int(words[1])
        self.max_ns = max(self.max_ns, int(words[2]))

    def clear(self) -> None:
        """Forget everything."""
        self.counts[:] = 0
        self.total = self.sum_ns = self.max_ns = 0

    def percentile_us(self, *percents: float) -> list[float]:
        """Times in µs below or at which `percents` of all counted lie, as the middle of the bucket
        that holds the ⌈p·n/100⌉-th smallest: off by at most 0.05 % or 0.5 µs. Never above max.

        Raises:
            ValueError: nothing has been counted.
        """
        if self.total == 0:
            raise ValueError("the histogram is empty")
        ranks = np.maximum(np.ceil(np.asarray(percents) * self.total / 100 - 1e-9), 1)
        bucket = np.searchsorted(np.cumsum(self.counts), ranks)
        middle = LOWEST_US[bucket] + (WIDTH_US[bucket] - 1) / 2
        return [float(value) for value in np.minimum(middle, self.max_ns / 1000)]

    def percentiles(self, unit_us: float) -> Percentiles:
        """The usual ones, in units of `unit_us` µs; all None where nothing was counted."""
        if self.total == 0:
            return Percentiles()
        p50, p90, p95, p99, p99_9 = (
            round(value / unit_us, 4) for value in self.percentile_us(50, 90, 95, 99, 99.9)
        )
        per_ns = 1 / (unit_us * 1000)
        return Percentiles(
            mean=round(self.sum_ns / self.total * per_ns, 4),
            p50=p50,
            p90=p90,
            p95=p95,
            p99=p99,
            p99_9=p99_9,
            max=round(self.max_ns * per_ns, 4),
        )

    def bins(self, per_decade: int) -> dict[int, int]:
        """Counts by the bins of `bin_of`; those without counts are absent."""
        used = np.flatnonzero(self.counts)
        # Exact: a count of 2**53 would take a million requests a second for three centuries.
        sums = np.bincount(bin_of(per_decade)[used], weights=self.counts[used]).astype(np.int64)
        return {int(b): int(sums[b]) for b in np.flatnonzero(sums)}

    def pack(self) -> bytes:
        """A compact form: total, sum, max, then numbers and counts of the buckets in use."""
        used = np.flatnonzero(self.counts)
        head = np.array([self.total, self.sum_ns, self.max_ns], dtype="<i8")
        return b"".join((head.tobytes(), used.astype("<i8").tobytes(), self.counts[used].tobytes()))
