from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tailrace.load.judge.slo import Slo, parse_slo
from tailrace.load.judge.stretches import Stretches
from tailrace.load.judge.verdict import Verdict, judge, judge_mlperf
from tailrace.load.measure.breakdown import OpenBreakdown
from tailrace.load.measure.histogram import Histogram, OpenHistogram
from tailrace.load.measure.measurement import Measurement
from tests.kit.samples import measured

SLO = parse_slo("p99<100ms")


def tally(
    fast: int = 0, slow: int = 0, failed: int = 0, lag_ms: float = 0.05, **more: Any
) -> Measurement:
    """Answers of 10 ms and of 200 ms, and failures, sent `lag_ms` late."""
    lags_ns = np.full(fast + slow, int(lag_ms * 1e6), dtype=np.int64)
    return measured(
        [10.0] * fast + [200.0] * slow,
        failed,
        **{"cpu_ns": 3, "worker_ns": 10, "series": {"send_lag": Histogram.of(lags_ns)}, **more},
    )


def verdict(total: Measurement, duration_s: float = 700, **settings: object) -> Verdict:
    return judge(total, duration_s=duration_s, slos=[SLO], **settings)  # type: ignore[arg-type]


def mlperf(total: Measurement, duration_s: float = 700, slos: Sequence[Slo] = (SLO,)) -> list[str]:
    sound = judge(total, duration_s=duration_s)
    answer = judge_mlperf(total, sound, duration_s=duration_s, slos=slos)
    assert answer.official == (not answer.reasons)
    return answer.reasons


@pytest.mark.parametrize(
    ("over", "enough"),
    [(0, 459), (1, 662), (2, 838)],
)
def test_mlperfs_early_stopping(over: int, enough: int) -> None:
    """The vectors of MLPerf's rules: so many requests prove p99 with so many over the bound."""
    assert mlperf(tally(enough - over, over)) == []
    (reason,) = mlperf(tally(enough - over - 1, over))
    assert "1 more requests under 100 ms needed" in reason


def test_what_mlperf_misses_is_told() -> None:
    (reason,) = mlperf(tally(359))
    assert reason == (
        "SLO p99<100ms is not proven: 100 more requests under 100 ms needed (0 of 359 over it)"
    )


def test_failures_are_over_mlperfs_bound() -> None:
    assert mlperf(tally(459)) == []
    assert mlperf(tally(459, failed=1))
    assert mlperf(tally(661, failed=1)) == []


def test_mlperf_without_a_bound_asks_for_the_fewest_of_a_p99() -> None:
    assert mlperf(tally(459), slos=()) == []
    (reason,) = mlperf(tally(400), slos=[parse_slo("mean<1s")])
    assert "59 more requests are needed to speak of a p99" in reason


def test_mlperfs_minimum_duration() -> None:
    (reason,) = mlperf(tally(1000), duration_s=599)
    assert reason == "it ran 9.98 min, less than MLPerf's minimum of 10 min"
    assert mlperf(tally(1000), duration_s=600) == []


def test_nothing_is_official_of_a_measurement_that_is_not_sound() -> None:
    assert mlperf(tally(1000, lag_ms=14)) == ["the measurement is INVALID"]


def test_a_short_run_of_a_healthy_service_is_valid() -> None:
    """Nobody has to know of MLPerf, nor of a p99 that he did not ask for."""
    assert judge(tally(30), duration_s=3).valid


def test_a_broken_bound_makes_no_measurement_doubtful() -> None:
    assert verdict(tally(900, 100)).valid
    (reason,) = mlperf(tally(900, 100))
    assert reason == "SLO p99<100ms is broken: 10 % of requests are over the bound"


def test_a_run_shorter_than_asked() -> None:
    (reason,) = verdict(tally(1000), duration_s=4, min_duration_s=5).reasons
    assert reason == "it ran 4 s, less than the minimum of 5 s"
    assert verdict(tally(1000), duration_s=5, min_duration_s=5).valid
    assert verdict(tally(1000), duration_s=4, min_duration_s=5, so_far=True).valid


@pytest.mark.parametrize(
    ("expression", "least"), [("p50<1s", 2), ("p99<1s", 100), ("p99.9<1s", 1000)]
)
def test_a_percentile_takes_as_many_requests_as_make_one_of_it(expression: str, least: int) -> None:
    """Of fewer, none lies above it on average: it is the slowest request of all."""
    slos = [parse_slo(expression)]
    assert judge(tally(least - 1, failed=1), duration_s=30, slos=slos).valid
    (reason,) = judge(tally(least - 1), duration_s=30, slos=slos).reasons
    assert reason.endswith(f"takes {least:,} requests or more: {least - 1:,} came to an end")
    assert judge(tally(least - 1), duration_s=30, slos=slos, so_far=True).valid


