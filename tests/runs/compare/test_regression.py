"""Bounds on being worse than another run: broken only where that is proven."""

import math

import numpy as np
import pytest
from msgspec.structs import replace

from tailrace.errors import UsageError
from tailrace.runs.compare.compare import Comparison, Difference, compare_series
from tailrace.runs.compare.regression import Outcome, judge_bound, parse_bound
from tests.runs.compare.synthetic import series_of, wandering


@pytest.mark.parametrize(
    ("text", "figure", "allowed"),
    [
        ("p99+10%", "p99", 10),
        (" p99.9 + 2.5 % ", "p99.9", 2.5),
        ("mean+0%", "mean", 0),
        ("failed+.5%", "failed", 0.5),
        ("completed/s-5%", "completed/s", 5),
    ],
)
def test_bounds_are_read(text: str, figure: str, allowed: float) -> None:
    bound = parse_bound(text)
    assert (bound.figure, bound.allowed_percent) == (figure, allowed)
    assert bound.expression == text.strip()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "write p99"),
        ("p99", "write p99"),
        ("p99<100ms", "write p99"),
        ("p99+10", "write p99"),
        ("p99+-1%", "write p99"),
        ("p98+10%", "'p98' is none of mean, p50"),
        ("p99-10%", "worse when it is higher: write .10%"),
        ("completed/s+10%", "worse when it is lower: write -10%"),
    ],
)
def test_what_is_no_bound_is_told(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse_bound(text)


def comparison(
    name: str, ratio: tuple[float, float] | None, gap: tuple[float, float] | None = None
) -> Comparison:
    def difference(of: str, unit: str, is_it: bool) -> Difference:
        return Difference(
            name=of,
            unit=unit,
            base=100.0,
            other=110.0,
            ratio=1.1,
            ratio_interval=ratio if is_it else (1.0, 1.0),
            difference_interval=gap if is_it else (0.0, 0.0),
            more_than_noise=None,
        )

    units = {"p99": "ms", "failed": "%", "completed/s": "/s"}
    differences = tuple(difference(of, unit, of == name) for of, unit in units.items())
    return Comparison(base="a", other="b", differences=differences, notes=("p50, p99: too short",))


@pytest.mark.parametrize(
    ("bound", "ratio", "gap", "outcome"),
    [
        ("p99+10%", (1.101, 1.3), None, "broken"),
        ("p99+10%", (1.099, 1.3), None, "undecided"),
        ("p99+10%", (0.9, 1.099), None, "kept"),
        ("p99+10%", (0.5, 0.6), None, "kept"),
        ("p99+10%", (math.inf, math.inf), None, "broken"),
        ("p99+10%", (0.9, math.inf), None, "undecided"),
        ("p99+10%", None, None, "undecided"),
        ("completed/s-5%", (0.9, 0.949), None, "broken"),
        ("completed/s-5%", (0.9, 0.951), None, "undecided"),
        ("completed/s-5%", (0.951, 2.0), None, "kept"),
        ("failed+1%", (math.inf, math.inf), (1.01, 1.3), "broken"),
        ("failed+1%", (math.inf, math.inf), (0.5, 0.9), "kept"),
        ("failed+1%", (1.0, math.inf), (0.0, 2.0), "undecided"),
        # Just what it allows is not worse than it allows.
        ("failed+1%", (1.0, math.inf), (1.0, 2.0), "undecided"),
        ("failed+1%", (1.0, math.inf), (0.5, 1.0), "kept"),
    ],
)
def test_the_whole_interval_decides(
    bound: str,
    ratio: tuple[float, float] | None,
    gap: tuple[float, float] | None,
    outcome: str,
) -> None:
    parsed = parse_bound(bound)
    found = judge_bound(comparison(parsed.figure, ratio, gap), parsed)
    assert found.outcome == outcome
    assert "\n" not in found.reason
    if ratio is None:
        assert found.reason.endswith(": too short")


@pytest.mark.parametrize(("failed", "outcome"), [(100.0, "kept"), (100.1, "broken")])
def test_an_outage_is_a_fault_of_answers_a_second_where_it_lost_some(
    failed: float, outcome: str
) -> None:
    """Where no more failed than before, they were only late."""
    bound = parse_bound("completed/s-5%")
    found = comparison(bound.figure, (0.951, 2.0))
    differences = tuple(
        replace(each, other=failed) if each.name == "failed" else each for each in found.differences
    )
    down = replace(found, differences=differences, outage="nothing came for 5 s")
    judged = judge_bound(down, bound)
    assert judged.outcome == outcome
    assert ("nothing came for 5 s" in judged.reason) is (outcome == "broken")


def judged(scale: float, bound: str, duration_s: int = 60) -> Outcome:
    random = np.random.default_rng(21)
    runs = [
        wandering(random, correlation=0.3, rate_per_s=300, scale=one, duration_s=duration_s)
        for one in (1.0, scale)
    ]
    return judge_bound(compare_series(runs[:1], runs[1:]), parse_bound(bound))


def test_runs_are_judged_by_what_their_noise_leaves() -> None:
    assert judged(1.0, "p90+30%").outcome == "kept"
    assert judged(1.5, "p90+10%").outcome == "broken"
    assert "proven worse" in judged(1.5, "p90+10%").reason
    close = judged(1.1, "p90+10%")
    assert close.outcome == "undecided"
    assert "not proven either way; longer runs would tell" in close.reason
    short = judged(1.5, "p90+10%", duration_s=5)
    assert short.outcome == "undecided"


def test_nothing_answered_breaks_every_bound_however_short_the_run() -> None:
    sound = series_of(np.repeat(np.arange(3), 50), np.full(150, 10.0), 3)
    dead = series_of([], [], 3, failed=np.full(3, 50))
    for bound in ("mean+10%", "p50+10%", "failed+1%", "completed/s-5%"):
        found = judge_bound(compare_series([sound], [dead]), parse_bound(bound))
        assert (found.outcome, found.reason) == ("broken", "nothing was answered")
        # It was so before.
        assert judge_bound(compare_series([dead], [dead]), parse_bound(bound)).outcome != "broken"
