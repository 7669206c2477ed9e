"""The window: a service's last intervals taken together."""

from collections.abc import Collection
from statistics import fmean

import msgspec

from tailrace.load.measure.point import Percentiles, Point
from tailrace.load.measure.tally import Interval, Tally
from tailrace.load.measure.xray import Xray
from tailrace.load.session.result import answering_s


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """The last intervals of a service taken together: percentiles of the merged histogram."""

    intervals: int
    seconds: float
    latency_ms: Percentiles
    service_ms: Percentiles
    send_lag_us: Percentiles
    stages_ms: dict[str, Percentiles]
    xray: Xray | None = None
    """Where the time of the slowest 1 % went; None where too few were answered."""
    avg_rps: float
    """Over the time that load was offered in it."""
    avg_qps: float
    """Over that, or up to the last answer, if that came later."""
    sr_percent: float | None
    """Service rate: average QPS over average RPS, in percent; None before anything was sent."""
    avg_99th_ms: float | None = None
    """The mean of the intervals' own p99, unweighted: the original system's Avg99th. It is no
    percentile of anything; that of the window is `latency_ms.p99`."""
    cpu_percent: float = 0.0
    """Of one core, the load workers' together."""
    completed: int
    failed: dict[str, int]
    reasons: dict[str, int] = {}
    """The same failures by reason."""
    points: tuple[Point, ...]
    """The intervals themselves, oldest first."""


def summarize(history: Collection[Interval]) -> Window:
    """The window over `history`, oldest first: counts added, histograms merged."""
    tally = Tally()
    for interval in history:
        for snapshot in interval.snapshots:
            tally.add(snapshot)
    p99s = [p99 for i in history if (p99 := i.point.latency_ms.p99) is not None]
    seconds = sum(interval.point.interval_s for interval in history)
    offering_s = sum(interval.offering_s for interval in history) or seconds
    begin_s = min((i.point.t_s - i.point.interval_s for i in history), default=0.0)
    answered_s = min(answering_s(offering_s, tally.answered_ns / 1e9 - begin_s), seconds)
    avg_rps = tally.sent / offering_s if offering_s else 0.0
    avg_qps = tally.completed / answered_s if answered_s else 0.0
    return Window(
        intervals=len(history),
        seconds=round(seconds, 6),
        latency_ms=tally.latency.percentiles(1000),
        service_ms=tally.service.percentiles(1000),
        send_lag_us=tally.send_lag.percentiles(1),
        stages_ms={name: h.percentiles(1000) for name, h in tally.stages.items()},
        xray=tally.breakdown.xray(),
        avg_rps=round(avg_rps, 3),
        avg_qps=round(avg_qps, 3),
        sr_percent=round(100 * avg_qps / avg_rps, 2) if avg_rps else None,
        avg_99th_ms=round(fmean(p99s), 4) if p99s else None,
        cpu_percent=round(tally.cpu_ns / (seconds * 1e7), 2) if seconds else 0.0,
        completed=tally.completed,
        failed=tally.failed,
        reasons=tally.reasons,
        points=tuple(interval.point for interval in history),
    )
