"""The machines of a fleet: what each of them did, per interval and over the run."""

from collections import Counter
from collections.abc import Iterable, Mapping

from tailrace.load.measure.measurement import Measurement, added
from tailrace.load.measure.point import NodeFigures, cpu_percent, per_s
from tailrace.load.session.workers import WorkerHandle, Workers
from tailrace.load.worker.launcher import Launcher


class Nodes:
    """Figures of each machine that has a name, which this one has not."""

    def __init__(self, workers: Workers, launcher: Launcher) -> None:
        self._workers = workers
        self._launcher = launcher
        self._total: dict[str, Measurement] = {}

    def add(
        self, reports: Iterable[tuple[WorkerHandle, Measurement]], length_s: float
    ) -> dict[str, NodeFigures]:
        """Take in one interval's reports; the figures of that interval."""
        # Those as well that never report.
        begun = (worker.node for worker in self._workers.all if worker.begun_s is not None)
        told: dict[str, list[Measurement]] = {node: [] for node in begun if node}
        for worker, measured in reports:
            if worker.node:
                told[worker.node].append(measured)
        interval = {node: added(parts) for node, parts in told.items()}
        self._total = {
            node: self._total.get(node, Measurement()) + measured
            for node, measured in interval.items()
        }
        return self._figures(interval, length_s)

    def total(self, duration_s: float) -> dict[str, NodeFigures]:
        """The figures of all that was taken in."""
        return self._figures(self._total, duration_s)

    def _figures(self, parts: Mapping[str, Measurement], length_s: float) -> dict[str, NodeFigures]:
        clock_errors_s = self._launcher.clock_errors_s
        at_work = Counter(
            worker.node
            for worker in self._workers.all
            if worker.begun_s is not None and not worker.lost
        )
        figures = {}
        for node, measured in parts.items():
            lag = measured.send_lag
            there_s = max(measured.end_ns - measured.begun_ns, 0) / 1e9
            # It may have come later, or gone sooner; and its CPU is of the answers' time, too.
            offering_s = min(length_s, there_s)
            figures[node] = NodeFigures(
                workers=at_work[node],
                rps=per_s(measured.sent, offering_s),
                send_lag_p99_us=round(lag.percentile_us(99)[0], 4) if lag.total else None,
                cpu_percent=cpu_percent(measured, there_s),
                seen_s=round(self._total[node].end_ns / 1e9, 6),
                clock_error_ms=round(clock_errors_s.get(node, 0.0) * 1e3, 4),
            )
        return figures
