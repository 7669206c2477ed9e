"""Where a load worker writes its measurements down: plain numbers into preallocated arrays.

Writing costs a few array stores a request; the arrays are folded into histograms in bulk when
they are full and at the end of each interval.
"""

from array import array

import numpy as np

from tailrace.load.measure.breakdown import CONNECT, CONNECTION_WAIT, OpenBreakdown, split
from tailrace.load.measure.failures import MOST_REASONS, count_failure, example_of
from tailrace.load.measure.histogram import IntArray, OpenHistogram
from tailrace.load.measure.measurement import SLOWEST, Measurement, SlowRequest
from tailrace.load.measure.samples import SampleLog
from tailrace.load.measure.server_timing import ABSENT, StageNames, read_header, read_headers

ROWS = 4096
LAST_ROW = ROWS - 1

PART = 128
"""So many rows' Server-Timing is read at a time: together is faster, all together would be long."""

_Slow = tuple[int, int, int, int, bytes]
"""Latency, intended time, sent time, wait for a connection, in ns, and what Server-Timing said; the
slowest is greatest.
"""


class Recorder:
    """Counts and histograms of the interval in progress.

    The attributes up to `send_lags` are written by the client directly, for speed: `row` is the
    next free row of `intended`, `sent`, `done` (ns), `timings` (Server-Timing, where there was
    one), `connects` and `connection_waits` (ns it waited for a connection, where it did), `lag_row`
    that of `send_lags`. A writer calls `fold` with the last row of `send_lags`, and `part` with
    the last of each PART of the other rows.
    """

    def __init__(self, samples: SampleLog | None = None) -> None:
        self.samples = samples
        """Raw samples, where they are asked for."""
        self.row = 0
        self.lag_row = 0
        self.intended = array("q", bytes(8 * ROWS))
        self.sent = array("q", bytes(8 * ROWS))
        self.done = array("q", bytes(8 * ROWS))
        self.connects = array("q", bytes(8 * ROWS))
        self.connection_waits = array("q", bytes(8 * ROWS))
        self.timings: list[bytes | None] = [None] * ROWS
        self.send_lags = array("q", bytes(8 * ROWS))
        self.reasons: dict[str, int] = {}
        self._examples: dict[str, str] = {}
        self._exemplified: set[str] = set()
        """Reasons of which an answer was shown, in the run."""
        self._latency = OpenHistogram()
        self._service = OpenHistogram()
        self._send_lag = OpenHistogram()
        self._breakdown = OpenBreakdown()
        self._slowest: list[_Slow] = []
        self._answered_ns = 0
        """When the last answer of the interval came, CLOCK_MONOTONIC."""
        self._read = 0
        self._names = StageNames()
        self._stages: dict[str, IntArray] = {}
        self._stage_histograms: dict[str, OpenHistogram] = {}
        self._views = {
            name: np.frombuffer(getattr(self, name), dtype=np.int64)
            for name in (
                *("intended", "sent", "done", "send_lags"),
                *("connects", "connection_waits"),
            )
        }

    def fail(self, reason: str, answer: bytes = b"") -> None:
        """Count one failed request; `answer` is the beginning of what came for it, if anything."""
        count_failure(self.reasons, reason)
        shown = self._exemplified
        if answer and reason not in shown and len(shown) < MOST_REASONS:
            shown.add(reason)
            self._examples[reason] = example_of(answer)

    def miss(self, reason: str, lags_ns: IntArray) -> None:
        """Count failed requests that were not even set about, and how late they are by now."""
        count_failure(self.reasons, reason, len(lags_ns))
        self._send_lag.record(lags_ns)

    def part(self) -> None:
        """Read what servers said in the rows since the last call; fold if those are all."""
        self._read_timings()
        if self.row == ROWS:
            self.fold()

    def fold(self) -> None:
        """Move all rows into the histograms."""
        self._read_timings()
        rows = self.row
        intended, sent, done = (self._views[name][:rows] for name in ("intended", "sent", "done"))
        latencies = done - intended
        services = done - sent
        stages = {name: spans[:rows] for name, spans in self._stages.items()}
        buckets = self._latency.record(latencies)
        self._service.record(services)
        self._send_lag.record(self._views["send_lags"][: self.lag_row])
        waits = {
            CONNECTION_WAIT: self._views["connection_waits"][:rows],
            CONNECT: self._views["connects"][:rows],
        }
        waits = {name: spans for name, spans in waits.items() if spans.any()}
        self._breakdown.record(buckets, split(latencies - services, waits, services, stages))
        self._find_slowest(latencies)
        for name, spans in stages.items():
            histogram = self._stage_histograms.setdefault(name, OpenHistogram())
            histogram.record(spans[spans != ABSENT])
        for spans in waits.values():
            spans[:] = 0
        self.timings[:rows] = [None] * rows
        self._stages.clear()
        if rows:
            if self.samples is not None:
                self.samples.keep(intended, sent, done)
            # Written as answers come, so the last row is the latest.
            self._answered_ns = self.done[rows - 1]
        self.row = self.lag_row = self._read = 0

    def _read_timings(self) -> None:
        start, end = self._read, self.row
        self._read = end
        timings = self.timings[start:end]
        if timings.count(None) == len(timings):
            return
        said = {row: header for row, header in enumerate(timings, start) if header is not None}
        rows = list(said)
        for name, spans in read_headers(list(said.values()), self._names).items():
            if name not in self._stages:
                self._stages[name] = np.full(ROWS, ABSENT, dtype=np.int64)
            self._stages[name][rows] = spans

    def _find_slowest(self, latencies: IntArray) -> None:
        rows = np.arange(len(latencies))
        if len(self._slowest) == SLOWEST:
            rows = np.flatnonzero(latencies > self._slowest[-1][0])
        if len(rows) > SLOWEST:
            rows = rows[np.argpartition(latencies[rows], -SLOWEST)[-SLOWEST:]]
        found: list[_Slow] = [
            (
                int(latencies[row]),
                self.intended[row],
                self.sent[row],
                self.connects[row] + self.connection_waits[row],
                self.timings[row] or b"",
            )
            for row in rows.tolist()
        ]
        self._slowest = sorted(self._slowest + found, reverse=True)[:SLOWEST]

    def take(self, start_ns: int) -> Measurement:
        """Close the interval and start afresh; `start_ns` is what intended times count from."""
        self.fold()
        if self.samples is not None:
            self.samples.flush()
        stages = {name: counted.closed() for name, counted in self._stage_histograms.items()}
        slowest = (_describe(slow, self._names) for slow in self._slowest)
        measured = Measurement(
            reasons=self.reasons,
            examples=self._examples,
            series={
                "latency": self._latency.closed(),
                "service": self._service.closed(),
                "send_lag": self._send_lag.closed(),
            },
            stages={name: times for name, times in stages.items() if times.total},
            breakdown=self._breakdown.closed(),
            slowest=tuple(slowest),
            answered_ns=max(self._answered_ns - start_ns, 0),
        )
        self.reasons = {}
        self._examples = {}
        self._slowest = []
        self._answered_ns = 0
        return measured


def _describe(slow: _Slow, names: StageNames) -> SlowRequest:
    latency_ns, intended_ns, sent_ns, wait_ns, server_timing = slow
    before_ns = sent_ns - intended_ns
    return SlowRequest(
        latency_ms=round(latency_ns / 1e6, 4),
        service_ms=round((latency_ns - before_ns) / 1e6, 4),
        send_lag_ms=round((before_ns - wait_ns) / 1e6, 4),
        connection_ms=round(wait_ns / 1e6, 4),
        stages_ms={
            name: round(span_ns / 1e6, 4)
            for name, span_ns in read_header(server_timing, names).items()
        },
    )
