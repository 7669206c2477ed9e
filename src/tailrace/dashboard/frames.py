"""Frames: what an update sends to the charts, data only.

Rows of [time, one value a series], the time axis' ends, and marks. Beyond ROWS rows,
neighbouring intervals are put together: counts add up, of percentiles the worst is shown.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from math import floor, log10
from statistics import median

from tailrace.dashboard.charts import CHARTS, FAILURES, Chart, Option, Row
from tailrace.dashboard.theme import BAD, DIM, FONT, SURFACE
from tailrace.load.point import Point
from tailrace.load.slo import Slo

ROWS = 180


def frame(points: Iterable[Point], span_s: int, slos: Sequence[Slo] = ()) -> dict[str, Option]:
    """Data of the last `span_s` seconds of `points` for every chart, by the chart's name."""
    kept = list(points)
    if not kept:
        return {chart.name: {"dataset": {"source": []}} for chart in CHARTS}
    end_s = kept[-1].wall_time
    shown = [p for p in kept if p.wall_time > end_s - span_s]
    groups = _together(shown, grain(kept, span_s))
    frames = {chart.name: _data(chart, groups, end_s, span_s) for chart in CHARTS}
    changes = _rate_changes(shown)
    _mark(frames["rates"], "asked", [{**mark, "label": {"show": True}} for mark in changes])
    _mark(frames["latency"], "p50", [*changes, *map(_bound, slos)])
    bounds = [slo.bound_s * 1e3 for slo in slos]
    frames["latency"]["yAxis"] = _log_axis([*_values(frames["latency"]), *bounds])
    occurred = _occurred(frames["failures"]["dataset"]["source"])
    frames["failures"] |= {"legend": {"data": occurred}, "title": {"show": not occurred}}
    return frames


def grain(points: Iterable[Point], span_s: int) -> int:
    """How many intervals one point of a chart stands for when `span_s` seconds are shown."""
    # The median, since intervals jitter and a run's last one is cut short.
    interval_s = median(point.interval_s for point in points)
    return max(1, round(span_s / interval_s / ROWS))


def _together(points: Sequence[Point], each: int) -> list[list[Point]]:
    # Grouped by number within the run, so that a group, once complete, never changes again.
    runs: list[list[Point]] = [[points[0]]]
    for before, point in pairwise(points):
        if point.index <= before.index:
            runs.append([])
        runs[-1].append(point)
    return [list(group) for run in runs for _, group in groupby(run, lambda p: p.index // each)]


def _data(chart: Chart, groups: list[list[Point]], end_s: float, span_s: int) -> Option:
    rows: list[Row] = []
    for at, group in enumerate(groups):
        if at and group[0].index < groups[at - 1][0].index:
            rows.append([_start_ms(group[0]), *([None] * len(chart.series))])  # between two runs
        values = [None if v is None else float(f"{v:.4g}") for v in chart.values(group)]
        rows.append([round(group[-1].wall_time * 1e3), *values])
    return {
        "dataset": {"source": rows},
        "xAxis": {"min": round((end_s - span_s) * 1e3), "max": round(end_s * 1e3)},
    }


def _values(option: Option) -> list[float]:
    return [value for row in option["dataset"]["source"] for value in row[1:] if value]


def _mark(option: Option, series: str, marks: list[Option]) -> None:
    option["series"] = [{"id": series, "markLine": {**_MARK_LINE, "data": marks}}]


_MARK_LINE: Option = {
    "symbol": "none",
    "silent": True,
    "lineStyle": {"color": DIM, "width": 1, "type": [2, 3], "opacity": 0.7},
    "label": {
        "show": False,
        "formatter": "{b}",
        "position": "end",
        "distance": 2,
        "color": DIM,
        "fontSize": 10,
        "fontFamily": FONT,
    },
}


def _bound(slo: Slo) -> Option:
    return {
        "yAxis": slo.bound_s * 1e3,
        "name": f"SLO {slo.expression}",
        "lineStyle": {"color": BAD, "type": "solid", "opacity": 0.55},
        "label": {
            "show": True,
            "position": "insideStartTop",
            "color": BAD,
            "backgroundColor": SURFACE,
            "padding": [1, 4],
        },
    }


def _rate_changes(points: Sequence[Point]) -> list[Option]:
    """Where the rate was changed by a step; a profile that moves all the time gets no marks."""
    changes = [
        (now, now.index == before.index + 1 and now.target_per_s != before.target_per_s)
        for before, now in pairwise(points)
    ]
    steps = [
        now
        for at, (now, changed) in enumerate(changes)
        if changed and not any(c for _, c in changes[max(0, at - 2) : at])
    ]
    if len(steps) > 12 or sum(c for _, c in changes) > len(changes) // 2:
        return []
    return [{"xAxis": _start_ms(p), "name": f"{p.target_per_s:g}"} for p in steps]


def _log_axis(values: list[float]) -> Option:
    """Ends and ticks on the 1-2-5 series, decades alone where those are too many."""
    low, high = min(values, default=1.0), max(values, default=100.0)
    ladder = [
        mantissa * 10.0**exponent
        for exponent in range(floor(log10(low)) - 1, floor(log10(high)) + 2)
        for mantissa in (1, 2, 5)
    ]
    first = max(at for at, tick in enumerate(ladder) if tick <= low)
    last = min(at for at, tick in enumerate(ladder) if tick >= high)
    ticks = ladder[first : max(last, first + 2) + 1]
    labels = ticks if len(ticks) <= 9 else [t for t in ticks if log10(t) % 1 < 1e-9]
    shown = [float(f"{tick:.6g}") for tick in labels]
    return {
        "min": float(f"{ticks[0]:.6g}"),
        "max": float(f"{ticks[-1]:.6g}"),
        "axisTick": {"customValues": shown},
        "axisLabel": {"customValues": shown},
        "splitLine": {"customValues": shown},
    }


def _occurred(rows: list[Row]) -> list[str]:
    """Names for the legend: only the kinds of failure that are to be seen."""
    return [kind for at, kind in enumerate(FAILURES, 1) if any(row[at] for row in rows)]


def _start_ms(point: Point) -> int:
    return round((point.wall_time - point.interval_s) * 1e3)
