"""The charts as they are declared: each line is of something that an interval has."""

import re
from typing import Any

import msgspec
import pytest

from tailrace.load.measure.measurement import COUNTS
from tailrace.load.measure.point import MAIN, Percentiles
from tailrace.view.charts import (
    CHARTS,
    COMPARED,
    COMPARED_HEALTH,
    LIVE,
    RUN,
    RUN_HEALTH,
    configure,
)
from tailrace.view.markup import STATIC
from tests.kit.samples import POINT

ALL = tuple(dict.fromkeys((*LIVE, *RUN, *RUN_HEALTH, *COMPARED, *COMPARED_HEALTH)))
WHOLE = msgspec.structs.replace(
    POINT,
    failed={"*": 3},
    stages_ms={"*": Percentiles(mean=1.0)},
    server={"cpu_percent": 1.0, "gpu_percent": 2.0},
)


def point_at(path: list[str]) -> Any:
    """What an interval has there, as JSON."""
    found = msgspec.to_builtins(WHOLE)
    for key in path:
        found = found[key]
    return found


@pytest.mark.parametrize("name", ALL)
def test_each_line_stands_for_something_that_an_interval_has(name: str) -> None:
    (chart,) = configure("wall", [name])["charts"]
    assert chart["name"] == name
    lines = chart.get("lines", [])
    assert lines or chart["heat"]
    assert len({line["id"] for line in lines}) == len(lines)
    for line in lines:
        point_at(line["path"])


def test_each_chart_is_drawn_somewhere() -> None:
    assert set(ALL) == CHARTS.keys()


def test_each_fact_and_column_is_something_that_an_interval_has() -> None:
    config = configure("elapsed", ())
    for fact in config["facts"]:
        assert point_at(fact["path"]) is not None
    for name in config["columns"]:
        assert isinstance(point_at([name]), int | float)
    for series in config["series"]:
        assert set(point_at([series["field"]])) == set(config["statistics"])


def test_a_count_is_drawn_in_the_chart_that_it_names() -> None:
    drawn = {
        (chart["name"], line["id"])
        for chart in configure("wall", ALL)["charts"]
        for line in chart.get("lines", [])
    }
    declared = {(count.chart, name) for name, count in COUNTS.items() if count.chart}
    assert declared <= drawn
    assert len(declared) > 2


def test_each_line_has_its_colour_in_either_theme() -> None:
    sheets = [(STATIC / name).read_text("utf-8") for name in ("page.css", "timeline.css")]
    themes = [sheet.split(':root[data-theme="dark"] {', 1) for sheet in sheets]
    lines = [line for chart in configure("wall", ALL)["charts"] for line in chart.get("lines", [])]
    named = {line["colour"] for line in lines if "colour" in line}
    assert named
    for theme in zip(*themes, strict=True):
        assert named <= set(re.findall(r"--(c-[\w-]+):", "".join(theme)))


def test_the_main_percentiles_are_the_lines_of_the_latency_chart() -> None:
    (chart,) = configure("wall", ["latency"])["charts"]
    assert tuple(line["id"] for line in chart["lines"]) == MAIN
