"""A run cut into stretches of time, in order: what tells how far its requests depend on each other.

Requests that queue behind each other share their fate, so the variation of counts from stretch to
stretch, not from request to request, says how much a run knows.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tailrace.load.measure.histogram import LOWEST_US, WIDTH_US, Histogram, IntArray
from tailrace.load.measure.measurement import Measurement

MOST = 512
"""Stretches that are kept apart; beyond them neighbours are put together, pair by pair."""
_SAME_RATE = 1e-6


@dataclass(frozen=True, slots=True)
class _Part:
    latency: Histogram
    failures: int
    length_s: float
    rate_per_s: float
    tails: IntArray
    """int64 [k + 1]: how many latencies are in the histogram's n-th bucket or beyond."""


class Stretches:
    """Accumulates the intervals of a run, at most MOST of them apart; the size of a run does not
    matter.

    A live change of the rate begins a new stratum: stretches of one rate.
    """

    def __init__(self) -> None:
        self.latency = Histogram()
        """Of all that was answered."""
        self.failures = 0
        self.length_s = 0.0
        self._parts: list[_Part] = []

    def add(self, measured: Measurement, length_s: float, rate_per_s: float) -> None:
        """What ended within the next `length_s`, in which the load was to be `rate_per_s`."""
        self.latency += measured.latency
        self.failures += measured.failures
        self.length_s += length_s
        self._parts.append(_part(measured.latency, measured.failures, length_s, rate_per_s))
        if len(self._parts) > MOST:
            self._parts = _paired(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    @property
    def answered(self) -> NDArray[np.float64]:
        """float64 [n]: requests that were answered, by stretch."""
        return np.array([part.latency.total for part in self._parts], dtype=np.float64)

    @property
    def failed(self) -> NDArray[np.float64]:
        """float64 [n]: requests that failed, by stretch."""
        return np.array([part.failures for part in self._parts], dtype=np.float64)

    @property
    def sums_s(self) -> NDArray[np.float64]:
        """float64 [n]: all latencies added up, by stretch."""
        return np.array([part.latency.sum_ns / 1e9 for part in self._parts])

    def over(self, buckets: IntArray) -> NDArray[np.float64]:
        """float64 [k, n]: latencies of each stretch that lie in each of `buckets`, or beyond."""
        counts = [
            part.tails[np.searchsorted(part.latency.buckets, buckets)] for part in self._parts
        ]
        return np.array(counts, dtype=np.float64).reshape(len(self._parts), len(buckets)).T

    @property
    def strata(self) -> IntArray:
        """int64 [n]: the number of the stratum that each stretch is of, rising."""
        rates = [part.rate_per_s for part in self._parts]
        begins = [
            not math.isclose(rate, before, rel_tol=_SAME_RATE) for before, rate in pairwise(rates)
        ]
        return np.concatenate(([0], np.cumsum(begins, dtype=np.int64)))[: len(rates)]


@lru_cache(maxsize=64)
def first_over(bound_s: float, inclusive: bool) -> int:
    """The first bucket that is not within a bound; one that it cuts through counts as beyond."""
    last_us = LOWEST_US + WIDTH_US - 1
    return int(np.searchsorted(last_us, bound_s * 1e6, "right" if inclusive else "left"))


def _part(latency: Histogram, failures: int, length_s: float, rate_per_s: float) -> _Part:
    tails = np.concatenate((np.cumsum(latency.counts[::-1])[::-1], [0]))
    return _Part(latency, failures, length_s, rate_per_s, tails)


def _paired(parts: list[_Part]) -> list[_Part]:
    """Half as many, each of two neighbours; those of a stratum are together while there is any
    pair."""
    paired: list[_Part] = []
    while parts:
        first, *rest = parts[:2]
        if rest and math.isclose(first.rate_per_s, rest[0].rate_per_s, rel_tol=_SAME_RATE):
            paired.append(_together(first, rest[0]))
            parts = parts[2:]
        else:
            paired.append(first)
            parts = parts[1:]
    if len(paired) > MOST:
        paired = [_together(*paired[place : place + 2]) for place in range(0, len(paired), 2)]
    return paired


def _together(first: _Part, second: _Part | None = None) -> _Part:
    if second is None:
        return first
    length_s = first.length_s + second.length_s
    share = second.length_s / length_s if length_s else 0.5
    return _part(
        first.latency + second.latency,
        first.failures + second.failures,
        length_s,
        first.rate_per_s * (1 - share) + second.rate_per_s * share,
    )
