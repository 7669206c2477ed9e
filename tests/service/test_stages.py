"""The stage clock."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.service.stages import BATCH_WAIT, QUEUE, RECEIVE, SEND, STAGES, StageClock


def test_stages_are_numbered_in_their_order() -> None:
    assert STAGES[RECEIVE] == "receive"
    assert STAGES[QUEUE] == "queue"
    assert STAGES[BATCH_WAIT] == "batch-wait"
    assert STAGES[SEND] == "send"
    assert set(STAGES) == {
        *("receive", "decode", "queue", "batch-wait", "preprocess", "infer", "postprocess", "send")
    }


def test_header_is_server_timing_in_milliseconds() -> None:
    clock = StageClock()
    for stage in range(len(STAGES)):
        clock.end(stage)
    clock.spans_ns[QUEUE] = 1_234_567
    parts = clock.header().split(", ")
    assert [part.split(";")[0] for part in parts] == list(STAGES)
    assert parts[QUEUE] == "queue;dur=1.2346"
    assert all(re.fullmatch(r"[a-z-]+;dur=\d+\.\d{4}", part) for part in parts)


def test_header_has_what_never_began_as_nothing() -> None:
    clock = StageClock()
    clock.end(RECEIVE)
    assert clock.header().count("dur=0.0000") == len(STAGES) - 1


def test_whatever_happens_between_two_ends_belongs_to_the_later_stage() -> None:
    clock = StageClock()
    clock.end(RECEIVE)
    sum(range(200_000))
    clock.end(QUEUE)
    assert clock.spans_ns[QUEUE] > clock.spans_ns[RECEIVE]


def test_a_stage_that_comes_again_adds_to_what_it_had() -> None:
    clock = StageClock()
    clock.end_at(SEND, clock.began_ns + 5)
    clock.end_at(QUEUE, clock.began_ns + 6)
    clock.end_at(SEND, clock.began_ns + 8)
    assert clock.spans_ns[SEND] == 7
    assert clock.total_ns == 8


@given(
    st.lists(
        st.tuples(st.integers(0, len(STAGES) - 1), st.none() | st.sampled_from([0, 1000, 10**12]))
    )
)
def test_stages_add_up_to_the_total_whatever_the_stamps(
    stamps: list[tuple[int, int | None]],
) -> None:
    clock = StageClock()
    for stage, ago_ns in stamps:
        if ago_ns is None:
            clock.end(stage)
        else:
            clock.end_at(stage, time.monotonic_ns() - ago_ns)
        assert sum(clock.spans_ns) == clock.total_ns
        assert min(clock.spans_ns) >= 0
    assert clock.began_ns + clock.total_ns <= time.monotonic_ns()


@given(st.lists(st.tuples(st.integers(0, len(STAGES) - 1), st.integers(0, 10**12))))
def test_an_end_before_the_last_one_changes_nothing(stamps: list[tuple[int, int]]) -> None:
    clock = StageClock()
    for stage, after_ns in stamps:
        before = list(clock.spans_ns), clock.total_ns
        clock.end_at(stage, clock.began_ns + after_ns)
        if after_ns <= before[1]:
            assert (clock.spans_ns, clock.total_ns) == before
        else:
            assert clock.total_ns == after_ns
            assert clock.spans_ns[stage] == before[0][stage] + after_ns - before[1]


@pytest.mark.parametrize("total_ns", [100_000, 1_000_000, 123_456_789])
def test_header_adds_up_to_the_total(total_ns: int) -> None:
    clock = StageClock()
    for stage in range(len(STAGES)):
        clock.end_at(stage, clock.began_ns + total_ns * (stage + 1) // len(STAGES))
    durations_ms = [float(text) for text in re.findall(r"dur=([\d.]+)", clock.header())]
    assert sum(durations_ms) == pytest.approx(total_ns / 1e6, rel=0.01)
