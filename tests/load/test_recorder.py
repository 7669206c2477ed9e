import numpy as np
import pytest

from tailrace.load.histogram import Histogram
from tailrace.load.recorder import ROWS, Recorder, read_stages


def stages(header: bytes) -> dict[str, float]:
    """Stage durations in ms that a Server-Timing header is read as."""
    recorder = Recorder()
    read_stages(header, recorder.stages)
    packed = recorder.take(0).stages
    found = {}
    for name, data in packed.items():
        histogram = Histogram()
        histogram.add_packed(data)
        found[name] = histogram.sum_ns / 1e6
    return found


@pytest.mark.parametrize(
    ("header", "durations"),
    [
        (b"queue;dur=1.5, infer;dur=20", {"queue": 1.5, "infer": 20}),
        (b'infer;desc="model; one";dur=3', {"infer": 3}),
        (b'infer;dur=3;desc="model"', {"infer": 3}),
        (b"miss, db;dur=x, ok;dur=0.001", {"ok": 0.001}),
        (b"big;dur=1e400, \xff;dur=1, =;;,", {}),
        (b"", {}),
    ],
)
def test_server_timing(header: bytes, durations: dict[str, float]) -> None:
    found = stages(header)
    assert found == pytest.approx(durations)


def test_a_duration_beyond_any_clock_is_passed_over() -> None:
    assert stages(b"long;dur=1e20, ok;dur=2") == {"ok": 2}


def answer(recorder: Recorder, intended: int, sent: int, done: int, timing: bytes | None) -> None:
    """One answered request, written down as a connection does."""
    row = recorder.row
    recorder.intended[row] = intended
    recorder.sent[row] = sent
    recorder.done[row] = done
    if timing is not None:
        recorder.timings[row] = timing
    recorder.row = row + 1
    if recorder.row == ROWS:
        recorder.fold()


def test_take_starts_afresh() -> None:
    recorder = Recorder()
    recorder.fail("reset")
    read_stages(b"a;dur=1", recorder.stages)
    recorder.send_lags[0] = 5000
    recorder.lag_row = 1
    answer(recorder, 10, 20, 5000, b"a;dur=1")
    recorded = recorder.take(0)
    assert recorded.failed == {"reset": 1}
    assert set(recorded.stages) == {"a"}
    assert total(recorded.send_lag) == total(recorded.latency) == total(recorded.service) == 1
    assert len(recorded.slowest) == 1
    recorded = recorder.take(0)
    assert (recorded.failed, recorded.stages, recorded.slowest) == ({}, {}, [])
    assert total(recorded.send_lag) == total(recorded.latency) == total(recorded.service) == 0


def total(packed: bytes) -> int:
    histogram = Histogram()
    histogram.add_packed(packed)
    return histogram.total


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
            answer(recorder, intended, intended + 250_000, intended + latency_ms * 10**6, timing)
        slowest = recorder.take(10**9).slowest
        expected = sorted(latencies_ms.tolist(), reverse=True)[:5]
        assert [request.latency_ms for request in slowest] == expected
        for request in slowest:
            stages_ms = {"infer": request.latency_ms / 2} if request.latency_ms % 2 else {}
            assert request.stages_ms == stages_ms
            assert request.send_lag_ms == 0.25
            assert request.service_ms == request.latency_ms - 0.25
            if order != "alike":
                number = latencies_ms.tolist().index(int(request.latency_ms))
                assert request.t_s == pytest.approx(number / 1000)
