"""What a request wants of a model, and the ticket by which it waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from numpy.typing import NDArray

from tailrace.models.model import Model
from tailrace.service.stages import StageClock

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Tensors = Mapping[str, NDArray[Any]]


class Work(Protocol[T_co]):
    """What a request wants of a model. Its methods run on an inference thread."""

    @property
    def model(self) -> Model:
        """The model that computes it."""

    @property
    def clock(self) -> StageClock:
        """The request's stage clock."""

    @property
    def rows(self) -> int:
        """Size of its part of a batch."""

    @property
    def kind(self) -> object:
        """Works of one model that are equal in this, hashable, can be one batch: what they ask
        of the model has the same tensors and, but for the rows, the same shapes."""

    @property
    def outputs(self) -> Sequence[str]:
        """Names of the output tensors it needs."""

    def prepare(self) -> Tensors:
        """The input tensors, [rows, …] each, by name. Raises what is wrong with the request."""

    def finish(self, tensors: Sequence[NDArray[Any]]) -> T_co:
        """The answer, from its rows of each of `outputs`."""


class Queued(Protocol):
    """What waits in a queue until its work is done."""

    @property
    def work(self) -> Work[Any]:
        """What is to be done."""

    @property
    def key(self) -> tuple[str, object]:
        """Works that are equal in this can be one batch."""

    @property
    def arrived_ns(self) -> int:
        """When it came, in ns of CLOCK_MONOTONIC."""

    def overdue(self, now_ns: int) -> bool:
        """Whether nobody wants the answer any more."""

    def give(self, answer: Any) -> None:
        """Takes the answer; called once, from any thread, unless `fail` is."""

    def fail(self, error: Exception) -> None:
        """Takes why there is none."""


class Ticket(Generic[T]):
    """A request's place in the queue, for whoever awaits its answer on an event loop."""

    __slots__ = ("answer", "arrived_ns", "deadline_ns", "key", "work")

    def __init__(self, work: Work[T], deadline_ns: int | None) -> None:
        """Arrives now; to be made on the event loop."""
        self.work = work
        self.key: tuple[str, object] = (work.model.spec.name, work.kind)
        self.arrived_ns = time.monotonic_ns()
        self.deadline_ns = deadline_ns
        """When, on CLOCK_MONOTONIC, the client will no longer want it."""
        self.answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def overdue(self, now_ns: int) -> bool:
        """Whether the deadline has passed."""
        return self.deadline_ns is not None and self.deadline_ns <= now_ns

    def give(self, answer: T) -> None:
        """Sets the answer, from any thread."""
        self._settle(answer, None)

    def fail(self, error: Exception) -> None:
        """Sets what `answer` raises, from any thread."""
        self._settle(None, error)

    def _settle(self, answer: T | None, error: Exception | None) -> None:
        loop = self.answer.get_loop()
        # A loop that has ended has nobody left to tell.
        if not loop.is_closed():
            loop.call_soon_threadsafe(_set, self.answer, answer, error)


def _set(future: asyncio.Future[Any], answer: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(answer)
