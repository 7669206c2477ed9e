"""The system in process: the answers are the model's own, and a failure is one sample's."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import pytest

from tailrace.datasets.shapes import HELD_OUT_SEEDS, draw_scene
from tailrace.errors import UsageError
from tailrace.mlperf import calibration
from tailrace.mlperf.local import LocalSystem
from tailrace.mlperf.records import record
from tailrace.mlperf.samples import SampleLibrary
from tailrace.mlperf.system import Payload, Query, Record, Sample, Sink
from tailrace.service.config import ServiceConfig
from tests.kit.waiting import TIMEOUT_S


class Collected:
    """A sink that waits for so many answers."""

    def __init__(self, expected: int) -> None:
        self.records: dict[int, Record] = {}
        self.failures: dict[int, str] = {}
        self._left = expected
        self._lock = threading.Lock()
        self._all = threading.Event()

    def complete(self, query_id: int, record: Record) -> None:
        self.records[query_id] = record
        self._count()

    def fail(self, query_id: int, reason: str) -> None:
        self.failures[query_id] = reason
        self._count()

    def wait(self) -> Collected:
        assert self._all.wait(TIMEOUT_S), f"{self._left} are left"
        return self

    def _count(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self._all.set()


def _scene(index: int) -> bytes:
    image = cv2.cvtColor(draw_scene(HELD_OUT_SEEDS[index]).image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", image)[1].tobytes()


@pytest.fixture(scope="module")
def shapes() -> Iterator[LocalSystem]:
    system = LocalSystem(ServiceConfig(models=("shapes",), concurrency=2, max_batch=4))
    yield system
    system.close()


@pytest.mark.parametrize("payload", ["picture", "tensor"])
def test_answers_are_the_models(shapes: LocalSystem, payload: Payload) -> None:
    model = shapes.model
    library = SampleLibrary(12, _scene, model.format, payload)
    library.load(range(12))
    sink = Collected(48)
    queries = [Query(100 + i, library[i % 12]) for i in range(48)]
    for first in range(0, 48, 8):
        shapes.issue(queries[first : first + 8], sink)
    sink.wait()
    assert not sink.failures
    for query in queries:
        image = model.decode(_scene(query.sample.index))
        found = model.postprocess(model.infer(model.preprocess(image)), 300, 300)
        wanted = record(query.sample, found)
        got = sink.records[query.id]
        assert got.shape == wanted.shape
        # In a batch, sums round in another order.
        np.testing.assert_allclose(got, wanted, atol=1e-4)
        assert (got[:, 0] == query.sample.index).all()


def test_a_bad_sample_fails_alone(shapes: LocalSystem) -> None:
    library = SampleLibrary(4, _scene, shapes.model.format, "tensor")
    library.load(range(4))
    bad = Sample(9, 300, 300, np.zeros((1, 4, 4, 3), np.uint8))
    sink = Collected(5)
    samples = [library[0], library[1], bad, library[2], library[3]]
    shapes.issue([Query(i, sample) for i, sample in enumerate(samples)], sink)
    sink.wait()
    assert sorted(sink.records) == [0, 1, 3, 4]
    assert list(sink.failures) == [2]
    assert sink.failures[2].startswith("RuntimeFailedError: ")


def test_pictures_that_are_none_fail(shapes: LocalSystem) -> None:
    sink = Collected(1)
    shapes.issue([Query(1, Sample(0, 1, 1, b"no picture"))], sink)
    assert "not a JPEG or PNG" in sink.wait().failures[1]


def test_a_queue_without_an_end() -> None:
    """More at once than any service would take: none is refused."""
    system = LocalSystem(ServiceConfig(models=("null",), concurrency=1))
    sample = Sample(0, 1, 1, b"x")
    sink = Collected(50_000)
    system.issue([Query(i, sample) for i in range(50_000)], sink)
    assert len(sink.wait().records) == 50_000
    system.close()
    late = Collected(1)
    system.issue([Query(1, sample)], late)
    assert "stopping" in late.wait().failures[1]


def test_its_name_says_what_it_is() -> None:
    system = LocalSystem(ServiceConfig(models=("null",), concurrency=3, max_batch=2))
    assert system.name() == "Tailrace null onnx cpu, 3 threads, batches of 2"
    system.close()


def test_a_batch_the_file_does_not_take() -> None:
    with pytest.raises(UsageError, match="needs its file"):
        LocalSystem(ServiceConfig(models=("retinanet",), max_batch=2))


class Paced:
    """A system that takes 20 ms a sample, four at a time."""

    def __init__(self) -> None:
        self._free = threading.Semaphore(4)

    def name(self) -> str:
        return "paced"

    def issue(self, queries: Sequence[Query], sink: Sink) -> None:
        for query in queries:
            threading.Thread(target=self._answer, args=(query, sink), daemon=True).start()

    def close(self) -> None:
        pass

    def _answer(self, query: Query, sink: Sink) -> None:
        with self._free:
            time.sleep(0.02)
        sink.complete(query.id, np.zeros(0, np.float32))


def test_estimates() -> None:
    """Whatever else the machine does, a system is not taken to be faster than it is."""
    samples = [Sample(i, 1, 1, b"") for i in range(4)]
    alone = calibration.measure(Paced(), samples, 8, 1, 0.3)
    assert 0.02 <= alone.query_s < TIMEOUT_S
    assert 1 < alone.samples_per_s <= 4 / 0.02
    # A query of five samples takes two turns.
    assert calibration.measure(Paced(), samples, 8, 5, 0.1).query_s >= 0.04


class Hasty(Paced):
    """Answers one query at a time, and fails where there are more."""

    def issue(self, queries: Sequence[Query], sink: Sink) -> None:
        if len(queries) > 1:
            sink.fail(queries[0].id, "too many")
        else:
            super().issue(queries, sink)


def test_a_failure_under_load_ends_the_measuring_at_once() -> None:
    began_s = time.process_time()
    with pytest.raises(calibration.SampleFailedError, match="cannot be answered: too many"):
        calibration.measure(Hasty(), [Sample(0, 1, 1, b"")], 8, 1, 0.05)
    # It does not spin for as long as it would wait for answers, a minute.
    assert time.process_time() - began_s < 10


def test_a_system_that_fails_is_not_measured(shapes: LocalSystem) -> None:
    good, bad = (Sample(9, 300, 300, np.zeros((1, n, n, 3), np.uint8)) for n in (300, 4))
    with pytest.raises(calibration.SampleFailedError, match="cannot be answered: RuntimeFailed"):
        calibration.try_out(shapes, bad)
    with pytest.raises(calibration.SampleFailedError, match="cannot be answered: RuntimeFailed"):
        calibration.measure(shapes, [good, bad], 4, 1, 0.1)
