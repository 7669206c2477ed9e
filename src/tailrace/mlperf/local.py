"""The system under test within this process: the service's queue, threads and batches, no HTTP."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
from numpy.typing import NDArray

from tailrace.mlperf.records import record
from tailrace.mlperf.system import Query, Record, Sink
from tailrace.models import model as models
from tailrace.models.model import Model
from tailrace.service.batcher import Batcher
from tailrace.service.config import ServiceConfig
from tailrace.service.errors import NotReadyError
from tailrace.service.slices import shorten_time_slice
from tailrace.service.stages import DECODE, PREPROCESS, StageClock

_CLOSE_WAIT_S = 0.5


class LocalSystem:
    """A model behind a queue without an end. See System."""

    def __init__(self, config: ServiceConfig, say: Callable[[str], None] = lambda _: None) -> None:
        """Loads the one model of `config`; of its other settings, those of computing count.

        Raises:
            UsageError: something asked for cannot be.
            TailraceError: the model cannot be loaded.
        """
        # The process is the system's own, as a worker of the service is.
        cv2.setNumThreads(1)
        shorten_time_slice()
        ((spec, file),) = config.files(say)
        self.model = models.load(spec, file, config.options, config.is_twin(spec))
        config.check_batch([self.model])
        self._batcher = Batcher(
            config.threads, sys.maxsize, config.max_batch, int(config.batch_window_s * 1e9)
        )

        def warm_up() -> None:
            for batch in range(1, config.max_batch + 1):
                self.model.warm_up(batch)

        self._batcher.start(warm_up)
        notice = f" ({self.model.notice})" if self.model.notice else ""
        self._name = (
            f"Tailrace {spec.name} {config.runtime} {self.model.runtime.device}, "
            f"{config.threads} threads, batches of {config.max_batch}{notice}"
        )

    def name(self) -> str:
        """See System."""
        return self._name

    def issue(self, queries: Sequence[Query], sink: Sink) -> None:
        """See System."""
        arrivals = [_Ticket(_SampleWork(self.model, query), query.id, sink) for query in queries]
        try:
            self._batcher.put(arrivals)
        except NotReadyError as error:
            for ticket in arrivals:
                ticket.fail(error)

    def close(self) -> None:
        """See System."""
        self._batcher.close(_CLOSE_WAIT_S)


class _SampleWork:
    """What is in one sample. See `tailrace.service.work.Work`."""

    __slots__ = ("_sample", "clock", "model", "outputs")
    rows = 1
    kind = "sample"

    def __init__(self, model: Model, query: Query) -> None:
        self.model = model
        self.clock = StageClock()
        self.outputs = model.format.outputs
        self._sample = query.sample

    def prepare(self) -> Mapping[str, NDArray[Any]]:
        """See Work.

        Raises:
            ImageError: it is no picture that can be decoded.
        """
        tensor = self._sample.content
        if isinstance(tensor, bytes):
            image = self.model.decode(tensor)
            self.clock.end(DECODE)
            tensor = self.model.preprocess(image)
            self.clock.end(PREPROCESS)
        return {self.model.format.input.name: tensor}

    def finish(self, tensors: Sequence[NDArray[Any]]) -> Record:
        """The answer, as the accuracy log has it."""
        sample = self._sample
        found = self.model.postprocess(tensors, sample.width_px, sample.height_px)
        return record(sample, found)


class _Ticket:
    """A query's place in the queue. See `tailrace.service.work.Queued`."""

    __slots__ = ("_id", "_sink", "arrived_ns", "key", "work")

    def __init__(self, work: _SampleWork, query_id: int, sink: Sink) -> None:
        self.work = work
        self.key: tuple[str, object] = (work.model.spec.name, work.kind)
        self.arrived_ns = work.clock.began_ns
        self._id = query_id
        self._sink = sink

    def overdue(self, now_ns: int) -> bool:
        """Never: LoadGen waits for every answer."""
        return False

    def give(self, answer: Record) -> None:
        """See Queued."""
        self._sink.complete(self._id, answer)

    def fail(self, error: Exception) -> None:
        """See Queued."""
        self._sink.fail(self._id, f"{type(error).__name__}: {error}")
