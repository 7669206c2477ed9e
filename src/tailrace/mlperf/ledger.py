"""The account of a test: what LoadGen has issued, and what has become of it.

LoadGen knows no failures: a query is answered, or the test never ends. An answer made up for a
failed one would count as a fast one. So what has failed is never answered as long as that could
pass for speed; see Failures.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from time import monotonic_ns

import numpy as np

from tailrace.load.measure.histogram import Histogram
from tailrace.mlperf.system import Record

Deliver = Callable[[int, Record], None]
"""Tells LoadGen of an answer."""

_NOTHING: Record = np.zeros(0, np.float32)
_MOST_REASONS = 20
_OTHER_REASONS = "other reasons"


class Failures(Enum):
    """What LoadGen is told of a query that has failed."""

    LAST = "last"
    """An empty answer, once nothing else is left to wait for: it counts among the slowest."""
    NEVER = "never"
    """Nothing: in the streams the next query waits for this one, so the test ends here."""
    EMPTY = "empty"
    """An empty answer: where latency is not measured."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How far a test is; samples."""

    running_s: float
    """Since the first was issued."""
    issued: int
    completed: int
    failed: int
    failures: dict[str, int]
    """Reasons of the failed, and how often each."""
    latency: Histogram
    """From issue to completion."""

    @property
    def outstanding(self) -> int:
        """Issued, and neither completed nor failed."""
        return self.issued - self.completed - self.failed


class Ledger:
    """Keeps count, from any threads. See `tailrace.mlperf.system.Sink`.

    Args:
        deliver: tells LoadGen of an answer; must not raise.
        failures: what LoadGen is told of those that fail.
    """

    def __init__(self, deliver: Deliver, failures: Failures) -> None:
        self.broken = threading.Event()
        """Set once the test cannot go on."""
        self._deliver = deliver
        self._policy = failures
        self._lock = threading.Lock()
        self._pending: dict[int, int] = {}
        self._held: list[int] = []
        self._flushed = False
        self._closed = False
        self._began_ns: int | None = None
        self._issued = self._completed = self._failed = 0
        self._failures: dict[str, int] = {}
        self._times_ns: list[int] = []
        self._latency = Histogram()

    def issue(self, query_ids: Sequence[int]) -> None:
        """LoadGen wants these answered, from now on."""
        now_ns = monotonic_ns()
        with self._lock:
            self._began_ns = self._began_ns or now_ns
            self._pending.update(dict.fromkeys(query_ids, now_ns))
            self._issued += len(query_ids)
            self._flushed = False

    def flush(self) -> None:
        """LoadGen will issue no more, for now."""
        with self._lock:
            self._flushed = True
            released = self._release()
        self._answer(released)

    def complete(self, query_id: int, record: Record) -> None:
        """See Sink."""
        now_ns = monotonic_ns()
        with self._lock:
            issued_ns = self._pending.pop(query_id, None)
            if issued_ns is None or self._closed:
                return
            self._times_ns.append(now_ns - issued_ns)
            self._completed += 1
            released = self._release()
        self._deliver(query_id, record)
        self._answer(released)

    def fail(self, query_id: int, reason: str) -> None:
        """See Sink."""
        with self._lock:
            if self._pending.pop(query_id, None) is None or self._closed:
                return
            self._failed += 1
            if reason not in self._failures and len(self._failures) >= _MOST_REASONS:
                reason = _OTHER_REASONS
            self._failures[reason] = self._failures.get(reason, 0) + 1
            released: list[int] = []
            if self._policy is Failures.EMPTY:
                released = [query_id]
            elif self._policy is Failures.LAST:
                self._held.append(query_id)
                released = self._release()
        if self._policy is Failures.NEVER:
            self.broken.set()
        self._answer(released)

    def close(self) -> None:
        """From now on LoadGen is told nothing."""
        with self._lock:
            self._closed = True

    def counts(self) -> Counts:
        """How far it is."""
        with self._lock:
            times_ns, self._times_ns = self._times_ns, []
            issued, completed, failed = self._issued, self._completed, self._failed
            failures = dict(self._failures)
        self._latency += Histogram.of(np.array(times_ns, np.int64))
        running_s = (monotonic_ns() - self._began_ns) / 1e9 if self._began_ns else 0.0
        return Counts(running_s, issued, completed, failed, failures, self._latency)

    def _release(self) -> list[int]:
        # What was held back until nothing else is left; with the lock.
        if not self._held or not self._flushed or self._pending:
            return []
        released, self._held = self._held, []
        return released

    def _answer(self, released: Sequence[int]) -> None:
        for query_id in released:
            self._deliver(query_id, _NOTHING)
