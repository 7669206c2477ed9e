"""The window: a service's last intervals taken together."""

from collections.abc import Collection
from statistics import fmean

import msgspec

from tailrace.load.judge.dependence import SloDecision, decide
from tailrace.load.judge.slo import Slo, kept
from tailrace.load.judge.stretches import Stretches
from tailrace.load.measure.breakdown import Xray
from tailrace.load.measure.measurement import added
from tailrace.load.measure.point import (
    Figures,
    Interval,
    Percentiles,
    Point,
    close,
    cpu_percent,
)
from tailrace.load.session.result import answering_s


class Window(Figures, frozen=True, kw_only=True):
    """The last intervals of a service taken together: percentiles of the merged histogram."""

    intervals: int
    seconds: float
    send_lag_us: Percentiles
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
    points: tuple[Point, ...]
    """The intervals themselves, oldest first."""
    decisions: dict[str, SloDecision] = msgspec.field(default_factory=dict)
    """What the window by itself decides of each SLO; `slo` is as measured."""


def summarize(history: Collection[Interval], slos: Collection[Slo] = ()) -> Window:
    """The window over `history`, oldest first: counts added, histograms merged, `slos` judged."""
    measured = added(interval.measured for interval in history)
    p99s = [p99 for i in history if (p99 := i.point.latency_ms.p99) is not None]
    seconds = sum(interval.point.interval_s for interval in history)
    offering_s = sum(interval.offering_s for interval in history) or seconds
    begin_s = min((i.point.t_s - i.point.interval_s for i in history), default=0.0)
    answered_s = min(answering_s(offering_s, measured.answered_ns / 1e9 - begin_s), seconds)
    avg_rps = measured.sent / offering_s if offering_s else 0.0
    avg_qps = measured.completed / answered_s if answered_s else 0.0
    return close(
        Window,
        measured,
        slo=kept(measured, slos) if measured.ended else {},
        decisions=_decide(history, slos) if measured.ended else {},
        intervals=len(history),
        seconds=round(seconds, 6),
        avg_rps=round(avg_rps, 3),
        avg_qps=round(avg_qps, 3),
        sr_percent=round(100 * avg_qps / avg_rps, 2) if avg_rps else None,
        avg_99th_ms=round(fmean(p99s), 4) if p99s else None,
        cpu_percent=cpu_percent(measured, seconds),
        points=tuple(interval.point for interval in history),
    )


def _decide(history: Collection[Interval], slos: Collection[Slo]) -> dict[str, SloDecision]:
    if not slos:
        return {}
    stretches = Stretches()
    for interval in history:
        point = interval.point
        stretches.add(interval.measured, point.interval_s, point.target_per_s)
    return {slo.expression: decide(stretches, slo) for slo in slos}
