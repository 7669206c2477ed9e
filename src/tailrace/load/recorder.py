"""Where a load worker writes its measurements down: plain numbers into preallocated arrays.

Writing costs a few array stores a request; the arrays are folded into histograms in bulk when
they are full and at the end of each interval.
"""

from array import array

import numpy as np

from tailrace.load.histogram import Histogram

ROWS = 4096


class Recorder:
    """Counts and histograms of the interval in progress.

    The attributes up to `send_lags` are written by the client directly, for speed: `row` is the
    next free row of `latencies` and `services`, `lag_row` that of `send_lags`; a writer that fills
    the last row calls `fold`.
    """

    def __init__(self) -> None:
        self.row = 0
        self.lag_row = 0
        self.latencies = array("q", bytes(8 * ROWS))
        self.services = array("q", bytes(8 * ROWS))
        self.send_lags = array("q", bytes(8 * ROWS))
        self.failed: dict[str, int] = {}
        self.stages: dict[str, array[int]] = {}
        self.latency = Histogram()
        self.service = Histogram()
        self.send_lag = Histogram()
        self._stage_histograms: dict[str, Histogram] = {}
        self._views = {
            name: np.frombuffer(getattr(self, name), dtype=np.int64)
            for name in ("latencies", "services", "send_lags")
        }

    def fail(self, kind: str) -> None:
        """Count one failed request."""
        self.failed[kind] = self.failed.get(kind, 0) + 1

    def fold(self) -> None:
        """Move all rows into the histograms."""
        self.latency.record(self._views["latencies"][: self.row])
        self.service.record(self._views["services"][: self.row])
        self.send_lag.record(self._views["send_lags"][: self.lag_row])
        self.row = self.lag_row = 0
        for name, durations in self.stages.items():
            histogram = self._stage_histograms.setdefault(name, Histogram())
            histogram.record(np.array(durations, dtype=np.int64))
        self.stages.clear()

    def record_stages(self, server_timing: bytes) -> None:
        """Take stage durations from a Server-Timing header (W3C), whose `dur` is in ms.

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
            except (ValueError, OverflowError):
                continue
            rows = self.stages.get(key)
            if rows is None:
                rows = self.stages[key] = array("q")
            rows.append(duration_ns)

    def take(self) -> tuple[dict[str, int], bytes, bytes, bytes, dict[str, bytes]]:
        """Close the interval: (failures, latency, service time, send lag, stages), histograms
        packed; then start afresh.
        """
        self.fold()
        used = {name: h for name, h in self._stage_histograms.items() if h.total}
        taken = (
            self.failed,
            self.latency.pack(),
            self.service.pack(),
            self.send_lag.pack(),
            {name: histogram.pack() for name, histogram in used.items()},
        )
        self.failed = {}
        for histogram in (self.latency, self.service, self.send_lag, *used.values()):
            histogram.clear()
        return taken
