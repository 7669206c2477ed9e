"""Counts and histograms over a stretch of a run, merged from the workers' snapshots."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import nlargest

from tailrace.load.client.addresses import add_by_address
from tailrace.load.measure.breakdown import Breakdown
from tailrace.load.measure.failures import count_failure, kinds_of
from tailrace.load.measure.histogram import Histogram
from tailrace.load.measure.point import (
    BINS_PER_DECADE,
    SLOWEST,
    Event,
    NodeFigures,
    Percentiles,
    Point,
)
from tailrace.load.measure.server_timing import StageNames
from tailrace.load.worker.messages import Snapshot


@dataclass(slots=True)
class Tally:
    """Counts and histograms over any stretch of a run: an interval, a window, the whole."""

    offered: int = 0
    sent: int = 0
    completed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    """Failed requests, by reason."""
    examples: dict[str, str] = field(default_factory=dict)
    """What came instead of an answer, by reason."""
    addresses: dict[str, int] = field(default_factory=dict)
    """Requests sent, by where to."""
    cap_waits: int = 0
    port_exhausted: int = 0
    tick_lag_ns: int = 0
    clock_steps_ns: int = 0
    """By how much the time of day was set while monotonic time went on."""
    cpu_ns: int = 0
    worker_ns: int = 0
    """Time that the workers had, all together: cpu_ns / worker_ns is their share of a core."""
    cpu_periods: int = 0
    """Of the CPU limits on their containers; workers in one container each count them."""
    cpu_throttled: int = 0
    """In which they were stopped: cpu_throttled / cpu_periods is the share."""
    answered_ns: int = 0
    """When the last answer came, since the run's start; 0 where none did."""
    latency: Histogram = field(default_factory=Histogram)
    service: Histogram = field(default_factory=Histogram)
    send_lag: Histogram = field(default_factory=Histogram)
    stages: dict[str, Histogram] = field(default_factory=dict)
    breakdown: Breakdown = field(default_factory=Breakdown)
    names: StageNames = field(default_factory=StageNames)
    """Of stages: those of the whole run, for tallies of parts of it."""

    @property
    def failures(self) -> int:
        """Failed requests of every kind."""
        return sum(self.reasons.values())

    @property
    def failed(self) -> dict[str, int]:
        """Failed requests, by kind."""
        return kinds_of(self.reasons)

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
        self.answered_ns = max(self.answered_ns, snapshot.answered_ns)
        self.cpu_periods += snapshot.cpu_periods
        self.cpu_throttled += snapshot.cpu_throttled
        for reason, count in snapshot.reasons.items():
            self.fail(reason, count)
        add_by_address(self.addresses, snapshot.addresses)
        self.examples = {**snapshot.examples, **self.examples}
        self.latency.add_packed(snapshot.latency)
        self.service.add_packed(snapshot.service)
        self.send_lag.add_packed(snapshot.send_lag)
        for stage, packed in snapshot.stages.items():
            name = self.names.known(stage)
            self.stages.setdefault(name, Histogram()).add_packed(packed)
        self.breakdown.add_packed(snapshot.breakdown, self.names)

    def fail(self, reason: str, count: int) -> None:
        """Count failed requests."""
        if count:
            count_failure(self.reasons, reason, count)


@dataclass(frozen=True, slots=True)
class Interval:
    """One interval of a run: the figures, and the workers' snapshots they were taken from."""

    point: Point
    snapshots: tuple[Snapshot, ...]
    offering_s: float
    """How long of it load was offered: the last one goes on until all is answered."""


WINDOW = 60
"""Intervals that live figures are taken over, unless a control room is told otherwise."""


def latency_of(intervals: Iterable[Interval]) -> Percentiles:
    """Latency in ms over several intervals, from their merged histograms."""
    latency = Histogram()
    for interval in intervals:
        for snapshot in interval.snapshots:
            latency.add_packed(snapshot.latency)
    return latency.percentiles(1000)


def make_point(
    tally: Tally,
    snapshots: Sequence[Snapshot],
    *,
    index: int,
    t_s: float,
    wall_time: float,
    length_s: float,
    target_per_s: float,
    events: tuple[Event, ...],
    nodes: dict[str, NodeFigures],
) -> Point:
    """The figures of one interval, `length_s` long and ended at `t_s`; `tally` is of its
    `snapshots`, one a worker.
    """
    slow = [request for snapshot in snapshots for request in snapshot.slowest]
    return Point(
        index=index,
        t_s=round(t_s, 6),
        wall_time=round(wall_time, 6),
        interval_s=round(length_s, 6),
        target_per_s=target_per_s,
        offered=tally.offered,
        sent=tally.sent,
        completed=tally.completed,
        failed=tally.failed,
        reasons=tally.reasons,
        examples=tally.examples,
        rps=round(tally.sent / length_s, 3),
        qps=round(tally.completed / length_s, 3),
        in_flight=sum(snapshot.in_flight for snapshot in snapshots),
        backlog=sum(snapshot.backlog for snapshot in snapshots),
        connections=sum(snapshot.connections for snapshot in snapshots),
        cap_waits=tally.cap_waits,
        tick_lag_ms=round(tally.tick_lag_ns / 1e6, 3),
        latency_ms=tally.latency.percentiles(1000),
        service_ms=tally.service.percentiles(1000),
        send_lag_us=tally.send_lag.percentiles(1),
        stages_ms={name: h.percentiles(1000) for name, h in tally.stages.items()},
        cpu_percent=round(100 * tally.cpu_ns / (length_s * 1e9), 2),
        events=events,
        latency_bins=tally.latency.bins(BINS_PER_DECADE),
        components_us=tally.breakdown.in_us(),
        slowest=tuple(nlargest(SLOWEST, slow, key=lambda request: request.latency_ms)),
        nodes=nodes,
    )
