"""The figures at the top: what each tile says of the window and of the last interval."""

from collections.abc import Callable
from dataclasses import dataclass

from tailrace.control.interface import Window
from tailrace.load.judge.slo import parse_slo
from tailrace.load.measure.failures import describe_failures
from tailrace.load.measure.measurement import COUNTS
from tailrace.load.measure.point import Point
from tailrace.units import NONE, format_duration, format_lag, number
from tailrace.view.charts import HIGHEST

_WARNING = {name: count for name, count in COUNTS.items() if count.warns}

ENOUGH_FOR_HIGHEST = 1000
"""Below this many responses the highest percentile is none, but one of the slowest few."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A tile's content: the figure, the small print below it, and a unit that suits the figure
    where the tile has none of its own.
    """

    value: str
    note: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """One tile; `about` is its definition, shown on hover."""

    name: str
    label: str
    unit: str
    about: str
    show: Callable[[Window, Point | None], Shown]


def spans(window: Window) -> str:
    """Which figures are of the whole window, and which of its last interval."""
    if not window.intervals:
        return ""
    over = "".join(f" SLO {text} is broken." for text, is_kept in window.slo.items() if not is_kept)
    return (
        f"Percentiles, SR and failures: the last {format_duration(window.seconds)}. "
        f"RPS, QPS, in flight and CPU: the last interval.{over}"
    )


def broken(window: Window) -> dict[str, str]:
    """What stands at the figure of each statistic whose SLO the window breaks."""
    slos = (parse_slo(text) for text, is_kept in window.slo.items() if not is_kept)
    return {slo.statistic: f"over {format_duration(slo.bound_s)} SLO" for slo in slos}


def failures_by_reason(window: Window) -> str:
    """The window's failures, the most frequent reason first; empty without any."""
    return describe_failures(window.reasons) if window.reasons else ""


def _p50(window: Window, _: Point | None) -> Shown:
    mean = window.latency_ms.mean
    return Shown(number(window.latency_ms.p50), "" if mean is None else f"mean {number(mean)}")


def _p99(window: Window, _: Point | None) -> Shown:
    top = window.latency_ms.max
    return Shown(number(window.latency_ms.p99), "" if top is None else f"max {number(top)}")


def _highest(window: Window, _: Point | None) -> Shown:
    if window.completed < ENOUGH_FOR_HIGHEST:
        note = f"{window.completed:,} of {ENOUGH_FOR_HIGHEST:,}" if window.completed else ""
        return Shown(NONE, note)
    return Shown(number(window.latency_ms.get(HIGHEST)), f"of {window.completed:,}")


def _rps(window: Window, last: Point | None) -> Shown:
    return Shown(
        number(last.rps if last else None), f"avg {number(window.avg_rps)}" if last else ""
    )


def _qps(window: Window, last: Point | None) -> Shown:
    return Shown(
        number(last.qps if last else None), f"avg {number(window.avg_qps)}" if last else ""
    )


def _sr(window: Window, _: Point | None) -> Shown:
    if window.sr_percent is None:
        return Shown(NONE)
    return Shown(f"{window.sr_percent:.1f}", "QPS ÷ RPS")


def _failures(window: Window, last: Point | None) -> Shown:
    if last is None:
        return Shown(NONE)
    return Shown(f"{sum(window.reasons.values()):,}", describe_failures(window.reasons))


def _in_flight(_: Window, last: Point | None) -> Shown:
    if last is None:
        return Shown(NONE)
    besides = (f"{count.label} {getattr(last, name):,}" for name, count in _WARNING.items())
    return Shown(f"{last.in_flight:,}", ", ".join(besides))


def _send_lag(window: Window, _: Point | None) -> Shown:
    p50, p99 = window.send_lag_us.p50, window.send_lag_us.p99
    value, *unit = format_lag(p99).split(" ")
    return Shown(value, "" if p50 is None else f"p50 {format_lag(p50)}", *unit)


def _cpu(window: Window, last: Point | None) -> Shown:
    if last is None:
        return Shown(NONE)
    return Shown(number(last.cpu_percent), f"avg {number(window.cpu_percent)}")


FIGURES: tuple[Figure, ...] = (
    Figure(
        "p50",
        "p50",
        "ms",
        "Half of the window's responses had at most this latency, counted from the intended time.",
        _p50,
    ),
    Figure(
        "p99",
        "p99",
        "ms",
        "99 % of the window's responses had at most this latency, counted from the intended time.",
        _p99,
    ),
    Figure(
        HIGHEST,
        HIGHEST,
        "ms",
        "99.9 % of the window's responses had at most this latency. "
        "Shown once the window holds 1,000 responses.",
        _highest,
    ),
    Figure("rps", "RPS", "req/s", "Requests sent in the last interval.", _rps),
    Figure("qps", "QPS", "req/s", "Responses completed in the last interval.", _qps),
    Figure(
        "sr",
        "SR",
        "%",
        "Service rate: average QPS ÷ average RPS over the window.",
        _sr,
    ),
    Figure(
        "failures",
        "Failures",
        "",
        "Failed requests in the window, by reason; never part of the latency percentiles.",
        _failures,
    ),
    Figure(
        "in-flight",
        "In flight",
        "",
        " ".join(
            [
                "Sent and not yet answered at the interval's end.",
                *(f"{one.label.capitalize()}: {one.about}." for one in _WARNING.values()),
            ]
        ),
        _in_flight,
    ),
    Figure(
        "send-lag",
        "Send lag p99",
        "",
        "The generator's own lateness over the window: sent − intended.",
        _send_lag,
    ),
    Figure(
        "cpu",
        "Load CPU",
        "%",
        "What the load workers took of one core, all together, in the last interval.",
        _cpu,
    ),
)