def test_no_answer_at_all() -> None:
    assert "no request was answered" in verdict(tally(failed=10)).reasons


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({}, "taskset"),
        ({"cpu_ns": 9}, "use more --workers"),
        # Waits for a connection and a busy core can follow from it.
        (
            {"cpu_periods": 600, "cpu_throttled": 150, "cap_waits": 17, "cpu_ns": 9},
            "its container's CPU limit stopped it in 25 % of the limit's periods",
        ),
        ({"cpu_periods": 600, "cpu_throttled": 1}, "taskset"),
        # Waiting for a connection is no lateness.
        ({"cap_waits": 17}, "taskset"),
    ],
)
def test_a_late_generator_is_told_what_to_change(change: dict[str, int], advice: str) -> None:
    (reason,) = verdict(tally(1000, lag_ms=14, **change)).reasons
    assert "the generator was late: p99 send lag 14 ms" in reason
    assert advice in reason


def with_waits(component: str, waited_ms: int) -> Measurement:
    """1,000 answers, all but 20 of 10 ms; those waited first."""
    waits = np.array([0] * 980 + [waited_ms * 1_000_000] * 20, dtype=np.int64)
    latency, breakdown = OpenHistogram(), OpenBreakdown()
    buckets = latency.record(waits + 10_000_000)
    services = np.full(1000, 10_000_000, dtype=np.int64)
    breakdown.record(buckets, {component: waits, "service": services})
    lags = Histogram.of(np.full(1000, 50_000, dtype=np.int64))
    series = {"latency": latency.closed(), "send_lag": lags}
    return tally(1000, cap_waits=20, series=series, breakdown=breakdown.closed())


def test_waits_at_the_cap_are_told_as_what_they_are() -> None:
    (reason,) = verdict(with_waits("connection-wait", 30)).reasons
    assert reason == (
        "20 requests waited for a free connection, the slowest 1 % for 30 ms on average: raise "
        "--connections, or the service is slower than the rate"
    )


@pytest.mark.parametrize(
    ("component", "waited_ms"),
    [
        # Less than a tenth of the tail.
        ("connection-wait", 1),
        # The target's time, or the network's.
        ("connect", 30),
    ],
)
def test_other_waits_are_not_the_generators_fault(component: str, waited_ms: int) -> None:
    assert verdict(with_waits(component, waited_ms)).valid


def test_lag_far_below_the_latency_is_forgiven() -> None:
    assert verdict(tally(1000, lag_ms=0.9)).valid
    slow = tally(slow=1000, lag_ms=14)
    assert judge(slow, duration_s=600, slos=[parse_slo("p99<1s")]).valid


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"port_exhausted": 3}, "3 connections found no free local port"),
        ({"clock_steps_ns": 2_000_000_000}, "clock was set by 2 s"),
        ({"reasons": {"aborted": 2}}, "2 requests were abandoned"),
    ],
)
def test_what_the_generator_notices_about_its_machine(
    change: dict[str, object], complaint: str
) -> None:
    (reason,) = verdict(tally(5000, **change)).reasons
    assert complaint in reason


def steady(*medians_ms: float) -> Stretches:
    """20 stretches for each of the medians."""
    generator, stretches = np.random.default_rng(5), Stretches()
    for median_ms in np.repeat(medians_ms, 20):
        stretches.add(measured(median_ms * generator.uniform(0.5, 1.5, 100)), 1.0, 100.0)
    return stretches


def test_a_run_that_is_another_in_its_second_half() -> None:
    assert verdict(tally(1000), stretches=steady(10, 10)).valid
    (reason,) = verdict(tally(1000), stretches=steady(10, 20)).reasons
    assert reason.startswith("it was not the same all the time: ")


def test_problems_with_workers_come_first() -> None:
    assert verdict(tally(10), problems=["load worker 0 died"]).reasons[0] == "load worker 0 died"


def test_clocks_that_are_apart() -> None:
    assert verdict(tally(1000), clock_errors_s={"a": 0.0049, "b": 0.0}).valid
    (reason,) = verdict(tally(1000), clock_errors_s={"a": 0.006, "b": 0.02, "c": 0.001}).reasons
    assert "the clocks of 2 nodes may be off by more than 5 ms (b by 20 ms)" in reason
