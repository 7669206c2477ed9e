"""Which charts there are, what they show, and what those that draw them (static/timeline/) know.

A count is a line of the chart that its declaration names, and a series a column of the table of one
moment: the scripts know neither by name.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from tailrace.load.judge.slo import Slo
from tailrace.load.measure.histogram import BINS_PER_DECADE
from tailrace.load.measure.measurement import COUNTS
from tailrace.load.measure.point import MAIN, SERIES, STATISTICS

MEDIAN, TAIL, HIGHEST = MAIN
LISTED = (*STATISTICS[1:], STATISTICS[0])
"""Of a histogram in a table: percentiles, maximum, mean."""

COLOURS = 10
"""So many has the palette of stages, and that of kinds of failures, in static/page.css. Which names
there are, and their order, is said by the data: the first that is met has the first colour.
"""

Clock = Literal["wall", "elapsed"]


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of a chart, or an entry of the facts about one moment."""

    id: str
    label: str
    path: tuple[str, ...]
    """Where its value stands in a Point; `*` for each name that there is, of a chart of names. A
    table of counts is its sum."""
    take: Literal["worst", "mean", "rate", "last"] = "worst"
    """Of intervals that are drawn as one: the highest, the mean by answers, what it comes to a
    second, or the last."""
    words: Literal["", "amount", "lag", "per second"] = ""
    """How its value is worded, if not as a number."""
    colour: str = ""
    """A variable of the style sheet."""
    kind: Literal["", "bar"] = ""
    width: float | None = None
    dash: tuple[int, ...] = ()
    step: str = ""
    fill: float | None = None
    stacked: bool = False


class Chart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One chart; what is not said of it is as usual."""

    name: str
    title: str
    unit: str
    about: str
    lines: tuple[Line, ...] = ()
    named: Literal["", "failures", "stages"] = ""
    """Of which names it has a line each, like its only one."""
    by_run: bool = False
    """Several runs laid over each other, in a colour each; of a heatmap, one for each run."""
    log: bool = False
    heat: bool = False
    slo: bool = False
    """Whether bounds, and intervals that broke one, are drawn."""
    marks: Literal["", "thin", "named"] = ""
    """How what was done to the run is drawn."""
    words: Literal["", "amount", "lag"] = ""
    occurring: bool = False
    """Lines without a value are left out."""
    optional: bool = False
    """So is the chart without lines."""
    none: str = ""
    """What is said without lines."""


_AREA = 0.14


def _declared(chart: str) -> tuple[Line, ...]:
    return tuple(
        Line(
            id=name,
            label=count.label,
            path=(name,),
            colour=f"c-{count.colour}",
            fill=None if number else _AREA,
        )
        for number, (name, count) in enumerate(
            item for item in COUNTS.items() if item[1].chart == chart
        )
    )


def _latency(name: str, **look: Any) -> Line:
    colour = f"c-{name.replace('.', '')}"
    return Line(id=name, label=name, path=("latency_ms", name), colour=colour, **look)


_QPS = Line(id="qps", label="QPS", path=("completed",), take="rate", colour="c-qps", fill=_AREA)
_RPS = Line(id="rps", label="RPS", path=("sent",), take="rate", colour="c-rps")
_ASKED = Line(
    id="asked",
    label="asked",
    path=("target_per_s",),
    take="last",
    colour="c-asked",
    width=1.2,
    dash=(4, 3),
    step="end",
)
_LAG = Line(
    id="lag",
    label=TAIL,
    path=("send_lag_us", TAIL),
    words="lag",
    colour="c-lag",
    fill=_AREA,
)
_CPU = Line(id="cpu", label="CPU", path=("server", "cpu_percent"), colour="c-cpu", fill=_AREA)
_LOAD_CPU = Line(id="cpu", label="CPU", path=("cpu_percent",), colour="c-cpu", fill=_AREA)
_LAGS = "per interval, the generator's own"
_LOAD = "of one core, all together"
_HEAT = "requests a second in each 12 % of latency"

_CHARTS = (
    Chart(
        name="latency",
        title="Latency",
        unit="ms",
        about="per interval, from the intended time, log scale",
        log=True,
        marks="thin",
        slo=True,
        lines=(
            _latency(MEDIAN),
            _latency(TAIL, width=2.4),
            _latency(HIGHEST, width=1.2, dash=(5, 3)),
        ),
    ),
    Chart(
        name="heatmap",
        title="Latency heatmap",
        unit="ms",
        about=_HEAT,
        log=True,
        slo=True,
        heat=True,
    ),
    Chart(
        name="rates",
        title="Rate",
        unit="req/s",
        about="asked for, sent (RPS), completed (QPS)",
        marks="named",
        lines=(_ASKED, _QPS, _RPS),
    ),
    Chart(
        name="failures",
        title="Failures",
        unit="/s",
        about="by kind",
        occurring=True,
        none="no failures",
        named="failures",
        lines=(Line(id="*", label="*", path=("failed", "*"), take="rate", kind="bar"),),
    ),
    Chart(
        name="in-flight",
        title="In flight",
        unit="requests",
        about="at the interval's end",
        words="amount",
        lines=_declared("in-flight"),
    ),
    Chart(name="send-lag", title="Send lag", unit="", about=_LAGS, words="lag", lines=(_LAG,)),
    Chart(
        name="stages",
        title="Stages",
        unit="ms",
        about="means, stacked",
        occurring=True,
        optional=True,
        named="stages",
        lines=(
            Line(
                id="*",
                label="*",
                path=("stages_ms", "*", STATISTICS[0]),
                take="mean",
                width=0,
                fill=0.85,
                stacked=True,
            ),
        ),
    ),
    Chart(
        name="server",
        title="Service's CPU and GPU",
        unit="%",
        about="by its own /metrics; CPU of one core",
        occurring=True,
        optional=True,
        lines=(_CPU, Line(id="gpu", label="GPU", path=("server", "gpu_percent"), colour="c-gpu")),
    ),
    Chart(name="load-cpu", title="Load workers' CPU", unit="%", about=_LOAD, lines=(_LOAD_CPU,)),
    Chart(
        name="tick-lag",
        title="Tick lag",
        unit="ms",
        about="the generator's latest clock tick",
        lines=(Line(id="tick", label="latest", path=("tick_lag_ms",), colour="c-lag", fill=_AREA),),
    ),
    Chart(
        name="connections",
        title="Connections",
        unit="",
        about="open, and requests that waited for one",
        words="amount",
        lines=_declared("connections"),
    ),
)


def _compared(name: str, title: str, unit: str, about: str, line: Line, **more: Any) -> Chart:
    lines = (msgspec.structs.replace(line, label=title, fill=None),)
    return Chart(
        name=f"runs-{name}", title=title, unit=unit, about=about, by_run=True, lines=lines, **more
    )


_TAIL_FIRST = (TAIL, MEDIAN, HIGHEST)
_COMPARED = (
    *(
        _compared(
            name,
            f"Latency {name}",
            "ms",
            "per interval, log scale",
            _latency(name),
            log=True,
            slo=name == TAIL,
        )
        for name in _TAIL_FIRST
    ),
    _compared("qps", "Completed", "req/s", "QPS", _QPS),
    _compared(
        "failures",
        "Failures",
        "/s",
        "of every kind",
        Line(id="failures", label="", path=("failed",), take="rate"),
    ),
    _compared(
        "in-flight",
        "In flight",
        "requests",
        "at the interval's end",
        _declared("in-flight")[0],
        words="amount",
    ),
    _compared("send-lag", f"Send lag {TAIL}", "", _LAGS, _LAG, words="lag"),
    _compared("load-cpu", "Load workers' CPU", "%", _LOAD, _LOAD_CPU),
    _compared(
        "server",
        "Service's CPU",
        "%",
        "by its own /metrics; of one core",
        _CPU,
        occurring=True,
        optional=True,
    ),
    Chart(
        name="runs-heatmap",
        title="",
        unit="ms",
        about=_HEAT,
        log=True,
        slo=True,
        heat=True,
        by_run=True,
    ),
)
_BY_NAME = {chart.name: chart for chart in (*_CHARTS, *_COMPARED)}

LIVE = ("latency", "heatmap", "rates", "failures", "in-flight", "send-lag", "stages", "server")
"""Names of the charts on the page of a service."""
RUN = ("latency", "heatmap", "rates", "in-flight", "failures", "server", "stages")
"""Of a run, and those below of the generator's own health."""
RUN_HEALTH = ("send-lag", "load-cpu", "tick-lag", "connections")
COMPARED = (
    *(f"runs-{name}" for name in _TAIL_FIRST),
    "runs-qps",
    "runs-in-flight",
    "runs-failures",
    "runs-server",
    "runs-heatmap",
)
"""Of several runs."""
COMPARED_HEALTH = ("runs-send-lag", "runs-load-cpu")

