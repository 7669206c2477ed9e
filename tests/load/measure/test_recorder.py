import numpy as np
import pytest

from tailrace.load.measure.point import SERIES
from tailrace.load.measure.recorder import PART, ROWS, Recorder
from tailrace.load.measure.server_timing import OTHER


def record_answer(
    recorder: Recorder, intended: int, sent: int, done: int, timing: bytes | None
) -> None:
    """One answered request, written down as a connection does."""
    row = recorder.row
    recorder.intended[row] = intended
    recorder.sent[row] = sent
    recorder.done[row] = done
    if timing is not None:
        recorder.timings[row] = timing
    recorder.row = row + 1
    if recorder.row % PART == 0:
        recorder.part()


def test_take_starts_afresh() -> None:
    recorder = Recorder()
    recorder.fail("reset")
    recorder.send_lags[0] = 5000
    recorder.lag_row = 1
    record_answer(recorder, 10, 20, 5000, b"a;dur=1")
    recorded = recorder.take(0)
    assert recorded.reasons == {"reset": 1}
    assert set(recorded.stages) == {"a"}
    declared = {series.name: 1 for series in SERIES.values()}
    assert {name: times.total for name, times in recorded.series.items()} == declared
    assert len(recorded.slowest) == 1
    assert recorded.breakdown.components
    recorded = recorder.take(0)
    assert (recorded.reasons, recorded.stages, recorded.slowest) == ({}, {}, ())
    assert not any(times.total for times in recorded.series.values())
    assert recorded.breakdown.components == ()


@pytest.mark.parametrize("count", [1, PART - 1, PART, ROWS + PART + 3])
def test_each_answer_keeps_its_own_stages(count: int) -> None:
    """Answer number n takes n µs in the stage that its number says, if in any; every third waited
    for a connection.
    """
    recorder = Recorder()
    expected: dict[str, int] = {}

    def expect(component: str, span_ns: int) -> None:
        expected[component] = expected.get(component, 0) + span_ns

    for number in range(count):
        span_us, stage = number % 1000, ["", "a", "b"][number % 3 if number % 7 else 0]
        timing = f"{stage};dur={span_us / 1000:.3f}".encode() if stage else None
        if number % 3 == 0:
            waits = recorder.connects if number % 2 else recorder.connection_waits
            waits[recorder.row] = 40
            expect("connect" if number % 2 else "connection-wait", 40)
        expect("send-lag", 60 if number % 3 == 0 else 100)
        expect(stage or "service", span_us * 1000 if stage else 1_000_900)
        if stage:
            expect("network", 1_000_900 - span_us * 1000)
        record_answer(recorder, 1000, 1100, 1_002_000, timing)
    recorded = recorder.take(0)
    sums = recorded.breakdown.table.sum(axis=1).tolist()
    found = dict(zip(recorded.breakdown.components, sums[1:], strict=True))
    assert found == expected
    assert sums[0] == count
    assert sum(found.values()) == count * 1_001_000
    for name in set(expected) & {"a", "b"}:
        assert recorded.stages[name].sum_ns == expected[name]


def test_ever_new_stages_fill_no_memory() -> None:
    """Over the whole run, not the interval alone; and no time of theirs is lost."""
    recorder = Recorder()
    stages: set[str] = set()
    spans_ns = 0
    for interval in range(4):
        for number in range(200):
            timing = b"i%d-n%d;dur=0.25" % (interval, number)
            record_answer(recorder, 1000, 1100, 1_002_000, timing)
        recorded = recorder.take(0)
        stages |= set(recorded.stages)
        stages.update(*(request.stages_ms for request in recorded.slowest))
        spans_ns += sum(times.sum_ns for times in recorded.stages.values())
        assert set(recorded.breakdown.components) <= {"send-lag", "network", *stages}
    assert len(stages) == 64 + 1
    assert OTHER in stages
    assert spans_ns == 4 * 200 * 250_000


def test_absurd_durations_are_no_overflow() -> None:
    recorder = Recorder()
    for _ in range(3 * ROWS):
        record_answer(recorder, 1000, 1100, 1_002_000, b"a;dur=3600000" + b",a;dur=3600000" * 100)
    recorder.take(0)


@pytest.mark.parametrize("count", [0, 3, 5, 6, 1000, 3 * ROWS + 17])
@pytest.mark.parametrize("order", ["mixed", "rising", "falling", "alike"])
def test_the_slowest_of_an_interval(count: int, order: str) -> None:
    """All but `alike` have latencies of whole milliseconds, each once, so there is one answer."""
    latencies_ms = np.random.default_rng(1).permutation(count) + 1
    if order == "rising":
        latencies_ms.sort()
    if order == "falling":
        latencies_ms[::-1].sort()
    if order == "alike":
        latencies_ms[:] = 7
    recorder = Recorder()
    for _ in range(2):
        for number, latency_ms in enumerate(latencies_ms.tolist()):
            intended = 10**9 + number * 10**6
            timing = f"infer;dur={latency_ms / 2}".encode() if latency_ms % 2 else None
            if number % 2:
                recorder.connects[recorder.row] = 100_000
            record_answer(
                recorder, intended, intended + 250_000, intended + latency_ms * 10**6, timing
            )
        slowest = recorder.take(10**9).slowest
        expected = sorted(latencies_ms.tolist(), reverse=True)[:5]
        assert [request.latency_ms for request in slowest] == expected
        for request in slowest:
            stages_ms = {"infer": request.latency_ms / 2} if request.latency_ms % 2 else {}
            assert request.stages_ms == stages_ms
            assert request.send_lag_ms + request.connection_ms == pytest.approx(0.25)
            assert request.service_ms == request.latency_ms - 0.25
            if order != "alike":
                number = latencies_ms.tolist().index(int(request.latency_ms))
                assert request.connection_ms == (0.1 if number % 2 else 0)
