"""The machines of a fleet: what each of them did, per interval and over the run."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tailrace.load.measure.histogram import Histogram
from tailrace.load.measure.point import NodeFigures
from tailrace.load.session.workers import NodeClock, WorkerHandle
from tailrace.load.worker.messages import Snapshot

_SAME_CLOCK = NodeClock(0, 0)


@dataclass(slots=True)
class _NodeTally:
    sent: int = 0
    cpu_ns: int = 0
    begun_s: float = float("inf")
    seen_s: float = 0.0
    """From when and up to when it has reported, since the run's start."""
    send_lag: Histogram = field(default_factory=Histogram)

    def add(self, snapshot: Snapshot) -> None:
        self.sent += snapshot.sent
        self.cpu_ns += snapshot.cpu_ns
        self.begun_s = min(self.begun_s, (snapshot.end_ns - snapshot.length_ns) / 1e9)
        self.seen_s = max(self.seen_s, snapshot.end_ns / 1e9)
        self.send_lag.add_packed(snapshot.send_lag)


class Nodes:
    """Figures of each machine that has a name, which this one has not."""

    def __init__(self) -> None:
        self._total: dict[str, _NodeTally] = {}

    def join(self, workers: Iterable[WorkerHandle]) -> None:
        """Count the machines of `workers` among them, even if they never report."""
        for worker in workers:
            if worker.node:
                self._total.setdefault(worker.node, _NodeTally())

    def add(
        self,
        reports: Iterable[tuple[WorkerHandle, Snapshot]],
        length_s: float,
        workers: Iterable[WorkerHandle],
        clocks: Mapping[str, NodeClock],
    ) -> dict[str, NodeFigures]:
        """Take in one interval's reports; the figures of that interval."""
        interval = {node: _NodeTally(seen_s=total.seen_s) for node, total in self._total.items()}
        for worker, snapshot in reports:
            if worker.node:
                interval[worker.node].add(snapshot)
                self._total[worker.node].add(snapshot)
        return _figures(interval, length_s, workers, clocks)

    def total(
        self, duration_s: float, workers: Iterable[WorkerHandle], clocks: Mapping[str, NodeClock]
    ) -> dict[str, NodeFigures]:
        """The figures of all that was taken in."""
        return _figures(self._total, duration_s, workers, clocks)


def _figures(
    tallies: Mapping[str, _NodeTally],
    length_s: float,
    workers: Iterable[WorkerHandle],
    clocks: Mapping[str, NodeClock],
) -> dict[str, NodeFigures]:
    there = Counter(
        worker.node for worker in workers if worker.begun_s is not None and not worker.lost
    )
    figures = {}
    for node, tally in tallies.items():
        clock = clocks.get(node, _SAME_CLOCK)
        lag = tally.send_lag
        there_s = max(tally.seen_s - tally.begun_s, 0.0)
        # It may have come later, or gone sooner; and its CPU is of the answers' time, too.
        offering_s = min(length_s, there_s)
        figures[node] = NodeFigures(
            workers=there[node],
            rps=round(tally.sent / offering_s, 3) if offering_s > 0 else 0.0,
            send_lag_p99_us=round(lag.percentile_us(99)[0], 4) if lag.total else None,
            cpu_percent=round(tally.cpu_ns / (there_s * 1e7), 2) if there_s > 0 else 0.0,
            seen_s=round(tally.seen_s, 6),
            clock_error_ms=round(clock.error_ns / 1e6, 4),
            clock_drift_ms=round(clock.drift_ns / 1e6, 4),
        )
    return figures
