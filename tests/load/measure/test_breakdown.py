import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.load.measure.breakdown import Breakdown, OpenBreakdown, split
from tailrace.load.measure.histogram import Histogram, IntArray, OpenHistogram
from tailrace.load.measure.measurement import Measurement
from tailrace.load.measure.point import Point, close
from tailrace.load.measure.server_timing import ABSENT
from tests.kit.samples import xray_of

SPAN = st.integers(0, 3_600 * 10**9)
STAGE = st.one_of(st.just(ABSENT), SPAN)
REQUEST = st.tuples(SPAN, SPAN, SPAN, SPAN, STAGE, STAGE, STAGE)
"""The generator's lateness, both waits, service time, and three stages."""


def array(values: object) -> IntArray:
    return np.array(values, dtype=np.int64)


def split_all(requests: list[tuple[int, ...]]) -> dict[str, IntArray]:
    late, wait, connect, service, *stages = array(requests).reshape(len(requests), 7).T
    named = dict(zip(("queue", "infer", "network"), stages, strict=True))
    waits = {"connection-wait": wait, "connect": connect}
    return split(late + wait + connect, waits, service, named)


@given(st.lists(REQUEST, max_size=20))
def test_components_add_up_to_the_latency_exactly(requests: list[tuple[int, ...]]) -> None:
    parts = split_all(requests)
    assert all((spans >= 0).all() for spans in parts.values())
    assert sum(parts.values()).tolist() == [sum(request[:4]) for request in requests]  # type: ignore[union-attr]
    for row, (late, wait, connect, service, *stages) in enumerate(requests):
        own = [int(parts[name][row]) for name in ("send-lag", "connection-wait", "connect")]
        assert own == [late, wait, connect]
        told = [span for span in stages if span != ABSENT]
        assert parts["service"][row] == (0 if told else service)
        if sum(told) <= service:
            assert parts["queue"][row] == max(stages[0], 0)
            assert parts["infer"][row] == max(stages[1], 0)


def test_stages_that_overlap_are_shortened_alike() -> None:
    parts = split(array([5]), {}, array([90]), {"all": array([120]), "db": array([60])})
    assert {name: spans.tolist() for name, spans in parts.items()} == {
        "send-lag": [5],
        "network": [2],  # what rounding leaves
        "service": [0],
        "all": [59],
        "db": [29],
    }


def test_a_stage_with_a_name_of_ours_is_the_servers() -> None:
    stages = {name: array([number]) for number, name in enumerate(["send-lag", "connect"], start=3)}
    parts = split(array([50]), {"connect": array([20])}, array([90]), stages)
    assert {name: spans.tolist() for name, spans in parts.items()} == {
        "send-lag": [30],
        "connect": [20],
        "network": [83],
        "service": [0],
        "send-lag (server)": [3],
        "connect (server)": [4],
    }


def breakdown(requests: list[tuple[int, ...]]) -> Breakdown:
    made = OpenBreakdown()
    latencies = array([sum(request[:4]) for request in requests])
    made.record(OpenHistogram().record(latencies), split_all(requests))
    return made.closed()


def contents(breakdown: Breakdown) -> tuple[dict[int, int], dict[str, list[int]]]:
    counts, *sums = breakdown.table.tolist()
    return (
        dict(zip(breakdown.bins.tolist(), counts, strict=True)),
        dict(zip(breakdown.components, sums, strict=True)),
    )


@given(st.lists(st.lists(REQUEST, max_size=10), max_size=4))
def test_merging_is_the_whole(pieces: list[list[tuple[int, ...]]]) -> None:
    merged = Breakdown.merged(Breakdown.unpacked(breakdown(piece).pack()) for piece in pieces)
    whole = breakdown([request for piece in pieces for request in piece])
    assert contents(merged) == contents(whole)
    assert sum(map(sum, contents(whole)[1].values())) == sum(
        sum(request[:4]) for piece in pieces for request in piece
    )


def test_stages_of_one_name_add_up() -> None:
    made = breakdown([(5, 0, 0, 90, 20, 30, ABSENT)]).renamed(lambda _: "others")
    assert contents(made)[1] == {"send-lag": [5], "network": [40], "others": [50]}


def test_closing_starts_afresh() -> None:
    counting = OpenBreakdown()
    counting.record(array([1]), {"service": array([1000])})
    assert contents(counting.closed()) == ({0: 1}, {"service": [1000]})
    assert contents(counting.closed()) == ({}, {})


def point_of(requests: list[tuple[int, ...]]) -> Point:
    """An interval in which these were answered."""
    latency = Histogram.of(array([sum(request[:4]) for request in requests]))
    measured = Measurement(series={"latency": latency}, breakdown=breakdown(requests))
    times = dict.fromkeys(("index", "t_s", "wall_time", "target_per_s", "rps", "qps"), 0)
    return close(Point, measured, interval_s=1, cpu_percent=0, **times)


@given(st.lists(st.lists(REQUEST, min_size=1, max_size=10), max_size=4))
def test_points_have_the_breakdown_by_their_bins(pieces: list[list[tuple[int, ...]]]) -> None:
    for piece in pieces:
        made = point_of(piece)
        counts, _ = contents(breakdown(piece))
        assert made.latency_bins == counts
        for sums_us in made.components_us.values():
            assert len(sums_us) == len(made.latency_bins)
        total_us = sum(map(sum, made.components_us.values()))
        latency_us = sum(sum(request[:4]) for request in piece) / 1000
        assert total_us == pytest.approx(latency_us, abs=0.5 * 8 * len(made.latency_bins))


def test_the_xray_of_points_is_that_of_all_their_requests() -> None:
    generator = np.random.default_rng(1)
    requests = [
        (*generator.integers(10**4, 10**6, 3).tolist(), service, service // 3, service // 2, ABSENT)
        for service in generator.integers(10**6, 10**9, 2000).tolist()
    ]
    whole = breakdown(requests).xray()
    merged = xray_of([point_of(requests[start::4]) for start in range(4)])
    assert whole is not None
    assert merged is not None
    assert merged.explains == whole.explains == "infer"
    assert merged.from_ms == whole.from_ms
    for name, mean_ms in whole.tail_ms.items():
        assert merged.tail_ms[name] == pytest.approx(mean_ms, abs=0.01)
        assert merged.median_ms[name] == pytest.approx(whole.median_ms[name], abs=0.01)
    assert xray_of([]) is None


def test_requests_that_took_alike_leave_no_gap_to_explain() -> None:
    """Of one bin: what is left of the means' difference is the error of a sum."""
    generator = np.random.default_rng(1)
    for count in range(100, 400):
        services = generator.integers(201_000_000, 204_000_000, count).tolist()
        xray = breakdown([(0, 0, 0, service, *[ABSENT] * 3) for service in services]).xray()
        assert xray is not None
        assert (xray.explains, xray.share) == (None, None)
