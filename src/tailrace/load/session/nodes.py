"""The machines of a fleet: what each of them did, per interval and over the run."""

from collections import Counter
from collections.abc import Iterable, Mapping

from tailrace.load.measure.measurement import Measurement, added
from tailrace.load.measure.point import NodeFigures
from tailrace.load.session.workers import NodeClock, WorkerHandle

_SAME_CLOCK = NodeClock(0, 0)


class Nodes:
    """Figures of each machine that has a name, which this one has not."""

    def __init__(self) -> None:
        self._total: dict[str, Measurement] = {}

    def join(self, workers: Iterable[WorkerHandle]) -> None:
        """Count the machines of `workers` among them, even if they never report."""
        for worker in workers:
            if worker.node:
                self._total.setdefault(worker.node, Measurement())

    def add(
        self,
        reports: Iterable[tuple[WorkerHandle, Measurement]],
        length_s: float,
        workers: Iterable[WorkerHandle],
        clocks: Mapping[str, NodeClock],
    ) -> dict[str, NodeFigures]:
        """Take in one interval's reports; the figures of that interval."""
        told: dict[str, list[Measurement]] = {node: [] for node in self._total}
        for worker, measured in reports:
            if worker.node:
                told[worker.node].append(measured)
        interval = {node: added(parts) for node, parts in told.items()}
        self._total = {node: total + interval[node] for node, total in self._total.items()}
        return self._figures(interval, length_s, workers, clocks)

    def total(
        self, duration_s: float, workers: Iterable[WorkerHandle], clocks: Mapping[str, NodeClock]
    ) -> dict[str, NodeFigures]:
        """The figures of all that was taken in."""
        return self._figures(self._total, duration_s, workers, clocks)

    def _figures(
        self,
        parts: Mapping[str, Measurement],
        length_s: float,
        workers: Iterable[WorkerHandle],
        clocks: Mapping[str, NodeClock],
    ) -> dict[str, NodeFigures]:
        at_work = Counter(
            worker.node for worker in workers if worker.begun_s is not None and not worker.lost
        )
        figures = {}
        for node, measured in parts.items():
            lag = measured.send_lag
            there_s = max(measured.end_ns - measured.begun_ns, 0) / 1e9
            # It may have come later, or gone sooner; and its CPU is of the answers' time, too.
            offering_s = min(length_s, there_s)
            figures[node] = NodeFigures(
                workers=at_work[node],
                rps=round(measured.sent / offering_s, 3) if offering_s > 0 else 0.0,
                send_lag_p99_us=round(lag.percentile_us(99)[0], 4) if lag.total else None,
                cpu_percent=round(measured.cpu_ns / (there_s * 1e7), 2) if there_s > 0 else 0.0,
                seen_s=round(self._total[node].end_ns / 1e9, 6),
                clock_error_ms=round(clocks.get(node, _SAME_CLOCK).error_ns / 1e6, 4),
            )
        return figures
