"""How fast a system is, measured before a test: LoadGen makes its queries by what it expects."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tailrace.errors import TailraceError
from tailrace.mlperf.system import Query, Record, Sample, System

_QUERIES = 5
"""The fewest to go by."""
_LONGEST_S = 60.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a system did, unhurried."""

    query_s: float
    """Of one query at a time, the fastest."""
    samples_per_s: float
    """With enough queries at a time to keep it busy."""


class SampleFailedError(TailraceError):
    """The system does not answer."""


def try_out(system: System, sample: Sample) -> None:
    """Has one sample answered.

    Raises:
        SampleFailedError: it is not.
    """
    _OneByOne(system).ask([sample])


def measure(
    system: System, samples: Sequence[Sample], at_once: int, query_size: int, seconds: float
) -> Estimate:
    """Asks for `query_size` samples at a time, one query after the other, then for `at_once`
    samples at all times, for so many `seconds` each, or as long as it takes for a few answers.

    Raises:
        SampleFailedError: a sample is not answered.
    """
    asker = _OneByOne(system)
    spans_s: list[float] = []
    ends_s = time.monotonic() + seconds
    while len(spans_s) < _QUERIES or time.monotonic() < ends_s:
        began_s = time.monotonic()
        first = len(spans_s) * query_size
        asker.ask([samples[(first + i) % len(samples)] for i in range(query_size)])
        spans_s.append(time.monotonic() - began_s)
    return Estimate(min(spans_s), _Flood(system, samples, at_once).samples_per_s(seconds))


class _OneByOne:
    """Asks, and waits for the answers. See Sink."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._left = 0
        self._reason: str | None = None

    def ask(self, samples: Sequence[Sample]) -> None:
        self._left = len(samples)
        self._done.clear()
        self._system.issue([Query(i, sample) for i, sample in enumerate(samples)], self)
        if not self._done.wait(_LONGEST_S):
            raise SampleFailedError(f"a sample has no answer after {_LONGEST_S:.0f} s")
        if self._reason is not None:
            raise SampleFailedError(f"a sample cannot be answered: {self._reason}")

    def complete(self, query_id: int, record: Record) -> None:
        self._end()

    def fail(self, query_id: int, reason: str) -> None:
        self._reason = reason
        self._end()

    def _end(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self._done.set()


class _Flood:
    """Has so many samples waiting at all times. See Sink."""

    def __init__(self, system: System, samples: Sequence[Sample], at_once: int) -> None:
        self._system = system
        self._samples = samples
        self._at_once = at_once
        self._lock = threading.Lock()
        self._issued = self._ended = 0
        self._stopping = False
        self._over = threading.Event()
        self._reason: str | None = None

    def samples_per_s(self, seconds: float) -> float:
        began_s = time.monotonic()
        with self._lock:
            queries = [self._next() for _ in range(self._at_once)]
        self._system.issue(queries, self)
        self._over.wait(seconds)
        while self._ended < _QUERIES and time.monotonic() < began_s + _LONGEST_S:
            if self._over.wait(seconds):
                break
        rate = self._ended / (time.monotonic() - began_s)
        self._stopping = True
        # What is under way would take its time from the test.
        self._over.wait(_LONGEST_S)
        if self._reason is not None:
            raise SampleFailedError(f"a sample cannot be answered: {self._reason}")
        if not rate:
            raise SampleFailedError(f"no sample has an answer after {_LONGEST_S:.0f} s")
        return rate

    def complete(self, query_id: int, record: Record) -> None:
        with self._lock:
            self._ended += 1
            if self._stopping:
                if self._ended == self._issued:
                    self._over.set()
                return
            query = self._next()
        self._system.issue([query], self)

    def fail(self, query_id: int, reason: str) -> None:
        self._reason = reason
        self._stopping = True
        self._over.set()

    def _next(self) -> Query:
        number = self._issued
        self._issued += 1
        return Query(number, self._samples[number % len(self._samples)])
