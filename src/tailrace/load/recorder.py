"""Where a load worker writes its measurements down: plain numbers into preallocated arrays.

Writing costs a few array stores a request; the arrays are folded into histograms in bulk when
they are full and at the end of each interval.
"""

from array import array
from dataclasses import dataclass

import numpy as np

from tailrace.load.histogram import Histogram, IntArray
from tailrace.load.point import SLOWEST, SlowRequest

ROWS = 4096


_Slow = tuple[int, int, int, bytes]
"""Latency, intended time, sent time, in ns, and what Server-Timing said; the slowest is greatest.
"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One interval's measurements; histograms are packed."""

    failed: dict[str, int]
    latency: bytes
    service: bytes
    send_lag: bytes
    stages: dict[str, bytes]
    slowest: list[SlowRequest]


class Recorder:
    """Counts and histograms of the interval in progress.

    The attributes up to `stages` are written by the client directly, for speed: `row` is the next
    free row of `intended`, `sent`, `done` (ns) and `timings` (Server-Timing, where there was one),
    `lag_row` that of `send_lags`; a writer that fills the last row calls `fold`.
    """

    def __init__(self) -> None:
        self.row = 0
        self.lag_row = 0
        self.intended = array("q", bytes(8 * ROWS))
        self.sent = array("q", bytes(8 * ROWS))
        self.done = array("q", bytes(8 * ROWS))
        self.timings: list[bytes | None] = [None] * ROWS
        self.send_lags = array("q", bytes(8 * ROWS))
        self.stages: dict[str, array[int]] = {}
        self.failed: dict[str, int] = {}
        self.latency = Histogram()
        self.service = Histogram()
        self.send_lag = Histogram()
        self._slowest: list[_Slow] = []
        self._stage_histograms: dict[str, Histogram] = {}
        self._views = {
            name: np.frombuffer(getattr(self, name), dtype=np.int64)
            for name in ("intended", "sent", "done", "send_lags")
        }

    def fail(self, kind: str) -> None:
        """Count one failed request."""
        self.failed[kind] = self.failed.get(kind, 0) + 1

    def fold(self) -> None:
        """Move all rows into the histograms."""
        done = self._views["done"][: self.row]
        latencies = done - self._views["intended"][: self.row]
        self.latency.record(latencies)
        self.service.record(done - self._views["sent"][: self.row])
        self.send_lag.record(self._views["send_lags"][: self.lag_row])
        self._find_slowest(latencies)
        self.timings[: self.row] = [None] * self.row
        self.row = self.lag_row = 0
        for name, durations in self.stages.items():
            histogram = self._stage_histograms.setdefault(name, Histogram())
            histogram.record(np.array(durations, dtype=np.int64))
        self.stages.clear()

    def _find_slowest(self, latencies: IntArray) -> None:
        rows = np.arange(len(latencies))
        if len(self._slowest) == SLOWEST:
            rows = np.flatnonzero(latencies > self._slowest[-1][0])
        if len(rows) > SLOWEST:
            rows = rows[np.argpartition(latencies[rows], -SLOWEST)[-SLOWEST:]]
        found: list[_Slow] = [
            (int(latencies[row]), self.intended[row], self.sent[row], self.timings[row] or b"")
            for row in rows.tolist()
        ]
        self._slowest = sorted(self._slowest + found, reverse=True)[:SLOWEST]

    def take(self, start_ns: int) -> Recorded:
        """Close the interval and start afresh; `start_ns` is what intended times count from."""
        self.fold()
        used = {name: h for name, h in self._stage_histograms.items() if h.total}
        recorded = Recorded(
            failed=self.failed,
            latency=self.latency.pack(),
            service=self.service.pack(),
            send_lag=self.send_lag.pack(),
            stages={name: histogram.pack() for name, histogram in used.items()},
            slowest=[_describe(slow, start_ns) for slow in self._slowest],
        )
        self.failed = {}
        self._slowest = []
        for histogram in (self.latency, self.service, self.send_lag, *used.values()):
            histogram.clear()
        return recorded


def read_stages(server_timing: bytes, into: "dict[str, array[int]]") -> None:
    """Add the stage durations, in ns, of a Server-Timing header (W3C), whose `dur` is in ms.

    Entries that cannot be read are passed over: the header is the server's own word.
    """
    for entry in server_timing.split(b","):
        name, _, parameters = entry.partition(b";")
        _, found, duration = parameters.partition(b"dur=")
        if not found:
            continue
        try:
            duration_ns = int(float(duration.partition(b";")[0]) * 1e6)
            key = name.strip().decode("ascii")
            rows = into.get(key)
            if rows is None:
                into[key] = array("q", (duration_ns,))
            else:
                rows.append(duration_ns)
        except (ValueError, OverflowError):
            continue


def _describe(slow: _Slow, start_ns: int) -> SlowRequest:
    latency_ns, intended_ns, sent_ns, server_timing = slow
    stages: dict[str, array[int]] = {}
    read_stages(server_timing, stages)
    lag_ns = sent_ns - intended_ns
    return SlowRequest(
        t_s=round((intended_ns - start_ns) / 1e9, 6),
        latency_ms=round(latency_ns / 1e6, 4),
        service_ms=round((latency_ns - lag_ns) / 1e6, 4),
        send_lag_ms=round(lag_ns / 1e6, 4),
        stages_ms={name: round(sum(rows) / 1e6, 4) for name, rows in stages.items()},
    )
