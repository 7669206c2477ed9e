import pytest

from tailrace.load.histogram import Histogram
from tailrace.load.recorder import Recorder


def stages(header: bytes) -> dict[str, float]:
    """Stage durations in ms that a Server-Timing header is read as."""
    recorder = Recorder()
    recorder.record_stages(header)
    packed = recorder.take()[4]
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


def test_take_starts_afresh() -> None:
    recorder = Recorder()
    recorder.fail("reset")
    recorder.record_stages(b"a;dur=1")
    recorder.send_lags[0] = 5000
    recorder.lag_row = 1
    failed, _, _, lag, taken = recorder.take()
    assert failed == {"reset": 1}
    assert set(taken) == {"a"}
    histogram = Histogram()
    histogram.add_packed(lag)
    assert histogram.total == 1
    failed, _, _, lag, taken = recorder.take()
    assert (failed, taken) == ({}, {})
    histogram = Histogram()
    histogram.add_packed(lag)
    assert histogram.total == 0
