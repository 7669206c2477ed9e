"""Whole searches against simulated services, in simulated time."""

import numpy as np
import pytest

from tailrace.errors import UsageError
from tailrace.load.judge.slo import parse_slo
from tailrace.load.search.answer import FindLimits
from tailrace.load.search.search import Search
from tests.kit.searches import play
from tests.kit.services import (
    Batching,
    Dead,
    Draw,
    Limiter,
    Queue,
    Service,
    Sharing,
    Speed,
    constant,
    exponential,
    hyperexponential,
    stalls,
    steps,
)

MEAN_S = 1 / 200
"""A service of 200 requests a second at most."""


def mm1(seed: int = 1, **more: float | Speed) -> Queue:
    return Queue(exponential(MEAN_S), seed, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("draw", "servers", "bound_ms", "within"),
    [
        pytest.param(constant(MEAN_S), 1, 57.2, 0.03, id="M/D/1"),
        pytest.param(exponential(MEAN_S), 1, 115.1, 0.06, id="M/M/1"),
        pytest.param(constant(4 * MEAN_S), 4, 69.5, 0.03, id="M/D/4"),
        pytest.param(hyperexponential(MEAN_S), 1, 318, 0.16, id="M/H/1"),
    ],
)
def test_rate_of_a_queue(draw: Draw, servers: int, bound_ms: float, within: float) -> None:
    """Whose p99 is the bound at 160/s; `within` is three times the spread of many searches."""
    for seed in range(3):
        found = play(Queue(draw, seed, servers=servers), [f"p99<{bound_ms}ms"], seed).answer
        assert found.estimate_per_s == pytest.approx(160, rel=within)
        assert found.interval_per_s is not None
        assert found.interval_per_s[0] == found.rate_per_s
        assert found.interval_per_s[0] < 160 * 1.02
        assert found.interval_per_s[1] > 160
        assert found.confidence is not None
        assert found.confidence >= 0.97
        assert found.spent_s <= 60.5


@pytest.mark.slow("many searches")
def test_certified_rates_hold() -> None:
    """Of M/M/1, where log(100) / (μ − λ) is the p99."""
    bound_s = np.log(100) / (200 - 160)
    certified = [
        play(mm1(seed), [f"p99<{bound_s * 1e3:.3f}ms"], seed).answer.rate_per_s or 0.0
        for seed in range(25)
    ]
    assert np.mean(np.array(certified) > 1.02 * 160) <= 0.05
    assert np.median(certified) > 0.9 * 160


def test_slow_service_is_given_more_time_and_told() -> None:
    found = play(Queue(constant(1 / 20), 1), ["p99<572ms"], 1).answer
    assert found.estimate_per_s == pytest.approx(16, rel=0.05)
    assert 60 < found.spent_s <= 180
    assert any(line.startswith("slow:") for line in found.findings)


def test_service_that_is_no_queue_is_found_by_its_requests_alone() -> None:
    found = play(Sharing(exponential(MEAN_S), 1), ["p99<117ms"], 1).answer
    assert found.interval_per_s is not None
    assert found.interval_per_s[0] < 140 * 1.02
    assert found.interval_per_s[1] > 140
    assert any("does not work like a queue" in line for line in found.findings)


@pytest.mark.parametrize(
    ("service", "word"),
    [
        pytest.param(mm1(speed=stalls(1, for_s=0.25)), "stalls", id="a stall a minute"),
        pytest.param(
            mm1(speed=steps(*((at, 1 - 0.006 * at) for at in range(100)))), "drifting", id="drift"
        ),
        pytest.param(mm1(failing=0.003), "of requests failed", id="failures"),
        pytest.param(Limiter(mm1(), 120, 5), "a cliff", id="rate limiter"),
    ],
)
def test_what_is_unusual_is_told(service: Service, word: str) -> None:
    found = play(service, ["p99<150ms"], 1).answer
    assert any(word in line for line in found.findings), found.findings


def test_failures_as_many_as_the_slo_allows_leave_no_rate() -> None:
    found = play(mm1(failing=0.01), ["p99<100ms"], 1).answer
    assert found.rate_per_s is None
    assert "whatever the rate" in found.reason


def test_warm_up_does_not_lower_the_answer() -> None:
    found = play(mm1(speed=steps((0, 0.2), (5, 1.0))), ["p99<115ms"], 1).answer
    assert found.estimate_per_s == pytest.approx(160, rel=0.12)


def test_scaling_that_reacts_late_is_followed() -> None:
    found = play(mm1(speed=steps((0, 1.0), (25, 2.0))), ["p99<100ms"], 1).answer
    assert found.estimate_per_s == pytest.approx(400 - np.log(100) / 0.1, rel=0.12)


def test_curve_that_falls_first_is_told_and_certifies_no_broken_rate() -> None:
    """Batches of 8 that are waited for as long as the bound: few requests are too slow."""
    found = play(Batching(8, 0.1, 0.02, 0.002), ["p99<100ms"], 1).answer
    certified = found.rate_per_s
    assert certified is None or any("not monotone" in line for line in found.findings)


def test_late_blocks_decide_nothing() -> None:
    played = play(mm1(), ["p99<100ms"], 1, late_above=120)
    assert played.answer.rate_per_s is not None
    assert played.answer.rate_per_s <= 120
    assert any("faster than the generator" in line for line in played.answer.findings)


def test_answers_slower_than_the_bound_at_any_rate_leave_none() -> None:
    found = play(Queue(constant(0.001), 1, overhead_s=0.15), ["p99<100ms"], 1).answer
    assert found.rate_per_s is None
    assert "holds at no rate" in found.reason
    assert found.spent_s < 30


@pytest.mark.parametrize("slo", ["p99<100ms", "failed<1%"])
def test_what_was_never_broken_is_as_sure_as_so_many_requests_make_it(slo: str) -> None:
    limits = FindLimits(start_per_s=10, highest_per_s=10, for_s=20)
    found = play(mm1(), [slo], 1, limits).answer
    requests = sum(point.requests for point in found.curve)
    assert found.rate_per_s == 10
    assert found.confidence is not None
    # The chance to see none over where 1 % are.
    assert found.confidence <= 1 - 0.99**requests
    assert found.confidence == pytest.approx(1 - 0.99**requests, abs=0.1)


def test_dead_target_is_told_within_three_seconds() -> None:
    played = play(Dead(), ["p99<100ms"], 1)
    assert played.answer.gone
    assert played.answer.rate_per_s is None
    assert played.answer.spent_s <= 3


@pytest.mark.parametrize(
    ("slos", "exact"),
    [
        pytest.param(["mean<20ms"], 150, id="mean"),
        pytest.param(["p50<20ms"], 200 - np.log(2) / 0.02, id="median"),
        pytest.param(["p99<100ms", "p50<10ms"], 200 - np.log(2) / 0.01, id="the strictest of two"),
    ],
)
def test_any_slo(slos: list[str], exact: float) -> None:
    """Latencies of M/M/1 are exponential, of mean 1 / (μ − λ)."""
    found = play(mm1(), slos, 1).answer
    assert found.slo == slos[-1]
    assert found.estimate_per_s == pytest.approx(exact, rel=0.06)


def test_largest_latency_has_no_rate() -> None:
    with pytest.raises(UsageError, match="percentile"):
        Search([parse_slo("max<1s")], FindLimits())
