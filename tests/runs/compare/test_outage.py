"""Outages are told from chance however failures cluster; small clusters of them are not outages."""

import numpy as np
import pytest

from tailrace.runs.compare.compare import compare_series
from tailrace.runs.compare.outage import outage
from tailrace.runs.compare.regression import judge_bound, parse_bound
from tailrace.runs.compare.series import RunSeries
from tests.kit.queues import poisson
from tests.runs.compare.synthetic import FloatArray, series_of


def series(
    random: np.random.Generator, arrivals_s: FloatArray, failed: np.ndarray, length_s: float
) -> RunSeries:
    """Requests of a run, in tenths of its length."""
    stretch = np.minimum((10 * arrivals_s / length_s).astype(int), 9)
    latency_ms = random.lognormal(2, 0.3, int((~failed).sum()))
    failures = np.bincount(stretch[failed], minlength=10)
    return series_of(stretch[~failed], latency_ms, 10, failures, length_s=length_s / 10)


def dead_from(share: float, length_s: float, rate_per_s: float = 100, seed: int = 1) -> RunSeries:
    """A run of a service that fails every request from some moment on."""
    random = np.random.default_rng(seed)
    arrivals_s = np.arange(0, length_s, 1 / rate_per_s)
    return series(random, arrivals_s, arrivals_s >= share * length_s, length_s)


@pytest.mark.parametrize("length_s", [1, 10, 20, 600])
def test_half_of_all_requests_is_an_outage_from_the_first_second_on(length_s: float) -> None:
    sound, half = dead_from(1, length_s), dead_from(0.5, length_s)
    assert "50 % of its requests failed" in (outage(sound, half) or "")
    assert outage(half, sound) is None
    assert outage(half, half) is None
    # In one piece, or each second request.
    arrivals_s = np.arange(0, length_s, 0.01)
    other = series(
        np.random.default_rng(1), arrivals_s, np.arange(len(arrivals_s)) % 2 == 0, length_s
    )
    assert outage(sound, other) is not None


@pytest.mark.parametrize(
    "bound", ["p99+10%", "p50+10%", "mean+5%", "failed+0.5%", "completed/s-5%"]
)
def test_an_outage_breaks_every_bound_and_is_no_noise(bound: str) -> None:
    comparison = compare_series([dead_from(1, 20)], [dead_from(0.5, 20)])
    found = judge_bound(comparison, parse_bound(bound))
    assert found.outcome == "broken"
    assert bound == "failed+0.5%" or "an outage: 50 % of its requests failed" in found.reason
    told = {one.name: one.more_than_noise for one in comparison.differences}
    assert told["failed"] is told["p99"] is True
    assert comparison.notes[0].startswith("other: an outage")
    assert not any("failed" in note and "too little to tell" in note for note in comparison.notes)


@pytest.mark.parametrize("bound", ["p99+10%", "p50+10%"])
def test_a_service_that_hardly_moves_from_half_way_on_passes_no_gate(bound: str) -> None:
    arrivals_s = np.arange(0, 20, 0.01)
    stretch = (arrivals_s / 2).astype(int)
    slow = series_of(stretch, np.where(arrivals_s < 10, 10, 5000), 10, length_s=2.0)
    comparison = compare_series([dead_from(1, 20)], [slow])
    assert "50 % of its requests failed or took longer than 10 times" in (comparison.outage or "")
    assert judge_bound(comparison, parse_bound(bound)).outcome == "broken"
    told = {one.name: one.more_than_noise for one in comparison.differences}
    assert told["p99"] is True
    # All is answered, if late.
    for counted in ("failed+1%", "completed/s-5%"):
        assert judge_bound(comparison, parse_bound(counted)).outcome != "broken"


def test_a_service_that_recovered_is_told_too() -> None:
    comparison = compare_series([dead_from(0.5, 20)], [dead_from(1, 20)])
    assert comparison.outage is None
    failed = next(one for one in comparison.differences if one.name == "failed")
    assert failed.more_than_noise is True
    assert judge_bound(comparison, parse_bound("failed+0.5%")).outcome != "broken"


def test_a_bound_on_failures_may_allow_for_it() -> None:
    comparison = compare_series([dead_from(1, 20)], [dead_from(0.5, 20)])
    assert judge_bound(comparison, parse_bound("failed+60%")).outcome != "broken"
    assert judge_bound(comparison, parse_bound("failed+40%")).outcome == "broken"


def test_a_service_that_is_down_at_the_end_is_an_outage_however_small_its_share() -> None:
    sound, down = dead_from(1, 60), dead_from(0.9, 60)
    assert "in its last 6 s every request failed" in (outage(sound, down) or "")
    assert outage(down, down) is None


def test_few_requests_tell_nothing() -> None:
    random = np.random.default_rng(1)
    arrivals_s = np.arange(0.5, 10)
    sound = series(random, arrivals_s, np.zeros(10, bool), 10)
    assert outage(sound, series(random, arrivals_s, arrivals_s > 6, 10)) is None
    assert outage(sound, series_of([], [], 10)) is None
    assert outage(series_of([], [], 10), sound) is None


@pytest.mark.parametrize(
    ("length_s", "rate_per_s", "share", "bursts_per_s", "burst_s", "most"),
    [
        (20, 100, 0.005, 0, 0, 0.0),
        (20, 100, 0.05, 0, 0, 0.0),
        (10, 2, 0.2, 0, 0, 0.01),
        (1, 100, 0, 0.1, 0.05, 0.01),
        (60, 100, 0, 1 / 30, 0.5, 0.01),
        (60, 100, 0, 1 / 60, 1, 0.01),
        (20, 100, 0, 1 / 60, 1, 0.03),
    ],
)
def test_small_shares_of_failures_are_no_outage_alone_or_in_clusters(
    length_s: float,
    rate_per_s: float,
    share: float,
    bursts_per_s: float,
    burst_s: float,
    most: float,
) -> None:
    """Pairs of runs of one process, which fails single requests and all within its bursts."""
    random = np.random.default_rng(7)

    def run() -> RunSeries:
        arrivals_s = poisson(random, rate_per_s, length_s)
        failed = random.random(len(arrivals_s)) < share
        for begin_s in random.uniform(0, length_s, random.poisson(bursts_per_s * length_s)):
            end_s = begin_s + random.exponential(burst_s)
            failed |= (arrivals_s >= begin_s) & (arrivals_s < end_s)
        return series(random, arrivals_s, failed, length_s)

    alarms = [outage(run(), run()) is not None for _ in range(400)]
    assert sum(alarms) <= most * len(alarms)
