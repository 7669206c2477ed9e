from itertools import pairwise

import msgspec
import pytest

from tailrace.load.measure.measurement import SlowRequest
from tailrace.load.measure.point import Percentiles, Point
from tailrace.runs.thin import thin
from tests.kit.samples import POINT


def make_points(index: int) -> Point:
    slow = SlowRequest(latency_ms=index, service_ms=1, send_lag_ms=0)
    return msgspec.structs.replace(
        POINT,
        index=index,
        t_s=index + 1.0,
        sent=10,
        completed=index,
        failed={"timeout": 1} if index % 2 else {},
        in_flight=index % 7,
        latency_ms=Percentiles(mean=float(index), p99=100.0 - index),
        stages_ms={"infer": Percentiles(mean=2.0, p99=float(index))} if index > 3 else {},
        latency_bins={60 + index % 3: index, 70: 1},
        components_us={"network": (1000 * index, 7), "connect": (0, 5)} if index != 6 else {},
        slowest=(slow,),
        server={"cpu_percent": float(index)} if index == 5 else {},
    )


def test_few_intervals_stay_as_they_are() -> None:
    points = [make_points(index) for index in range(10)]
    assert thin(points, 10) == (points, 1)
    assert thin([], 10) == ([], 1)


@pytest.mark.parametrize("count", [11, 20, 99, 100])
def test_counts_add_up_and_peaks_stay(count: int) -> None:
    points = [make_points(index) for index in range(count)]
    thinned, each = thin(points, 10)
    assert each == -(-count // 10)
    assert len(thinned) <= 10
    assert [point.index for point in thinned] == list(range(len(thinned)))
    for field in ("sent", "completed", "interval_s"):
        assert sum(getattr(p, field) for p in thinned) == sum(getattr(p, field) for p in points)
    assert sum(p.failed.get("timeout", 0) for p in thinned) == count // 2
    in_bins = [sum(bins.values()) for bins in (p.latency_bins for p in thinned)]
    assert sum(in_bins) == sum(range(count)) + count
    assert max(p.latency_ms.p99 or 0 for p in thinned) == 100
    assert thinned[-1].t_s == count
    assert all(one.t_s < other.t_s for one, other in pairwise(thinned))
    assert thinned[-1].slowest[0].latency_ms == count - 1


def test_means_are_weighted_by_answers() -> None:
    first = thin([make_points(index) for index in range(8)], 4)[0][1]
    assert first.completed == 5
    assert first.latency_ms.mean == pytest.approx((2 * 2 + 3 * 3) / 5)
    assert first.qps == 2.5
    third = thin([make_points(index) for index in range(8)], 4)[0][2]
    assert third.server == {"cpu_percent": 5.0}
    assert third.stages_ms["infer"].p99 == 5


def test_components_stay_with_their_bins() -> None:
    (whole,), _ = thin([make_points(index) for index in range(4)], 1)
    assert list(whole.latency_bins) == [60, 61, 62, 70]
    assert whole.components_us["network"] == (3000, 1000, 2000, 4 * 7)
    assert whole.components_us["connect"] == (0, 0, 0, 4 * 5)


def test_an_interval_that_is_missing_is_passed_over() -> None:
    points = [make_points(index) for index in range(20) if index not in (4, 5, 6, 7)]
    thinned, each = thin(points, 10)
    assert each == 2
    assert [point.index for point in thinned] == [0, 1, 4, 5, 6, 7, 8, 9]
