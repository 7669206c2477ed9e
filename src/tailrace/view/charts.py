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


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of a chart, or an entry of the facts about one moment."""

    id: str
    label: str
    path: tuple[str, ...]
    """Where its value stands in a Point; `*` for each name that there is, of a chart of names. A
    table of counts is its sum."""
    take: Literal["worst", "mean", "rate", "last"] = "worst"
    """Of intervals that are drawn as one: the highest, the mean by answers, what it comes to a
    second, or the last."""
    colour: str = ""
    """A variable of the style sheet."""
    fill: float | None = None
    words: Literal["", "amount", "lag", "per second"] = ""
    """How its value is worded, if not as a number."""
    kind: Literal["", "bar"] = ""
    width: float | None = None
    dash: tuple[int, ...] = ()
    step: str = ""
    stacked: bool = False


class Chart(msgspec.Struct, frozen=True, omit_defaults=True):
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
_LAGS = "per interval, the generator's own"
_LOAD = "of one core, all together"
_AT_END = "at the interval's end"
_HEAT = "requests a second in each 12 % of latency"


def _declared(chart: str) -> tuple[Line, ...]:
    """Of the counts that say so, the first one filled."""
    counts = [(name, count) for name, count in COUNTS.items() if count.chart == chart]
    return tuple(
        Line(name, count.label, (name,), "worst", f"c-{count.colour}", None if at else _AREA)
        for at, (name, count) in enumerate(counts)
    )


def _latency(name: str, **look: Any) -> Line:
    return Line(name, name, ("latency_ms", name), colour=f"c-{name.replace('.', '')}", **look)


_QPS = Line("qps", "QPS", ("completed",), "rate", "c-qps", _AREA)
_RPS = Line("rps", "RPS", ("sent",), "rate", "c-rps")
_ASKED = Line(
    "asked", "asked", ("target_per_s",), "last", "c-asked", width=1.2, dash=(4, 3), step="end"
)
_LAG = Line("lag", TAIL, ("send_lag_us", TAIL), "worst", "c-lag", _AREA, "lag")
_TICK = Line("tick", "latest", ("tick_lag_ms",), "worst", "c-lag", _AREA)
_CPU = Line("cpu", "CPU", ("server", "cpu_percent"), "worst", "c-cpu", _AREA)
_GPU = Line("gpu", "GPU", ("server", "gpu_percent"), "worst", "c-gpu")
_LOAD_CPU = Line("cpu", "CPU", ("cpu_percent",), "worst", "c-cpu", _AREA)
_FAILURE = Line("*", "*", ("failed", "*"), "rate", kind="bar")
_FAILURES = Line("failures", "", ("failed",), "rate")
_STAGE = Line("*", "*", ("stages_ms", "*", STATISTICS[0]), "mean", fill=0.85, width=0, stacked=True)
_PERCENTILES = (
    _latency(MEDIAN),
    _latency(TAIL, width=2.4),
    _latency(HIGHEST, width=1.2, dash=(5, 3)),
)
_ABOUT = "per interval, from the intended time, log scale"
_CHARTS = (
    Chart("latency", "Latency", "ms", _ABOUT, _PERCENTILES, log=True, slo=True, marks="thin"),
    Chart("heatmap", "Latency heatmap", "ms", _HEAT, log=True, slo=True, heat=True),
    Chart(
        *("rates", "Rate", "req/s", "asked for, sent (RPS), completed (QPS)"),
        (_ASKED, _QPS, _RPS),
        marks="named",
    ),
    Chart(
        *("failures", "Failures", "/s", "by kind", (_FAILURE,), "failures"),
        occurring=True,
        none="no failures",
    ),
    Chart(
        *("in-flight", "In flight", "requests", _AT_END),
        _declared("in-flight"),
        words="amount",
    ),
    Chart("send-lag", "Send lag", "", _LAGS, (_LAG,), words="lag"),
    Chart(
        *("stages", "Stages", "ms", "means, stacked", (_STAGE,), "stages"),
        occurring=True,
        optional=True,
    ),
    Chart(
        *("server", "Service's CPU and GPU", "%", "by its own /metrics; CPU of one core"),
        (_CPU, _GPU),
        occurring=True,
        optional=True,
    ),
    Chart("load-cpu", "Load workers' CPU", "%", _LOAD, (_LOAD_CPU,)),
    Chart("tick-lag", "Tick lag", "ms", "the generator's latest clock tick", (_TICK,)),
    Chart(
        *("connections", "Connections", "", "open, and requests that waited for one"),
        _declared("connections"),
        words="amount",
    ),
)


def _compared(name: str, title: str, unit: str, about: str, line: Line, **more: Any) -> Chart:
    lines = (msgspec.structs.replace(line, label=title, fill=None),)
    return Chart(f"runs-{name}", title, unit, about, lines, by_run=True, **more)


def _compared_latency(name: str) -> Chart:
    title, about = f"Latency {name}", "per interval, log scale"
    return _compared(name, title, "ms", about, _latency(name), log=True, slo=name == TAIL)


_TAIL_FIRST = (TAIL, MEDIAN, HIGHEST)
_OF_SERVER = "by its own /metrics; of one core"
_COMPARED = (
    *map(_compared_latency, _TAIL_FIRST),
    _compared("qps", "Completed", "req/s", "QPS", _QPS),
    _compared("failures", "Failures", "/s", "of every kind", _FAILURES),
    _compared(
        *("in-flight", "In flight", "requests", _AT_END), _declared("in-flight")[0], words="amount"
    ),
    _compared("send-lag", f"Send lag {TAIL}", "", _LAGS, _LAG, words="lag"),
    _compared("load-cpu", "Load workers' CPU", "%", _LOAD, _LOAD_CPU),
    _compared(*("server", "Service's CPU", "%", _OF_SERVER), _CPU, occurring=True, optional=True),
    Chart("runs-heatmap", "", "ms", _HEAT, by_run=True, log=True, slo=True, heat=True),
)
CHARTS = {chart.name: chart for chart in (*_CHARTS, *_COMPARED)}
"""All of them, by name; where each is drawn, and in which order, is said below."""

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
            "charts": [CHARTS[name] for name in charts],
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
    """Bounds as the charts of latency draw them."""
    return [
        {"expression": slo.expression, "bound_ms": slo.bound_s * 1e3}
        for slo in slos
        if not slo.is_on_failures
    ]
