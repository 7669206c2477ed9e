"""The charts: what each shows, and the options that the browser gets once. Data come in frames."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tailrace.dashboard.theme import DIM, FONT, LINE, RAISED, TEXT, colour
from tailrace.load.point import Point
from tailrace.service.stages import STAGES

Row = list[float | None]
Option = dict[str, Any]

FAILURES = ("connect", "timeout", "reset", "protocol", "http_4xx", "http_5xx", "other")


@dataclass(frozen=True, slots=True)
class Chart:
    """One panel: `values` gives, for intervals put together, one value a series."""

    name: str
    title: str
    unit: str
    about: str
    series: Sequence[Option]
    values: Callable[[Sequence[Point]], Row]
    log: bool = False
    top: int = 34
    """Room for the legend, pixels."""
    axis: Option = field(default_factory=dict)


def _worst(points: Sequence[Point], value: Callable[[Point], float | None]) -> float | None:
    return max((v for p in points if (v := value(p)) is not None), default=None)


def _rate(points: Sequence[Point], count: Callable[[Point], int]) -> float:
    return sum(map(count, points)) / sum(p.interval_s for p in points)


def _mean(points: Sequence[Point], stage: str) -> float | None:
    # A mean of means: exact for one interval, weighted by completions for several.
    parts = [
        (p.completed, s.mean)
        for p in points
        if (s := p.stages_ms.get(stage)) is not None and s.mean is not None
    ]
    total = sum(n for n, _ in parts)
    return sum(n * mean for n, mean in parts) / total if total else None


def _latency(points: Sequence[Point]) -> Row:
    return [
        _worst(points, lambda p: p.latency_ms.p50),
        _worst(points, lambda p: p.latency_ms.p99),
        _worst(points, lambda p: p.latency_ms.p99_9),
    ]


def _rates(points: Sequence[Point]) -> Row:
    return [
        points[-1].target_per_s,
        _rate(points, lambda p: p.completed),
        _rate(points, lambda p: p.sent),
    ]


def _failures(points: Sequence[Point]) -> Row:
    counts = Counter[str]()
    for point in points:
        for kind, count in point.failed.items():
            counts[kind if kind in FAILURES else "other"] += count
    seconds = sum(p.interval_s for p in points)
    return [counts[kind] / seconds or None for kind in FAILURES]


def _line(name: str, label: str, **more: Any) -> Option:
    return {
        "id": name,
        "name": label,
        "type": "line",
        "showSymbol": False,
        "symbol": "circle",
        "lineStyle": {"width": 1.6, **more.pop("line", {})},
        "itemStyle": {"color": colour(more.pop("colour", name))},
        "emphasis": {"disabled": True},
        **more,
    }


CHARTS: tuple[Chart, ...] = (
    Chart(
        name="latency",
        title="Latency",
        unit="ms",
        about="per interval, from the intended time, log scale",
        series=(
            _line("p50", "p50"),
            _line("p99", "p99", line={"width": 2.4}),
            _line("p99.9", "p99.9", line={"type": [5, 3]}, z=1),
        ),
        values=_latency,
        log=True,
    ),
    Chart(
        name="rates",
        title="Rate",
        unit="req/s",
        about="asked for, sent (RPS) and completed (QPS)",
        series=(
            _line("asked", "asked", step="start", line={"width": 1.2, "type": [4, 3]}),
            _line("qps", "QPS", areaStyle={"opacity": 0.14}),
            _line("rps", "RPS"),
        ),
        values=_rates,
    ),
    Chart(
        name="failures",
        title="Failures",
        unit="/s",
        about="by kind",
        series=tuple(
            {
                "id": kind,
                "name": kind,
                "type": "bar",
                "stack": "failures",
                "barWidth": "75%",
                "barMaxWidth": 12,
                "itemStyle": {"color": colour(f"fail-{kind}")},
                "emphasis": {"disabled": True},
            }
            for kind in FAILURES
        ),
        values=_failures,
    ),
    Chart(
        name="in-flight",
        title="In flight",
        unit="requests",
        about="at the interval's end",
        series=(
            _line("inflight", "in flight", areaStyle={"opacity": 0.14}),
            _line("backlog", "backlog"),
        ),
        values=lambda ps: [_worst(ps, lambda p: p.in_flight), _worst(ps, lambda p: p.backlog)],
        axis={"minInterval": 1},
    ),
    Chart(
        name="send-lag",
        title="Send lag",
        unit="µs",
        about="the generator's lateness",
        series=(_line("lag", "p99", areaStyle={"opacity": 0.14}),),
        values=lambda ps: [_worst(ps, lambda p: p.send_lag_us.p99)],
    ),
    Chart(
        name="stages",
        title="Stages",
        unit="ms",
        about="means, stacked",
        series=tuple(
            _line(
                stage,
                stage,
                colour=f"stage-{stage}",
                stack="stages",
                line={"width": 0},
                areaStyle={"opacity": 0.85},
            )
            for stage in STAGES
        ),
        values=lambda ps: [_mean(ps, stage) for stage in STAGES],
        top=52,
    ),
)


def options(chart: Chart) -> Option:
    """What the browser is told of `chart` once; data follow in frames."""
    text = {"fontFamily": FONT, "fontSize": 11, "color": DIM}
    unit = chart.unit
    return {
        "animation": False,
        "textStyle": {"fontFamily": FONT},
        "grid": {
            "left": 46,
            "right": 28,
            "top": chart.top,
            "bottom": 24,
            "outerBoundsMode": "none",
        },
        "legend": {
            "left": 0,
            "top": 0,
            "padding": [2, 0],
            "icon": "roundRect",
            "itemWidth": 12,
            "itemHeight": 4,
            "itemGap": 14,
            "textStyle": text,
            "inactiveColor": LINE,
            "inactiveBorderColor": LINE,
        },
        "title": {
            "show": False,
            "text": "none",
            "left": "center",
            "top": "middle",
            "textStyle": {**text, "fontSize": 12, "fontWeight": "normal"},
        },
        "tooltip": {
            "trigger": "axis",
            "className": "tip",
            "confine": True,
            "transitionDuration": 0,
            "backgroundColor": RAISED,
            "borderColor": LINE,
            "padding": [8, 10],
            "textStyle": {"fontFamily": FONT, "fontSize": 12, "color": TEXT},
            "axisPointer": {"type": "line", "lineStyle": {"color": DIM, "type": "solid"}},
            ":valueFormatter": (
                "v => v == null ? '–' : v.toLocaleString('en-US', "
                f"{{maximumSignificantDigits: 3, maximumFractionDigits: 2}}) + ' {unit}'"
            ),
        },
        "xAxis": {
            "type": "time",
            "axisLine": {"lineStyle": {"color": LINE}},
            "axisTick": {"show": False},
            "splitLine": {"show": False},
            "splitNumber": 4,
            "axisLabel": {
                **text,
                "hideOverlap": True,
                "showMinLabel": False,
                "showMaxLabel": False,
                ":formatter": "v => new Date(v).toTimeString().slice(0, 8)",
            },
            "axisPointer": {
                "label": {
                    "show": False,
                    ":formatter": "p => new Date(p.value).toTimeString().slice(0, 8)",
                }
            },
        },
        "yAxis": {
            "type": "log" if chart.log else "value",
            "min": 1 if chart.log else 0,
            "splitNumber": 4,
            "axisLine": {"show": False},
            "axisTick": {"show": False},
            "splitLine": {"lineStyle": {"color": LINE, "width": 1}},
            "axisLabel": {
                **text,
                "margin": 8,
                ":formatter": "v => v >= 1e4 ? v / 1e3 + 'k' : v.toLocaleString('en-US')",
            },
            **chart.axis,
        },
        "dataset": {"source": []},
        "series": [
            {**series, "encode": {"x": 0, "y": at}} for at, series in enumerate(chart.series, 1)
        ],
    }
