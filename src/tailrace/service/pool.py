"""One bounded queue in front of the inference threads of a process.

A free thread takes the oldest request, so none waits behind a slow one while a thread idles;
the tail is far shorter than with one queue a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from tailrace.service.errors import ClientGoneError, QueueFullError

T = TypeVar("T")


class Ticket(Generic[T]):
    """A request's place in the queue."""

    __slots__ = ("_answer", "_work")

    def __init__(self, answer: asyncio.Future[T], work: Future[T]) -> None:
        self._answer = answer
        self._work = work

    async def result(self) -> T:
        """What the work returned or raised.

        Raises:
            ClientGoneError: the ticket was abandoned.
        """
        try:
            return await self._answer
        finally:
            self._work.cancel()

    def abandon(self) -> None:
        """Gives the place up: work that has not begun never will."""
        self._work.cancel()
        if not self._answer.done():
            self._answer.set_exception(ClientGoneError("the client has gone"))


class Pool:
    """Inference threads and the queue before them. Used from one event loop only."""

    def __init__(self, threads: int, queue: int) -> None:
        """Starts no thread yet; at most `queue` requests will wait for one of `threads`."""
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="inference")
        self._threads = threads
        self._limit = threads + queue
        self._admitted = 0

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return max(0, self._admitted - self._threads)

    def submit(self, work: Callable[[], T]) -> Ticket[T]:
        """Queues `work` for the next free thread.

        Raises:
            QueueFullError: the queue is full.
        """
        if self._admitted >= self._limit:
            raise QueueFullError("the queue is full: try again in a second")
        self._admitted += 1
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        future = self._executor.submit(work)
        future.add_done_callback(lambda done: loop.call_soon_threadsafe(self._settle, answer, done))
        return Ticket(answer, future)

    def close(self) -> None:
        """Drops what waits, and waits for the inferences that have begun."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _settle(self, answer: asyncio.Future[T], done: Future[T]) -> None:
        self._admitted -= 1
        if answer.done():
            return
        if done.cancelled():
            answer.cancel()
        elif (error := done.exception()) is not None:
            answer.set_exception(error)
        else:
            answer.set_result(done.result())
