"""What the charts are sent, from intervals made by hand."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tailrace.dashboard.charts import CHARTS, FAILURES
from tailrace.dashboard.frames import ROWS, frame, grain
from tailrace.load.point import Percentiles, Point
from tailrace.load.slo import parse_slo


def point(index: int, *, start_s: float = 1000.0, rate: float = 50.0, **values: Any) -> Point:
    """Interval `index` of a run that began at `start_s`."""
    latency = values.pop("latency", Percentiles(mean=5, p50=4, p99=9, p99_9=12, max=15))
    return Point(
        index=index,
        t_s=index + 1.0,
        wall_time=start_s + index + 1.0,
        interval_s=1.0,
        target_per_s=rate,
        offered=values.get("sent", 50),
        sent=values.pop("sent", 50),
        completed=values.pop("completed", 50),
        failed=values.pop("failed", {}),
        rps=50.0,
        qps=50.0,
        in_flight=values.pop("in_flight", 2),
        backlog=0,
        connections=4,
        cap_waits=0,
        tick_lag_ms=0.1,
        latency_ms=latency,
        service_ms=latency,
        send_lag_us=Percentiles(p50=50, p99=150, max=200),
        stages_ms=values.pop("stages", {}),
        cpu_percent=3.0,
        **values,
    )


def rows(points: Sequence[Point], chart: str, span_s: int = 60) -> list[list[float | None]]:
    """The rows that `chart` is sent."""
    found: list[list[float | None]] = frame(points, span_s)[chart]["dataset"]["source"]
    return found


def test_an_interval_is_a_row() -> None:
    shown = rows([point(0), point(1)], "latency")
    assert shown == [[1_001_000, 4, 9, 12], [1_002_000, 4, 9, 12]]
    assert rows([point(0, sent=60, completed=40, rate=55)], "rates") == [[1_001_000, 55, 40, 60]]


def test_every_chart_has_as_many_values_as_series() -> None:
    frames = frame([point(0), point(1)], 60)
    assert set(frames) == {chart.name for chart in CHARTS}
    for chart in CHARTS:
        for row in frames[chart.name]["dataset"]["source"]:
            assert len(row) == 1 + len(chart.series)


def test_without_points_every_chart_is_emptied() -> None:
    assert all(option == {"dataset": {"source": []}} for option in frame([], 60).values())


def test_only_the_span_is_shown() -> None:
    points = [point(index) for index in range(200)]
    assert len(rows(points, "latency", 60)) == 60
    axis = frame(points, 60)["latency"]["xAxis"]
    assert axis["max"] - axis["min"] == 60_000


def test_runs_are_drawn_apart() -> None:
    points = [point(0), point(1), point(0, start_s=1010), point(1, start_s=1010)]
    shown = rows(points, "rates")
    assert shown[2] == [1_010_000, None, None, None]
    assert [row[0] for row in shown] == sorted(row[0] or 0 for row in shown)


def test_many_intervals_are_put_together_and_show_the_worst() -> None:
    slow = Percentiles(mean=80, p50=70, p99=90, p99_9=95, max=99)
    points = [
        point(index, latency=slow) if index == 1801 else point(index) for index in range(3600)
    ]
    assert grain(points, 3600) == 3600 // ROWS
    shown = rows(points, "latency", 3600)
    assert len(shown) == ROWS
    assert [row[2] for row in shown].count(90) == 1
    assert all(row[3] == 50 for row in rows(points, "rates", 3600))


def test_groups_keep_their_bounds_as_time_goes_on() -> None:
    before = [point(index) for index in range(1000)]
    now = [*before, point(1000), point(1001)]
    first, second = (rows(points, "in-flight", 900) for points in (before, now))
    assert {row[0] for row in first[1:-1]} <= {row[0] for row in second} | {first[1][0]}


def test_failures_are_rates_by_kind_and_the_unknown_are_other() -> None:
    points = [point(0, failed={"timeout": 3, "aborted": 2}), point(1)]
    shown = frame(points, 60)["failures"]
    by_kind = dict(zip(FAILURES, shown["dataset"]["source"][0][1:], strict=True))
    assert {kind: rate for kind, rate in by_kind.items() if rate} == {"timeout": 3, "other": 2}
    assert shown["legend"]["data"] == ["timeout", "other"]


def marks(points: Sequence[Point]) -> list[str]:
    """The labels of the marks in the rate chart."""
    return [m["name"] for m in frame(points, 60)["rates"]["series"][0]["markLine"]["data"]]


@pytest.mark.parametrize(
    ("rate", "labels"),
    [
        (lambda index: 50, []),
        (lambda index: 50 if index < 10 else 200, ["200"]),
        (lambda index: (50, 200, 120)[index // 10], ["200", "120"]),
        (lambda index: 50 + index, []),
    ],
)
def test_steps_of_the_rate_are_marked(rate: Callable[[int], float], labels: list[str]) -> None:
    assert marks([point(index, rate=rate(index)) for index in range(30)]) == labels


def test_a_bound_is_drawn_and_within_the_axis() -> None:
    latency = frame([point(0)], 60, [parse_slo("p99<100ms")])["latency"]
    assert latency["series"][0]["markLine"]["data"][-1]["yAxis"] == 100
    assert latency["yAxis"]["min"] <= 4
    assert latency["yAxis"]["max"] >= 100


@pytest.mark.parametrize(("low", "high"), [(0.04, 0.05), (1, 1), (3, 9000), (0.001, 100_000)])
def test_the_log_axis_holds_all_values_and_few_ticks(low: float, high: float) -> None:
    latency = Percentiles(p50=low, p99=high, p99_9=high)
    axis = frame([point(0, latency=latency)], 60)["latency"]["yAxis"]
    ticks = axis["axisLabel"]["customValues"]
    assert axis["min"] <= low <= high <= axis["max"]
    assert 2 <= len(ticks) <= 10
    assert all(axis["min"] <= tick <= axis["max"] for tick in ticks)
