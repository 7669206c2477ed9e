"""Has the fault of a service's configuration happen to some of its calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Generic

from numpy.typing import NDArray

from tailrace.service.calls import Answer, Answerer, Call
from tailrace.service.fault import Fault
from tailrace.service.stages import (
    BATCH_WAIT,
    DECODE,
    INFER,
    POSTPROCESS,
    PREPROCESS,
    QUEUE,
    RECEIVE,
    SEND,
    STAGES,
    StageClock,
)
from tailrace.service.work import T, Work

_ON_A_THREAD = (DECODE, PREPROCESS, INFER, POSTPROCESS)


class Faults:
    """Has a fault happen to every so many of a process's calls, evenly spread."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._stage = STAGES.index(fault.stage)
        self._due = 0.0

    def around(self, answerer: Answerer) -> Answerer:
        """`answerer`, but for the delays."""

        async def answer(call: Call) -> Answer:
            self._due += self._fault.share
            if self._due < 1:
                return await answerer(call)
            self._due -= 1
            call.clock = _SlowClock(self._stage, self._fault.delay_s)
            if self._stage == RECEIVE:
                await asyncio.sleep(self._fault.delay_s)
            answered = await answerer(call)
            if self._stage == SEND:
                await asyncio.sleep(self._fault.delay_s)
            return answered

        return answer

    async def before_queue(self, work: Work[T]) -> Work[T]:
        """What is to be queued for `work`, when it is its time."""
        if not isinstance(work.clock, _SlowClock):
            return work
        if self._stage == QUEUE:
            await asyncio.sleep(self._fault.delay_s)
        return _HeldUp(work, self._fault.delay_s) if self._stage == BATCH_WAIT else work


class _SlowClock(StageClock):
    """The clock of a request that a fault befalls: on an inference thread, the end of the faulty
    stage is a while in coming."""

    __slots__ = ("_delay_s", "_slow")

    def __init__(self, slow: int, delay_s: float) -> None:
        super().__init__()
        self._slow = slow
        self._delay_s = delay_s

    def end(self, stage: int) -> None:
        if stage == self._slow and stage in _ON_A_THREAD:
            time.sleep(self._delay_s)
        super().end(stage)


class _HeldUp(Generic[T]):
    """Work that waits on its inference thread before it begins, as it would for others' of its
    batch. See Work."""

    def __init__(self, work: Work[T], delay_s: float) -> None:
        self.model = work.model
        self.clock = work.clock
        self.rows = work.rows
        self.kind = work.kind
        self.outputs = work.outputs
        self.finish = work.finish
        self._prepare = work.prepare
        self._delay_s = delay_s

    def prepare(self) -> Mapping[str, NDArray[Any]]:
        time.sleep(self._delay_s)
        self.clock.end(BATCH_WAIT)
        return self._prepare()
