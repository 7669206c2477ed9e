"""The figures at the top: what each tile says of the window and of the last interval."""

from collections.abc import Callable
from dataclasses import dataclass

from nicegui import ui

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
    show: Callable[[Window, Point], Shown]
    """Of a window and its last interval."""

    def of(self, window: Window) -> Shown:
        """Its content; a dash before the first interval."""
        return self.show(window, window.points[-1]) if window.points else Shown(NONE)


class Tiles:
    """All figures in one browser, a tile each."""

    def __init__(self) -> None:
        self._labels: list[tuple[ui.label, ui.label, ui.label]] = []
        with ui.element("section").classes("card tiles").props('aria-label="Figures"'):
            for figure in FIGURES:
                with (
                    ui.element("div")
                    .classes(f"tile tile-{figure.name.replace('.', '')}")
                    .props(f'role=group aria-label="{figure.label}" title="{figure.about}"')
                ):
                    ui.label(figure.label).classes("tile-label")
                    with ui.element("div").classes("tile-value"):
                        value = ui.label(NONE).props(f"data-testid=value-{figure.name}")
                        unit = ui.label(figure.unit).classes("unit")
                    note = ui.label().classes("tile-note").props(f"data-testid=note-{figure.name}")
                self._labels.append((value, unit, note))
            self._spans = ui.label().classes("tiles-note").props("data-testid=spans")

    def show(self, window: Window) -> None:
        """Bring them up to `window`."""
        over = broken(window)
        for figure, (value, unit, note) in zip(FIGURES, self._labels, strict=True):
            shown = figure.of(window)
            unit.set_text(figure.unit or shown.unit)
            value.set_text(shown.value)
            bad = figure.name in over
            value.classes(add="bad" if bad else "", remove="" if bad else "bad")
            note.set_text(over.get(figure.name, shown.note))
        self._spans.set_text(spans(window))


def spans(window: Window) -> str:
    """Which figures are of the whole window, and which of its last interval."""
    if not window.intervals:
        return ""
    over = "".join(f" Over the SLO {text}." for text, is_kept in window.slo.items() if not is_kept)
    return (
        f"Percentiles, SR and failures: the last {format_duration(window.seconds)}. "
        f"RPS, QPS, in flight and CPU: the last interval.{over}"
    )


def broken(window: Window) -> dict[str, str]:
    """What stands at the figure of each statistic whose SLO the window breaks."""
    slos = (parse_slo(text) for text, is_kept in window.slo.items() if not is_kept)
    return {slo.statistic: f"over {slo.bound} SLO" for slo in slos}


def _with(value: float | None, word: str, besides: float | None) -> Shown:
    """`value`, and below it another one in a word."""
    return Shown(number(value), "" if besides is None else f"{word} {number(besides)}")


def _highest(window: Window, _: Point) -> Shown:
    if window.completed < ENOUGH_FOR_HIGHEST:
        note = f"{window.completed:,} of {ENOUGH_FOR_HIGHEST:,}" if window.completed else ""
        return Shown(NONE, note)
    return Shown(number(window.latency_ms.get(HIGHEST)), f"of {window.completed:,}")


def _sr(window: Window, _: Point) -> Shown:
    share = window.sr_percent
    return Shown(NONE) if share is None else Shown(f"{share:.1f}", "QPS ÷ RPS")


def _failures(window: Window, _: Point) -> Shown:
    return Shown(f"{sum(window.reasons.values()):,}", describe_failures(window.reasons))


def _in_flight(_: Window, last: Point) -> Shown:
    besides = (f"{count.label} {getattr(last, name):,}" for name, count in _WARNING.items())
    return Shown(f"{last.in_flight:,}", ", ".join(besides))


def _send_lag(window: Window, _: Point) -> Shown:
    p50, p99 = window.send_lag_us.p50, window.send_lag_us.p99
    value, *unit = format_lag(p99).split(" ")
    return Shown(value, "" if p50 is None else f"p50 {format_lag(p50)}", *unit)


FIGURES: tuple[Figure, ...] = (
    Figure(
        *("p50", "p50", "ms"),
        "Half of the window's responses had at most this latency, counted from the intended time.",
        lambda window, _: _with(window.latency_ms.p50, "mean", window.latency_ms.mean),
    ),
    Figure(
        *("p99", "p99", "ms"),
        "99 % of the window's responses had at most this latency, counted from the intended time.",
        lambda window, _: _with(window.latency_ms.p99, "max", window.latency_ms.max),
    ),
    Figure(
        *(HIGHEST, HIGHEST, "ms"),
        "99.9 % of the window's responses had at most this latency. "
        "Shown once the window holds 1,000 responses.",
        _highest,
    ),
    Figure(
        *("rps", "RPS", "req/s", "Requests sent in the last interval."),
        lambda window, last: _with(last.rps, "avg", window.avg_rps),
    ),
    Figure(
        *("qps", "QPS", "req/s", "Responses completed in the last interval."),
        lambda window, last: _with(last.qps, "avg", window.avg_qps),
    ),
    Figure("sr", "SR", "%", "Service rate: average QPS ÷ average RPS over the window.", _sr),
    Figure(
        *("failures", "Failures", ""),
        "Failed requests in the window, by reason; never part of the latency percentiles.",
        _failures,
    ),
    Figure(
        *("in-flight", "In flight", ""),
        "Sent and not yet answered at the interval's end."
        + "".join(f" {one.label.capitalize()}: {one.about}." for one in _WARNING.values()),
        _in_flight,
    ),
    Figure(
        *("send-lag", "Send lag p99", ""),
        "The generator's own lateness over the window: sent − intended.",
        _send_lag,
    ),
    Figure(
        *("cpu", "Load CPU", "%"),
        "What the load workers took of one core, all together, in the last interval.",
        lambda window, last: _with(last.cpu_percent, "avg", window.cpu_percent),
    ),
)
