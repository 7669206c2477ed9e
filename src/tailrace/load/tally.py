"""Counts and histograms over a stretch of a run, merged from the workers' snapshots."""

from dataclasses import dataclass, field

from tailrace.load.histogram import Histogram
from tailrace.load.messages import Snapshot
from tailrace.load.point import Point


@dataclass(slots=True)
class Tally:
    """Counts and histograms over any stretch of a run: an interval, a window, the whole."""

    offered: int = 0
    sent: int = 0
    completed: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    cap_waits: int = 0
    port_exhausted: int = 0
    tick_lag_ns: int = 0
    clock_steps_ns: int = 0
    """By how much the time of day was set while monotonic time went on."""
    cpu_ns: int = 0
    worker_ns: int = 0
    """Time that the workers had, all together: cpu_ns / worker_ns is their share of a core."""
    latency: Histogram = field(default_factory=Histogram)
    service: Histogram = field(default_factory=Histogram)
    send_lag: Histogram = field(default_factory=Histogram)
    stages: dict[str, Histogram] = field(default_factory=dict)

    @property
    def failures(self) -> int:
        """Failed requests of every kind."""
        return sum(self.failed.values())

    def add(self, snapshot: Snapshot) -> None:
        """Merge what one worker reported of one interval."""
        self.offered += snapshot.offered
        self.sent += snapshot.sent
        self.completed += snapshot.completed
        self.cap_waits += snapshot.cap_waits
        self.port_exhausted += snapshot.port_exhausted
        self.tick_lag_ns = max(self.tick_lag_ns, snapshot.tick_lag_ns)
        self.cpu_ns += snapshot.cpu_ns
        self.worker_ns += snapshot.length_ns
        for kind, count in snapshot.failed.items():
            self.failed[kind] = self.failed.get(kind, 0) + count
        self.latency.add_packed(snapshot.latency)
        self.service.add_packed(snapshot.service)
        self.send_lag.add_packed(snapshot.send_lag)
        for stage, packed in snapshot.stages.items():
            self.stages.setdefault(stage, Histogram()).add_packed(packed)


@dataclass(frozen=True, slots=True)
class Interval:
    """One interval of a run: the figures, and the workers' snapshots they were taken from."""

    point: Point
    snapshots: tuple[Snapshot, ...]
