"""The original system's figures, worked out from ours by its definitions."""

from pathlib import Path

import pytest

from tailrace.control.interface import Window
from tailrace.dashboard.original import ORIGINALS
from tailrace.load.measure.point import Percentiles, Point

LAST = Point(
    index=0,
    t_s=1.0,
    wall_time=1000.0,
    interval_s=1.0,
    target_per_s=50.0,
    offered=50,
    sent=48,
    completed=47,
    failed={"timeout": 1},
    rps=48.0,
    qps=47.0,
    in_flight=0,
    backlog=0,
    connections=1,
    cap_waits=0,
    tick_lag_ms=0.0,
    latency_ms=Percentiles(p99=12.5),
    service_ms=Percentiles(p99=11.25),
    send_lag_us=Percentiles(p99=80.0),
    stages_ms={},
    cpu_percent=3.0,
)


def window(*points: Point, **values: float) -> Window:
    return Window(
        intervals=len(points),
        seconds=float(len(points)),
        latency_ms=Percentiles(p99=14.5) if points else Percentiles(),
        service_ms=Percentiles(),
        send_lag_us=Percentiles(),
        stages_ms={},
        avg_rps=values.get("avg_rps", 0.0),
        avg_qps=values.get("avg_qps", 0.0),
        sr_percent=values.get("sr_percent"),
        avg_99th_ms=values.get("avg_99th_ms"),
        completed=47,
        failed={},
        points=points,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("realRPS", 48.0),
        ("realQPS", 47.0),
        ("AvgRPS", 49.0),
        ("AvgQPS", 46.0),
        ("SR", 93.88),
        ("queryTime", 12.5),
        ("Avg99th", 13.5),
    ],
)
def test_each_by_its_definition(name: str, value: float) -> None:
    shown = window(LAST, avg_rps=49.0, avg_qps=46.0, sr_percent=93.88, avg_99th_ms=13.5)
    (original,) = [one for one in ORIGINALS if one.name == name]
    assert original.value(shown, LAST) == value
    assert original.value(window(), None) is None


def test_what_differs_is_said_with_the_figure() -> None:
    said = {one.name: one.here(window(LAST), LAST) for one in ORIGINALS}
    assert "11.2 ms" in said["queryTime"]
    assert "14.5 ms" in said["Avg99th"]


def test_no_figure_is_forgotten() -> None:
    facts = Path(__file__).parents[3] / "shared" / "FACTS.md"
    if not facts.exists():
        pytest.skip("needs ../shared/FACTS.md")
    line = next(line for line in facts.read_text().splitlines() if "its own definitions" in line)
    for original in ORIGINALS:
        assert original.name in line
