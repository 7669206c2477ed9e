"""What the overview says of a service, by its window."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tailrace.control.interface import ServiceInfo, Window
from tailrace.dashboard.feed import RECENT_S
from tailrace.dashboard.overview import HEIGHT, WIDTH, Said, glance, sparkline
from tailrace.load.judge.dependence import SloDecision
from tailrace.load.judge.verdict import Verdict
from tailrace.load.measure.point import Percentiles, Point

Make = Callable[..., Point]
Serve = Callable[..., ServiceInfo]


def tail_of(p99_ms: float | None, **others: float) -> Percentiles:
    return Percentiles(p99=p99_ms, **others)


def said(info: ServiceInfo, *points: Point, **window: Any) -> Said:
    """Of `points`, whose window has the last one's percentiles, and what else is given."""
    whole = None
    if points:
        last = points[-1]
        figures: dict[str, Any] = {
            "intervals": len(points),
            "seconds": float(len(points)),
            "latency_ms": last.latency_ms,
            "service_ms": last.service_ms,
            "send_lag_us": last.send_lag_us,
            "stages_ms": {},
            "avg_rps": last.rps,
            "avg_qps": last.qps,
            "sr_percent": 100.0,
            "completed": last.completed,
            "failed": {},
        }
        whole = Window(**figures | window, points=points)
    return glance(info, whole, points)


def test_before_a_run_nothing_is_claimed(service: Serve) -> None:
    shown = said(service(state="idle", slo=("p99<100ms",)))
    assert shown["flags"] == "idle"
    assert shown["path"] == ""
    assert shown["texts"]["slo"] == "SLO p99<100ms"
    for field in ("reached", "p99", "verdict", "generator", "failures"):
        assert shown["texts"][field] == "–"


def test_what_was_asked_and_what_was_reached(service: Serve, point: Make) -> None:
    texts = said(service(rate_per_s=1200.0), point(rps=1187.0))["texts"]
    assert (texts["asked"], texts["reached"]) == ("1,200/s", "1,187/s")


def test_an_idle_service_reaches_nothing_but_keeps_its_last_tail(
    service: Serve, point: Make
) -> None:
    texts = said(service(state="idle"), point(latency_ms=tail_of(12.5)))["texts"]
    assert (texts["reached"], texts["p99"]) == ("–", "12.5")


@pytest.mark.parametrize(
    ("slo", "over"),
    [
        ({}, None),
        ({"p99<100ms": True}, None),
        ({"p99<100ms": False}, "over p99<100ms"),
        ({"p97<1ms": False, "mean<5ms": True, "max<9s": False}, "over p97<1ms, max<9s"),
    ],
)
def test_a_broken_bound_is_a_word_and_a_flag(
    service: Serve, point: Make, slo: dict[str, bool], over: str | None
) -> None:
    """As the window was judged, whatever its percentiles are."""
    shown = said(service(slo=tuple(slo)), point(), slo=slo)
    assert ("over" in shown["flags"].split()) == (over is not None)
    if over is not None:
        assert shown["texts"]["slo"] == over


def test_the_figures_are_the_windows_whatever_its_last_interval_had(
    service: Serve, point: Make
) -> None:
    last = point(
        59, latency_ms=tail_of(500), send_lag_us=Percentiles(p99=9_000), failed={"reset": 9}
    )
    window = {"latency_ms": tail_of(12), "send_lag_us": Percentiles(p99=80), "seconds": 60.0}
    shown = said(service(slo=("p99<100ms",)), last, **window)
    texts = shown["texts"]
    assert (texts["p99"], texts["of"], texts["slo"]) == ("12.0", "· last 60 s", "SLO p99<100ms")
    assert (texts["lag"], texts["failures"]) == ("lag 80 µs · CPU 3 %", "0")
    assert shown["flags"] == "running"


def test_failures_are_the_windows_by_reason(service: Serve, point: Make) -> None:
    shown = said(service(), point(), reasons={"reset": 1, "http: 404": 5})
    assert shown["texts"]["failures"] == "6"
    assert shown["texts"]["kinds"] == "5 http: 404, 1 reset"
    assert "failing" in shown["flags"].split()
    assert said(service(), point())["texts"]["failures"] == "0"


@pytest.mark.parametrize(
    ("lag_us", "p99_ms", "late"),
    [(900, 1, False), (1100, 1, True), (1100, 50, False), (5100, 50, True), (None, None, False)],
)
def test_the_generator_is_late_by_the_verdicts_measure(
    service: Serve, point: Make, lag_us: float | None, p99_ms: float | None, late: bool
) -> None:
    late_point = point(send_lag_us=Percentiles(p99=lag_us), latency_ms=tail_of(p99_ms))
    shown = said(service(), late_point)
    assert shown["texts"]["generator"] == ("late" if late else "fine")
    assert ("late" in shown["flags"].split()) == late


@pytest.mark.parametrize("valid", [True, False])
def test_the_verdict_comes_with_its_reasons(service: Serve, valid: bool) -> None:
    reasons = [] if valid else ["it ran 5 s", "the generator was late"]
    shown = said(service(verdict=Verdict(valid, reasons)))
    assert shown["texts"]["verdict"] == ("VALID" if valid else "INVALID")
    assert shown["texts"]["reasons"] == "; ".join(reasons)
    assert ("valid" if valid else "invalid") in shown["flags"].split()


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        ("kept", "p99<100ms kept"),
        ("broken", "p99<100ms broken"),
        ("undecided", "p99<100ms not decided yet (12 s more)"),
    ],
)
def test_what_is_decided_of_an_slo_stands_below_the_p99(
    service: Serve, point: Make, outcome: str, text: str
) -> None:
    decision = SloDecision(
        outcome=outcome,  # type: ignore[arg-type]
        confidence=0.9,
        over=0,
        ended=50,
        needed_s=12.0 if outcome == "undecided" else None,
        reason="",
    )
    slo = "p99<100ms"
    shown = said(service(slo=(slo,), decisions={slo: decision}), point(), slo={slo: True})
    assert shown["texts"]["slo"] == text


def corners(path: str) -> list[tuple[str, float, float]]:
    """(command, x, y) of each point of a path."""
    return [(c, float(x), float(y)) for c, x, y in re.findall(r"([ML])([\d.]+) ([\d.]+)", path)]


def test_the_last_interval_is_at_the_right_and_all_lie_within(point: Make) -> None:
    path, *_ = sparkline([point(t, latency_ms=tail_of(5 + t % 7)) for t in range(121)], None)
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
    path, _, bound = sparkline([point(latency_ms=tail_of(p99_ms))], 100.0)
    assert bound is not None
    assert 0 < bound < HEIGHT
    assert (corners(path)[0][2] < bound) == is_above


def test_the_line_is_interrupted_where_nothing_was_answered(point: Make) -> None:
    tails = [tail_of(5), tail_of(5), tail_of(None), tail_of(5), tail_of(5)]
    path, *_ = sparkline([point(t, latency_ms=t99) for t, t99 in enumerate(tails)], None)
    assert [command for command, _, _ in corners(path)] == ["M", "L", "M", "L"]


def test_intervals_that_broke_an_slo_are_drawn_over_it(point: Make) -> None:
    """As they were judged, wherever their p99 lies."""
    judged = [{"p99<1s": kept} for kept in (True, False, False, True)]
    points = [point(t, latency_ms=tail_of(5 + t), slo=slo) for t, slo in enumerate(judged)]
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
