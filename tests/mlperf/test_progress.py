"""What a person reads while LoadGen says nothing."""

import numpy as np
import pytest

from tailrace.load.measure.histogram import Histogram
from tailrace.mlperf.ledger import Counts
from tailrace.mlperf.outcome import Mode
from tailrace.mlperf.progress import Course, Progress, describe
from tailrace.mlperf.scenario import (
    MULTI_STREAM,
    OFFLINE,
    SERVER,
    SINGLE_STREAM,
    Scenario,
)


def _counts(running_s: float, issued: int, completed: int, failed: int = 0) -> Counts:
    latency = Histogram.of(np.full(completed, 5_000_000))
    return Counts(running_s, issued, completed, failed, {"boom": failed} if failed else {}, latency)


def _course(scenario: Scenario, mode: Mode = "performance", rate_per_s: float = 100) -> Course:
    return Course(
        scenario=scenario,
        mode=mode,
        min_duration_s=60,
        min_queries=500,
        rate_per_s=rate_per_s,
        samples_per_query=8 if scenario is MULTI_STREAM else 1,
        total_samples=1000,
    )


@pytest.mark.parametrize(
    ("course", "counts", "left_s"),
    [
        (_course(SERVER), _counts(10, 1000, 990), 50),
        # 500 queries at 2/s take longer than the minimum duration.
        (_course(SERVER, rate_per_s=2), _counts(10, 20, 20), 240),
        # Nothing more is offered; what is left comes at the pace so far.
        (_course(SERVER), _counts(60, 6000, 3000), 60),
        (_course(SERVER), _counts(60, 6000, 0), None),
        (_course(SINGLE_STREAM), _counts(10, 101, 100), 50),
        (_course(SINGLE_STREAM), _counts(10, 11, 10), 490),
        (_course(SINGLE_STREAM), _counts(70, 700, 700), 0),
        (_course(MULTI_STREAM), _counts(10, 88, 80), 490),
        (_course(OFFLINE), _counts(10, 2000, 500), 30),
        (_course(OFFLINE), _counts(10, 2000, 0), None),
        (_course(SERVER, "accuracy"), _counts(10, 400, 200, 50), 30),
        (_course(SERVER, "find-peak"), _counts(10, 400, 200), None),
    ],
)
def test_time_left(course: Course, counts: Counts, left_s: float | None) -> None:
    assert course.left_s(counts) == pytest.approx(left_s)


def test_the_line() -> None:
    progress = Progress(counts=_counts(10, 1200, 1100, 50), left_s=75)
    fields = describe(_course(SERVER), progress)
    assert [field.strip() for field in fields] == [
        *("10 s", "1:15 left", "FAILED 50", "110/s", "p99 so far 5.00 ms"),
        *("completed 1,100", "issued 1,200"),
    ]
    searching = Progress(counts=_counts(1, 1, 0), left_s=None, step="peak in [1, 2)")
    fields = describe(_course(SERVER, "find-peak"), searching)
    assert fields[2:4] == ["p99 so far –", "peak in [1, 2)"]
    offline = describe(_course(OFFLINE), Progress(counts=_counts(1, 9, 9), left_s=7300))
    assert not any("p99" in field for field in offline)
    assert offline[1] == "2:01:40 left"
    loading = describe(_course(OFFLINE), Progress(counts=_counts(0, 0, 0), left_s=None))
    assert loading == ["loading samples ..."]
