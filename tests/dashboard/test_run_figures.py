"""Figures of runs side by side."""

import pytest

from tailrace.dashboard.run_figures import Figure, Pair, figures_of, pair_up
from tailrace.load.judge.verdict import Verdict
from tailrace.load.measure.point import Percentiles
from tailrace.load.session.result import Rates, Result
from tailrace.runs.record import RunInfo, RunRecord

INFO = RunInfo(
    name="a",
    target="http://h/",
    arrivals="poisson",
    profile="100",
    started="2030-01-01T00:00:00.000+00:00",
    state="interrupted",
    duration_s=10.0,
    intervals=10,
    completed=990,
    failed=10,
    p99_ms=12.5,
)
RESULT = Result(
    target="http://h/",
    arrivals="poisson",
    seed=1,
    duration_s=10.0,
    offered=1000,
    sent=1000,
    completed=990,
    failed={"timeout": 10},
    rate=Rates(100.0, 100.0, 99.0),
    latency_ms=Percentiles(mean=2, p50=1, p90=5, p95=7, p99=12.5, p99_9=20, max=30.5),
    confidence_ms={"p50": (0.9, 1.1), "p99": (11.0, 14.0), "p99.9": None},
    service_ms=Percentiles(p50=1, p99=12),
    send_lag_us={"p50": 1.0, "p99": 50.0, "max": 60.0},
    stages_ms={"infer": Percentiles(p99=8)},
    verdict=Verdict(True, []),
    slo={},
    run=None,
)


def latency(value: float | None, span: tuple[float, float] | None = None) -> Figure:
    return Figure("Latency", "p99", "ms", value, span)


def find(figures: list[Figure], label: str, unit: str) -> Figure:
    (found,) = [figure for figure in figures if (figure.label, figure.unit) == (label, unit)]
    return found


def test_a_result_is_told_whole() -> None:
    figures = figures_of(RunRecord(info=INFO, points=(), result=RESULT))
    assert find(figures, "p99", "ms").span_shown == "11.0 to 14.0"
    assert find(figures, "p99.9", "ms").span_shown == ""
    assert find(figures, "max", "ms").shown == "30.5"
    assert find(figures, "infer p99", "ms").value == 8
    assert find(figures, "requests failed", "").shown == "10"
    assert find(figures, "failed: timeout", "").shown == "10"
    assert find(figures, "completed", "/s").shown == "99.0"


def test_without_a_result_there_is_what_the_intervals_say() -> None:
    figures = figures_of(RunRecord(info=INFO, points=(), result=None))
    assert find(figures, "p99", "ms").value == 12.5
    assert find(figures, "completed", "/s").value == pytest.approx(99)
    assert find(figures, "requests failed", "").value == 10


@pytest.mark.parametrize(
    ("one", "other", "difference"),
    [
        (10.0, 12.5, "+2.50 (+25 %)"),
        (12.5, 10.0, "−2.50 (−20 %)"),
        (10.0, 10.0, "none"),
        (0.0, 3.0, "+3.00"),
        (1000, 1500, "+500 (+50 %)"),
        (0.24, 22.824, "+22.6 (+9,410 %)"),
        (None, 3.0, "–"),
    ],
)
def test_a_difference(one: float | None, other: float | None, difference: str) -> None:
    assert Pair("Latency", "p99", "ms", latency(one), latency(other)).difference == difference


def test_a_difference_within_the_intervals_is_not_proven() -> None:
    def unproven(one: Figure | None, other: Figure | None) -> bool:
        return Pair("Latency", "p99", "ms", one, other).unproven

    assert unproven(latency(1, (0.9, 1.2)), latency(1.3, (1.2, 1.5)))
    assert unproven(latency(1, (0.5, 3)), latency(1.3, (1.2, 1.5)))
    assert not unproven(latency(1, (0.9, 1.2)), latency(1.3, (1.21, 1.5)))
    assert not unproven(latency(1), latency(1.3, (1.2, 1.5)))
    assert not unproven(None, latency(1.3, (1.2, 1.5)))


def test_figures_that_one_run_alone_has_are_kept() -> None:
    whole = figures_of(RunRecord(info=INFO, points=(), result=RESULT))
    part = figures_of(RunRecord(info=INFO, points=(), result=None))
    for one, other in ((whole, part), (part, whole)):
        pairs = pair_up(one, other)
        assert [pair.label for pair in pairs] == [figure.label for figure in whole]
        p50 = pairs[0]
        assert p50.difference == "–"
        assert (p50.one is None) == (one is part)
