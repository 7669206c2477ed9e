"""Measurements add up: in any grouping, over workers and over time, and through the wire."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.load.measure.breakdown import OpenBreakdown
from tailrace.load.measure.histogram import Histogram, OpenHistogram
from tailrace.load.measure.measurement import (
    COUNTS,
    MOST_ADDRESSES,
    OTHER_ADDRESSES,
    Measurement,
    SlowRequest,
    added,
)
from tailrace.load.measure.server_timing import MOST_STAGES, OTHER, StageNames
from tailrace.load.worker.messages import Message, Reader, Snapshot, frame


@st.composite
def reports(draw: st.DrawFn) -> Measurement:
    """What a worker could report of an interval."""
    times_ns = np.array(draw(st.lists(st.integers(0, 10**10), max_size=8)), dtype=np.int64)
    latency, breakdown = OpenHistogram(), OpenBreakdown()
    component = draw(st.sampled_from(["connect", "infer", "queue"]))
    breakdown.record(latency.record(times_ns), {component: times_ns})
    few = st.integers(0, 1000)
    return Measurement(
        index=draw(st.integers(0, 3)),
        begun_ns=draw(few),
        end_ns=draw(few),
        completed=len(times_ns),
        in_flight=draw(few),
        cap_waits=draw(few),
        tick_lag_ns=draw(few),
        reasons=draw(st.dictionaries(st.sampled_from(["reset", "http: 404"]), few)),
        addresses=draw(st.dictionaries(st.sampled_from("abc"), few)),
        series={"latency": latency.closed()},
        stages={component: Histogram.of(times_ns)},
        breakdown=breakdown.closed(),
    )


def packed(measured: Measurement) -> bytes:
    return frame(Snapshot(last=False, measured=measured))


def received(data: bytes) -> Measurement:
    found: list[Message] = []
    Reader(found.append).feed(data)
    (message,) = found
    assert isinstance(message, Snapshot)
    return message.measured


@given(st.lists(reports(), min_size=1, max_size=5), st.integers(0, 4))
def test_the_grouping_makes_no_difference(parts: list[Measurement], cut: int) -> None:
    grouped = added(parts[:cut]) + added(parts[cut:])
    assert packed(grouped) == packed(added(parts))
    assert packed(Measurement() + added(parts)) == packed(added(parts))


@given(reports())
def test_a_wire_changes_nothing(measured: Measurement) -> None:
    assert packed(received(packed(measured))) == packed(measured)


@given(st.lists(reports(), min_size=1, max_size=5))
def test_histograms_counts_and_components_agree(parts: list[Measurement]) -> None:
    whole = added(parts)
    times_ns = sum(part.latency.sum_ns for part in parts)
    assert whole.latency.total == whole.completed == sum(part.completed for part in parts)
    assert whole.breakdown.table[0].sum() == whole.completed
    assert whole.breakdown.table[1:].sum() == whole.latency.sum_ns == times_ns
    assert sum(times.sum_ns for times in whole.stages.values()) == times_ns


def test_levels_add_over_workers_and_are_the_last_ones_over_time() -> None:
    levels = [name for name, count in COUNTS.items() if count.level]
    assert levels
    for name in levels:
        first, second = (
            [Measurement(**{"index": index, name: value}) for value in values]
            for index, values in enumerate([(5, 6), (1, 2)])
        )
        assert getattr(added(first), name) == 11
        assert getattr(added([*first, *second]), name) == 3
        assert getattr(added([*second, *first]), name) == 3
    assert Measurement(in_flight=2, backlog=3).outstanding == 5


def test_the_slowest_of_all_are_the_slowest() -> None:
    def slow(*latencies_ms: float) -> Measurement:
        return Measurement(
            slowest=tuple(
                SlowRequest(latency_ms=ms, service_ms=0, send_lag_ms=0) for ms in latencies_ms
            )
        )

    whole = added([slow(9, 4, 1), slow(8, 7), slow(6, 5)])
    assert [request.latency_ms for request in whole.slowest] == [9, 8, 7, 6, 5]


def test_of_each_reason_the_first_answer_is_kept() -> None:
    told = [Measurement(examples={"http: 404": text}) for text in ("first", "second")]
    assert added(told).examples == {"http: 404": "first"}


def test_addresses_without_end_fill_no_memory() -> None:
    many = Measurement(addresses={f"10.0.{n}": 1 for n in range(MOST_ADDRESSES)})
    more = Measurement(addresses={"10.0.0": 1, "192.0.2.1": 2, "192.0.2.2": 3})
    sent = added([many, more]).addresses
    assert len(sent) == MOST_ADDRESSES + 1
    assert (sent["10.0.0"], sent[OTHER_ADDRESSES]) == (2, 5)


def test_stages_without_end_are_counted_together() -> None:
    names = StageNames()
    reported = [
        Measurement(stages={f"s{n}": Histogram.of(np.array([n])) for n in range(begin, end)})
        for begin, end in pairwise([0, MOST_STAGES, MOST_STAGES + 3])
    ]
    first, second = (report.with_stages(names) for report in reported)
    assert first is reported[0]
    assert second.stages.keys() == {OTHER}
    assert second.stages[OTHER].sum_ns == 3 * MOST_STAGES + 3


@pytest.mark.parametrize("series", ["latency", "send_lag"])
def test_a_series_that_nobody_timed_is_empty(series: str) -> None:
    assert Measurement().of(series).total == 0
