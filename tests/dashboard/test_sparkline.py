"""The sparkline's geometry."""

import re
from collections.abc import Callable

import pytest

from tailrace.dashboard.feed import RECENT_S
from tailrace.dashboard.glance import HEIGHT, WIDTH, sparkline
from tailrace.load.measure.point import Percentiles, Point

Make = Callable[..., Point]


def tail(p99_ms: float | None) -> Percentiles:
    return Percentiles(p99=p99_ms)


def corners(path: str) -> list[tuple[str, float, float]]:
    """(command, x, y) of each point of a path."""
    return [(c, float(x), float(y)) for c, x, y in re.findall(r"([ML])([\d.]+) ([\d.]+)", path)]


def test_the_last_interval_is_at_the_right_and_all_lie_within(point: Make) -> None:
    path, *_ = sparkline([point(t, latency_ms=tail(5 + t % 7)) for t in range(121)], None)
    drawn = corners(path)
    assert [command for command, _, _ in drawn] == ["M", *"L" * 120]
    assert drawn[-1][1] == WIDTH
    assert drawn[0][1] == WIDTH - RECENT_S * WIDTH / RECENT_S
    assert all(0 <= y <= HEIGHT for _, _, y in drawn)
    assert sorted(drawn, key=lambda corner: corner[1]) == drawn


@pytest.mark.parametrize(
    ("p99_ms", "is_above"), [(10, False), (99, False), (101, True), (5e3, True)]
)
def test_a_tail_over_its_bound_is_drawn_above_the_bounds_line(
    point: Make, p99_ms: float, is_above: bool
) -> None:
    path, _, bound = sparkline([point(latency_ms=tail(p99_ms))], 100.0)
    assert bound is not None
    assert 0 < bound < HEIGHT
    assert (corners(path)[0][2] < bound) == is_above


def test_the_line_is_interrupted_where_nothing_was_answered(point: Make) -> None:
    tails = [tail(5), tail(5), tail(None), tail(5), tail(5)]
    path, *_ = sparkline([point(t, latency_ms=t99) for t, t99 in enumerate(tails)], None)
    assert [command for command, _, _ in corners(path)] == ["M", "L", "M", "L"]


def test_intervals_that_broke_an_slo_are_drawn_over_it(point: Make) -> None:
    """As they were judged, wherever their p99 lies."""
    judged = [{"p99<1s": kept} for kept in (True, False, False, True)]
    points = [point(t, latency_ms=tail(5 + t), slo=slo) for t, slo in enumerate(judged)]
    path, over, _ = sparkline(points, 1000.0)
    places = [corner[1:] for corner in corners(path)]
    assert corners(over) == [
        *(("M", *places[0]), ("L", *places[1])),
        *(("M", *places[1]), ("L", *places[2])),
    ]
    assert sparkline(points[:1], 1000.0)[1] == ""


def test_runs_apart_are_lines_apart(point: Make) -> None:
    path, *_ = sparkline([point(t) for t in (0, 1, 30, 31)], None)
    assert [command for command, _, _ in corners(path)] == ["M", "L", "M", "L"]


@pytest.mark.parametrize("bound_ms", [None, 100.0])
def test_nothing_measured_is_no_line(bound_ms: float | None) -> None:
    path, _, bound = sparkline([], bound_ms)
    assert path == ""
    assert (bound is None) == (bound_ms is None)
