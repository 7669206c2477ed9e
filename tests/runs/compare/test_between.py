"""Several runs a side: the run is the unit that varies."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy

from tailrace.load.judge.dependence import interval_us
from tailrace.runs.compare.compare import Comparison, compare_series
from tailrace.runs.compare.series import RunSeries
from tests.kit.queues import poisson
from tests.runs.compare.synthetic import Service, series_of, share_told, sides, turn


def constant(latency_ms: float, requests: int = 1000, failed: int = 0) -> RunSeries:
    """A run in which every request took as long."""
    return series_of(np.zeros(requests), np.full(requests, latency_ms), 1, [failed])


def of_latencies(latencies_ms: list[float]) -> list[RunSeries]:
    return [constant(latency_ms) for latency_ms in latencies_ms]


FIRST = [10.0, 10.4, 9.9, 10.1]
SECOND = [10.9, 11.2, 10.6, 10.7]


@pytest.mark.parametrize("paired", [False, True])
def test_the_interval_is_students_or_welchs_of_the_logarithms(paired: bool) -> None:
    p50 = compare_series(of_latencies(FIRST), of_latencies(SECOND), paired=paired).by_name["p50"]
    logs = np.log(SECOND), np.log(FIRST)
    test = scipy.stats.ttest_rel(*logs) if paired else scipy.stats.ttest_ind(*logs, equal_var=False)
    low, high = test.confidence_interval(0.95)
    assert p50.ratio_interval == pytest.approx((math.exp(low), math.exp(high)), rel=3e-3)
    assert p50.ratio == pytest.approx(math.exp(np.mean(logs[0]) - np.mean(logs[1])), rel=1e-3)
    assert p50.base == pytest.approx(scipy.stats.gmean(FIRST), rel=1e-3)


def test_a_run_alone_varies_as_the_others_do() -> None:
    """The interval of one more draw from where the others come from."""
    p50 = compare_series(of_latencies(FIRST), of_latencies([11.0])).by_name["p50"]
    logs = np.log(FIRST)
    half = scipy.stats.t.ppf(0.975, 3) * np.std(logs, ddof=1) * math.sqrt(1 + 1 / 4)
    middle = math.log(11.0) - logs.mean()
    ends = math.exp(middle - half), math.exp(middle + half)
    assert p50.ratio_interval == pytest.approx(ends, rel=3e-3)


def test_so_many_runs_find_a_change_of_5_percent_four_times_in_five() -> None:
    """By simulation of runs that vary as those compared do."""
    spread = 0.03
    rng = np.random.default_rng(3)
    # Of exactly that spread.
    steps = np.linspace(-1, 1, 6)
    steps *= spread / np.std(steps, ddof=1)
    found = compare_series(
        of_latencies([10.0] * 6), of_latencies(list(10 * np.exp(steps))), paired=True
    ).by_name["p50"]
    runs = found.runs_for_5_percent
    assert runs is not None
    for rounds, least, most in ((runs, 0.78, 0.9), (runs - 1, 0.6, 0.8)):
        drawn = rng.normal(math.log(1.05), spread, (20_000, rounds))
        power = np.mean(scipy.stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05)
        assert least <= power <= most


def test_shares_of_failures_are_compared_as_they_are() -> None:
    base = [constant(10, failed=failed) for failed in (0, 1, 0)]
    other = [constant(10, failed=failed) for failed in (30, 34, 31)]
    found = compare_series(base, other).by_name
    assert found["failed"].more_than_noise is True
    assert found["failed"].difference_interval is not None
    assert found["failed"].difference_interval[0] > 2
    # 3 % of all requests are beyond p99, in every run of one side and in none of the other.
    assert (found["p99"].other, found["p99"].more_than_noise) == (math.inf, True)
    assert found["p99"].ratio_interval == (math.inf, math.inf)
    assert found["p50"].more_than_noise is False
    one_run = compare_series(base, [*base[:2], constant(10, failed=30)])
    assert one_run.by_name["failed"].more_than_noise is False
    assert one_run.by_name["p99"].more_than_noise is None
    assert any("p99" in note and "too many failed" in note for note in one_run.notes)


def test_a_percentile_that_a_run_has_too_few_requests_for_is_not_told() -> None:
    few = [constant(latency_ms, requests=99) for latency_ms in FIRST]
    found = compare_series(few, few[::-1])
    assert found.by_name["p95"].more_than_noise is False
    assert found.by_name["p99"].more_than_noise is None
    assert "p99, p99.9: a run of 99 requests has too few for it" in found.notes


def comparisons(count: int, service: Service, seed: int, **of: Any) -> Iterator[Comparison]:
    random = np.random.default_rng(seed)
    for _ in range(count):
        base, other = sides(random, service, **of)
        yield compare_series(base, other, paired=of.get("paired", True))


@pytest.mark.parametrize("paired", [False, True])
def test_services_that_move_from_run_to_run_are_rarely_called_different(paired: bool) -> None:
    """By 1 %, three runs a side. Of 200, 5 % are 10 ± 3."""
    found = comparisons(
        *(200, "constant", 1), load=0.5, runs=3, each_s=10, moved=0.01, paired=paired
    )
    for name, share in share_told(found).items():
        assert share <= 0.1, name


def test_a_service_time_5_percent_longer_is_found_in_five_rounds() -> None:
    found = comparisons(100, "constant", 2, load=0.5, runs=5, each_s=12, moved=0.01, slower=1.05)
    for name, share in share_told(found).items():
        assert share >= 0.9, name


@pytest.mark.slow("thousands of comparisons")
@pytest.mark.parametrize("service", ["constant", "gamma"])
@pytest.mark.parametrize("load", [0.1, 0.7])
def test_rounds_find_what_there_is_and_nothing_else(service: Service, load: float) -> None:
    """Of 1,000, 5 % are 50 ± 7."""
    of = {"load": load, "runs": 5, "each_s": 12, "moved": 0.01}
    for name, share in share_told(comparisons(1000, service, 3, **of)).items():
        assert 0.03 <= share <= 0.07, name
    found = share_told(comparisons(200, service, 4, **of, slower=1.05))
    assert found["mean"] >= 0.8
    assert found["p50"] >= 0.8
    assert service == "gamma" or found["p99"] >= 0.8


@pytest.mark.slow("thousands of comparisons")
def test_many_short_rounds_find_more_than_few_long_ones() -> None:
    """With 3 % from run to run, a change of 10 % in a minute of load."""
    found = {}
    for runs in (4, 12):
        of = {"load": 0.5, "runs": runs, "each_s": 60 / runs, "moved": 0.03}
        found[runs] = share_told(comparisons(200, "gamma", 5, **of, slower=1.1))
        for name, share in share_told(comparisons(600, "gamma", 6, **of)).items():
            assert 0.02 <= share <= 0.08, name
    for name, share in found[12].items():
        assert share >= 0.85, name
        assert share > found[4][name]


def test_runs_whose_own_intervals_lie_apart_differ() -> None:
    """What stands beside a percentile of each run, and what their comparison says, agree."""
    random = np.random.default_rng(8)
    apart = 0
    for _ in range(20):
        slower = random.uniform(1.0, 1.2)
        runs = [
            turn(
                *(random, "exponential", poisson(random, 100, 60), 0.004 * times),
                stretches=60,
            )
            for times in (1.0, slower)
        ]
        p50 = compare_series(runs[:1], runs[1:]).by_name["p50"]
        first, second = (interval_us(run.stretches(), 50) for run in runs)
        assert first is not None
        assert second is not None
        if first[1] < second[0] or second[1] < first[0]:
            apart += 1
            assert p50.more_than_noise is True
    assert 3 <= apart <= 17