_FACTS = (
    msgspec.structs.replace(_ASKED, words="per second"),
    _RPS,
    _QPS,
    *(msgspec.structs.replace(line, words="amount") for line in _declared("in-flight")),
    msgspec.structs.replace(_LAG, label=f"send lag {TAIL}"),
)
"""What is said of one moment."""
_CSV = (
    *("t_s", "interval_s", "target_per_s"),
    *(name for name, count in COUNTS.items() if count.label),
    *("rps", "qps", "tick_lag_ms", "cpu_percent"),
)
"""Columns of a table of intervals, next to the percentiles of each series."""


def configure(clock: Clock, charts: Iterable[str], **more: Any) -> dict[str, Any]:
    """The configuration of a Timeline in the browser: `charts` by name, in this order, and what a
    time is, that of the day or that since a run's start. `more` is as static/timeline/index.js
    says.
    """
    told: dict[str, Any] = msgspec.to_builtins(
        {
            "charts": [_BY_NAME[name] for name in charts],
            "facts": _FACTS,
            "series": [
                {"field": field, "label": series.label, "unit": series.unit}
                for field, series in SERIES.items()
            ],
        }
    )
    return {
        "clock": clock,
        **told,
        "columns": _CSV,
        "statistics": LISTED,
        "tail": TAIL,
        "binsPerDecade": BINS_PER_DECADE,
        "colours": COLOURS,
        **more,
    }


def tell_slos(slos: Sequence[Slo]) -> list[dict[str, Any]]:
    """Bounds as the charts draw them."""
    return [{"expression": slo.expression, "bound_ms": slo.bound_s * 1e3} for slo in slos]
