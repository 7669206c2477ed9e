from typing import Any

import numpy as np
import pytest

from tailrace.load.judge.slo import parse_slo
from tailrace.load.judge.verdict import Verdict, judge
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


@pytest.mark.parametrize(
    ("over", "enough"),
    [(0, 459), (1, 662), (2, 838)],
)
def test_mlperfs_early_stopping(over: int, enough: int) -> None:
    """The vectors of MLPerf's rules: so many requests prove p99 with so many over the bound."""
    assert verdict(tally(enough - over, over)).valid
    (reason,) = verdict(tally(enough - over - 1, over)).reasons
    assert "1 more requests under 100 ms needed" in reason


def test_what_is_missing_is_told() -> None:
    (reason,) = verdict(tally(359)).reasons
    assert reason == (
        "SLO p99<100ms is not proven: 100 more requests under 100 ms needed (0 of 359 over it)"
    )


def test_failures_are_over_the_bound() -> None:
    assert verdict(tally(459)).valid
    assert not verdict(tally(459, failed=1)).valid
    assert verdict(tally(661, failed=1)).valid


def test_a_broken_bound() -> None:
    (reason,) = verdict(tally(900, 100)).reasons
    assert reason == "SLO p99<100ms is broken: 10 % of requests are over the bound"


def test_the_minimum_duration_is_mlperfs() -> None:
    (reason,) = verdict(tally(1000), duration_s=599).reasons
    assert reason == "it ran 9.98 min, less than the minimum of 10 min"
    assert verdict(tally(1000), duration_s=600).valid
    assert verdict(tally(1000), duration_s=5, min_duration_s=5).valid


def test_without_an_slo_a_p99_still_needs_its_samples() -> None:
    assert judge(tally(459), duration_s=600).valid
    (reason,) = judge(tally(400), duration_s=600).reasons
    assert "59 more requests are needed to speak of a p99" in reason


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


def test_problems_with_workers_come_first() -> None:
    assert verdict(tally(10), problems=["load worker 0 died"]).reasons[0] == "load worker 0 died"


def test_clocks_that_are_apart() -> None:
    assert verdict(tally(1000), clock_errors_s={"a": 0.0049, "b": 0.0}).valid
    (reason,) = verdict(tally(1000), clock_errors_s={"a": 0.006, "b": 0.02, "c": 0.001}).reasons
    assert "the clocks of 2 nodes may be off by more than 5 ms (b by 20 ms)" in reason
