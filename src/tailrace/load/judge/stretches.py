"""A run cut into stretches of time, in order: what tells how far its requests depend on each other.

Requests that queue behind each other share their fate, so the variation of counts from stretch to
stretch, not from request to request, says how much a run knows.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailrace.load.measure.histogram import LOWEST_US, WIDTH_US, Histogram, IntArray
from tailrace.load.measure.measurement import Measurement

Floats = NDArray[np.float64]

MOST = 512
"""Stretches that are kept apart; beyond them neighbours are put together, pair by pair."""
SHORTEST = 8
"""Stretches of one rate that say by themselves how they vary."""
_SAME_RATE = 1e-6


@dataclass(frozen=True, slots=True)
class _Part:
    latency: Histogram
    failures: int
    length_s: float
    rate_per_s: float
    outstanding: int
    """Requests that were due and not answered, at its end."""
    tails: IntArray
    """int64 [k + 1]: how many latencies are in the histogram's n-th bucket or beyond."""


class Stretches:
    """Accumulates the intervals of a run, at most MOST of them apart; the size of a run does not
    matter.

    A live change of the rate begins a new stratum: stretches of one rate.
    """

    def __init__(self) -> None:
        self.failures = 0
        self.length_s = 0.0
        self.memo: dict[tuple[int, bool], Any] = {}
        """What was worked out from these stretches, until more are added."""
        self._parts: list[_Part] = []
        self._latency = Histogram()
        self._not_merged: list[Histogram] = []

    def add(self, measured: Measurement, length_s: float, rate_per_s: float) -> None:
        """What ended within the next `length_s`, in which the load was to be `rate_per_s`; where
        that is 0, it belongs to the load before."""
        if not rate_per_s and self._parts:
            rate_per_s = self._parts[-1].rate_per_s
        self._not_merged.append(measured.latency)
        self.failures += measured.failures
        self.length_s += length_s
        self.memo.clear()
        self._parts.append(
            _part(measured.latency, measured.failures, length_s, rate_per_s, measured.outstanding)
        )
        if len(self._parts) > MOST:
            self._parts = _paired(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    @property
    def latency(self) -> Histogram:
        """Of all that was answered."""
        self._latency = Histogram.merged([self._latency, *self._not_merged])
        self._not_merged = []
        return self._latency

    @property
    def answered(self) -> Floats:
        """float64 [n]: requests that were answered, by stretch."""
        return np.array([part.latency.total for part in self._parts], dtype=np.float64)

    @property
    def failed(self) -> Floats:
        """float64 [n]: requests that failed, by stretch."""
        return np.array([part.failures for part in self._parts], dtype=np.float64)

    @property
    def sums_s(self) -> Floats:
        """float64 [n]: all latencies added up, by stretch."""
        return np.array([part.latency.sum_ns / 1e9 for part in self._parts])

    def over(self, buckets: IntArray) -> Floats:
        """float64 [k, n]: latencies of each stretch that lie in each of `buckets`, or beyond."""
        counts = [
            part.tails[np.searchsorted(part.latency.buckets, buckets)] for part in self._parts
        ]
        return np.array(counts, dtype=np.float64).reshape(len(self._parts), len(buckets)).T

    @property
    def strata(self) -> list[IntArray]:
        """Numbers of the stretches of each rate, in order; those of rates that did not last are put
        together, as the last."""
        begins = [
            place
            for place, (before, part) in enumerate(pairwise(self._parts), 1)
            if not _alike(before, part)
        ]
        runs = np.split(np.arange(len(self._parts)), begins)
        lasting = [run for run in runs if len(run) >= SHORTEST]
        short = [run for run in runs if len(run) < SHORTEST]
        return [*lasting, np.concatenate(short)] if short else lasting

    @property
    def outstanding(self) -> Floats:
        """float64 [n]: requests that were due and not answered, at the end of each stretch."""
        return np.array([part.outstanding for part in self._parts], dtype=np.float64)


@lru_cache(maxsize=64)
def first_over(bound_s: float, inclusive: bool) -> int:
    """The first bucket that is not within a bound; one that it cuts through counts as beyond."""
    last_us = LOWEST_US + WIDTH_US - 1
    return int(np.searchsorted(last_us, bound_s * 1e6, "right" if inclusive else "left"))


def _part(
    latency: Histogram, failures: int, length_s: float, rate_per_s: float, outstanding: int
) -> _Part:
    tails = np.concatenate((np.cumsum(latency.counts[::-1])[::-1], [0]))
    return _Part(latency, failures, length_s, rate_per_s, outstanding, tails)


def _alike(first: _Part, second: _Part) -> bool:
    return math.isclose(first.rate_per_s, second.rate_per_s, rel_tol=_SAME_RATE)


def _paired(parts: list[_Part]) -> list[_Part]:
    """Fewer, of two neighbours each: of one rate, or of any where that is not enough."""
    for may_be_put_together in (_alike, lambda *_: True):
        paired: list[_Part] = []
        waiting = list(reversed(parts))
        while waiting:
            part = waiting.pop()
            if waiting and may_be_put_together(part, waiting[-1]):
                part = _together(part, waiting.pop())
            paired.append(part)
        if len(paired) <= 3 * MOST // 4:
            break
    return paired


def _together(first: _Part, second: _Part) -> _Part:
    length_s = first.length_s + second.length_s
    share = second.length_s / length_s if length_s else 0.5
    return _part(
        first.latency + second.latency,
        first.failures + second.failures,
        length_s,
        first.rate_per_s * (1 - share) + second.rate_per_s * share,
        second.outstanding,
    )
