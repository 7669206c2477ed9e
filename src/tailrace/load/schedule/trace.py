"""What a recording of real traffic says: arrivals one by one, counts of them, or rates."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailrace.load.schedule.segments import Floats

_AT_ONCE = 1 << 20
"""Arrivals of one bucket that are spread at once; more are split first."""
_SAMPLE = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class Timestamps:
    """One instant an arrival: rising nanoseconds since the first, int64 [n], mapped from a file or
    in memory.
    """

    times_ns: NDArray[np.int64]

    @property
    def seconds(self) -> Floats:
        """Seconds since the first."""
        return self.times_ns / 1e9

    @property
    def resolution_s(self) -> float:
        """The coarsest decimal place, a second at most, to which the instants were written."""
        sample = self.times_ns[:: 1 + len(self.times_ns) // _SAMPLE]
        powers = (power for power in range(9, 0, -1) if not (sample % 10**power).any())
        return 10.0 ** (next(powers, 0) - 9)

    @property
    def duration_s(self) -> float:
        """From the first arrival to a mean gap after the last one."""
        count = len(self.times_ns)
        return float(self.times_ns[-1]) / 1e9 * count / (count - 1)

    @property
    def total(self) -> int:
        """The number of arrivals."""
        return len(self.times_ns)

    def arrivals(self, draw: np.random.Generator, scale: float, size: int) -> Iterator[Floats]:
        """Instants of `scale` times the arrivals, rising seconds, in batches of about `size`.

        The whole part of `scale` is copies, the rest a coin for each arrival. The first copy
        stays where it was recorded; the others lie evenly at random within `resolution_s` of it.
        """
        resolution_s = self.resolution_s if scale > 1 else 0.0
        step = max(1, int(size / max(scale, 1.0)))
        later = np.empty(0)
        for begin in range(0, self.total, step):
            seconds = self.times_ns[begin : begin + step] / 1e9
            copies = _scaled(np.ones(len(seconds), dtype=np.int64), scale, draw)
            row = np.repeat(np.arange(len(seconds)), copies)
            times = seconds[row]
            if resolution_s:
                moved = np.diff(row, prepend=-1) == 0
                times = times + np.where(moved, draw.random(len(row)) * resolution_s, 0.0)
                # Copies that lie beyond the next arrival wait for it.
                times = np.sort(np.concatenate([later, np.sort(times)]), kind="stable")
                end = begin + step
                edge = self.times_ns[end] / 1e9 if end < self.total else np.inf
                here = int(np.searchsorted(times, edge, side="left"))
                times, later = times[:here], times[here:]
            yield times


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Arrivals in consecutive buckets of `width_s`, int64 [buckets]."""

    counts: NDArray[np.int64]
    width_s: float

    @property
    def duration_s(self) -> float:
        """All buckets together."""
        return len(self.counts) * self.width_s

    @property
    def total(self) -> int:
        """The number of arrivals."""
        return int(self.counts.sum())

    def arrivals(self, draw: np.random.Generator, scale: float, size: int) -> Iterator[Floats]:
        """Instants of `scale` times the arrivals, rising seconds, in batches of about `size`.

        Each lies evenly at random within its bucket, independent of all others.
        """
        expected = np.cumsum(self.counts) * scale
        # No more batches than buckets, however many arrivals each has.
        size = max(size, int(expected[-1] / len(expected)))
        marks = np.arange(size, expected[-1] + size, size)
        ends = np.unique(np.append(np.searchsorted(expected, marks), len(expected) - 1)) + 1
        begin = 0
        for end in np.minimum(ends, len(expected)).tolist():
            counts = _scaled(self.counts[begin:end], scale, draw)
            if counts.sum() <= _AT_ONCE:
                buckets = np.repeat(np.arange(begin, end, dtype=np.float64), counts)
                yield np.sort((buckets + draw.random(len(buckets))) * self.width_s)
            else:
                for bucket, count in enumerate(counts.tolist(), start=begin):
                    yield from _spread(draw, count, bucket * self.width_s, self.width_s)
            begin = end


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """A rate a second from each start on, rising seconds since the first."""

    starts_s: Floats
    rates_per_s: Floats


def _spread(
    draw: np.random.Generator, count: int, begin_s: float, width_s: float
) -> Iterator[Floats]:
    """`count` instants, evenly at random and rising, however many: by halves of the bucket, in
    each of which a binomial share of them lies.
    """
    open_ = [(count, begin_s, width_s)]
    while open_:
        count, begin_s, width_s = open_.pop()
        if count <= _AT_ONCE:
            yield np.sort(begin_s + draw.random(count) * width_s)
            continue
        first, half_s = int(draw.binomial(count, 0.5)), width_s / 2
        open_ += [(count - first, begin_s + half_s, half_s), (first, begin_s, half_s)]


def _scaled(
    counts: NDArray[np.int64], scale: float, draw: np.random.Generator
) -> NDArray[np.int64]:
    """`counts` times `scale`: the whole part of it as copies, the rest by a coin for each."""
    whole = int(scale)
    if scale == whole:
        return counts * whole
    return counts * whole + draw.binomial(counts, scale - whole)
