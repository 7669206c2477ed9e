"""One bounded queue in front of the inference threads of a process.

A free thread takes the oldest request, and with it what else waits for the same model, up to the
largest batch; so none waits behind a slow one while a thread idles, and the tail is far shorter
than with one queue a thread. With a window, a batch that is not full waits for others until the
window, counted from its first arrival, is over.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future

from tailrace.errors import UsageError
from tailrace.models.model import Model
from tailrace.service.errors import (
    DeadlineError,
    NotReadyError,
    QueueFullError,
    RequestError,
)
from tailrace.service.inference import Observe, compute
from tailrace.service.stages import BATCH_WAIT, QUEUE
from tailrace.service.work import Queued, T, Ticket, Work

_Key = tuple[str, object]
# Oldest first; a dict, so that any can leave as fast from among 100,000 as from among 10.
_Group = OrderedDict[Queued, None]


class Batcher:
    """Inference threads and the queue before them. `put` may be called by any thread, the rest from
    one event loop."""

    def __init__(
        self,
        threads: int,
        queue: int,
        max_batch: int = 1,
        window_ns: int = 0,
        observe: Observe = lambda *_: None,
        observe_success: Observe = lambda *_: None,
        levels: Callable[[int, int, int], None] = lambda *_: None,
    ) -> None:
        """Of `threads`, once they are started; at most `queue` requests will wait for one of them.

        Tells `observe` the model and rows of each inference that begins, `observe_success` those
        of each that has succeeded, and `levels` how many requests wait,
        how many are worked on, and since when the inference runs that began first, in ns of
        CLOCK_MONOTONIC, 0 if none does; at each change, and all under a lock, so they had better
        be quick.
        """
        self._queue = queue
        self._max_batch = max_batch
        self._window_ns = window_ns
        self._observe = observe
        self._observe_success = observe_success
        self._note_levels = levels
        self._groups: dict[_Key, _Group] = {}
        self._waiting = 0
        self._running = 0
        self._began_ns: dict[int, int] = {}
        """By thread, those that began first first."""
        self._idle = threads
        self._idle_since_ns = time.monotonic_ns()
        self._watched = False
        self._closed = False
        self._changed = threading.Condition(threading.Lock())
        self._threads: list[threading.Thread] = []

    def start(self, warm_up: Callable[[], None] = lambda: None) -> None:
        """Starts the threads; each calls `warm_up` before it takes its first request, all of them
        at a time. Returns when all have. Until then requests wait.

        Each, since a runtime may keep something for each, as ONNX Runtime's on a card its handles
        of cuBLAS and cuDNN.

        Raises:
            UsageError: the machine does not give so many threads.
            Exception: what `warm_up` raises.
        """
        warm: list[Future[None]] = []
        try:
            for number in range(self._idle):
                warm.append(Future())
                thread = threading.Thread(
                    target=self._work,
                    args=(warm_up, warm[-1]),
                    name=f"inference-{number}",
                    daemon=True,
                )
                thread.start()
                self._threads.append(thread)
        except RuntimeError as error:
            self.close(0.0)
            raise UsageError(
                f"--concurrency {self._idle}: this machine gives one process "
                f"{len(self._threads)} threads"
            ) from error
        for done in warm:
            done.result()

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return self._waiting

    def submit(self, work: Work[T], deadline_ns: int | None = None) -> Ticket[T]:
        """Queues `work` for the next free thread; `deadline_ns`, of CLOCK_MONOTONIC, is when its
        client will no longer want it. `answer` of the ticket then has what it gives or raises.

        Raises:
            QueueFullError: the queue is full.
            DeadlineError: the deadline has passed.
            NotReadyError: the batcher is closed.
        """
        ticket = Ticket(work, deadline_ns)
        if ticket.overdue(ticket.arrived_ns):
            raise _late()
        self.put((ticket,))
        if deadline_ns is not None:
            left_s = (deadline_ns - ticket.arrived_ns) / 1e9
            loop = asyncio.get_running_loop()
            timer = loop.call_later(left_s, self.withdraw, ticket, _late())
            ticket.answer.add_done_callback(lambda _: timer.cancel())
        return ticket

    def put(self, arrivals: Sequence[Queued]) -> None:
        """Queues what arrives at one time, of one key, so that it can be one batch.

        Raises:
            QueueFullError: the queue has no room for all of it.
            NotReadyError: the batcher is closed.
        """
        with self._changed:
            if self._closed:
                raise _stopping()
            if self._waiting + len(arrivals) > self._queue + self._idle:
                raise QueueFullError("the queue is full: try again in a second")
            group = self._groups.setdefault(arrivals[0].key, _Group())
            for ticket in arrivals:
                group[ticket] = None
            self._waiting += len(arrivals)
            self._levels()
            # A thread that waits for the first window to end need not look at each arrival.
            if not self._watched or self._full(group):
                self._changed.notify(len(arrivals))

    def withdraw(self, ticket: Queued, error: RequestError) -> None:
        """Answers a ticket with `error`, unless its work has begun: then it goes on."""
        with self._changed:
            group = self._groups.get(ticket.key)
            if group is None or ticket not in group:
                return
            self._remove(ticket, group)
            self._levels()
        ticket.fail(error)

    def close(self, timeout_s: float) -> bool:
        """Drops what waits; returns whether what has begun came to its end within `timeout_s`."""
        with self._changed:
            self._closed = True
            dropped = [ticket for group in self._groups.values() for ticket in group]
            self._groups.clear()
            self._waiting = 0
            self._levels()
            self._changed.notify_all()
        for ticket in dropped:
            ticket.fail(_stopping())
        ends_s = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, ends_s - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self, warm_up: Callable[[], None], warm: Future[None]) -> None:
        try:
            warm_up()
        except Exception as error:  # noqa: BLE001 - told to whoever waits for it
            warm.set_exception(error)
            return
        warm.set_result(None)
        done = 0
        while batch := self._take(done):
            compute(
                batch,
                self._limit(batch[0].work.model),
                self._note_inference,
                self._note_success,
            )
            done = len(batch)
            # An idle thread would hold what the last requests sent until the next one comes.
            batch.clear()

    def _note_inference(self, model: Model, rows: int) -> None:
        with self._changed:
            self._observe(model, rows)
            self._note_beginning(time.monotonic_ns())
            self._levels()

    def _note_success(self, model: Model, rows: int) -> None:
        with self._changed:
            self._observe_success(model, rows)

    def _take(self, done: int) -> list[Queued]:
        # The next batch, once there is one; nothing when the batcher is closed.
        with self._changed:
            if done:
                self._running -= done
                del self._began_ns[threading.get_ident()]
                self._levels()
                if self._idle == 0:
                    self._idle_since_ns = time.monotonic_ns()
                self._idle += 1
            while not self._closed:
                now_ns = time.monotonic_ns()
                key, due_ns = self._oldest_due(now_ns)
                if key is None:
                    self._wait(None if due_ns is None else due_ns - now_ns)
                elif batch := self._pop(key, now_ns):
                    self._idle -= 1
                    if self._window_ns and self._groups:
                        # It may have been this thread that waited for the first window to end.
                        self._changed.notify()
                    return batch
        return []

    def _wait(self, due_in_ns: int | None) -> None:
        # A window that begins later ends later, so one thread that waits for the first is enough.
        if due_in_ns is None or self._watched:
            self._changed.wait()
            return
        self._watched = True
        self._changed.wait(due_in_ns / 1e9)
        self._watched = False

    def _oldest_due(self, now_ns: int) -> tuple[_Key | None, int | None]:
        # The group to take from, or when the first of them will be due.
        due: _Key | None = None
        due_arrived_ns = next_ns = None
        for key, group in self._groups.items():
            arrived_ns = next(iter(group)).arrived_ns
            ends_ns = arrived_ns + self._window_ns
            if ends_ns <= now_ns or self._full(group):
                if due_arrived_ns is None or arrived_ns < due_arrived_ns:
                    due, due_arrived_ns = key, arrived_ns
            elif next_ns is None or ends_ns < next_ns:
                next_ns = ends_ns
        return due, next_ns

    def _full(self, group: Iterable[Queued]) -> bool:
        rows = 0
        for ticket in group:
            rows += ticket.work.rows
            if rows >= self._limit(ticket.work.model):
                return True
        return False

    def _limit(self, model: Model) -> int:
        return min(self._max_batch, model.max_batch or self._max_batch)

    def _pop(self, key: _Key, now_ns: int) -> list[Queued]:
        # What the group has for one batch; nothing if the deadlines of all that is due are over.
        group = self._groups[key]
        # Until a thread was free it was the queue; what came after was the window.
        free_ns = self._idle_since_ns if self._window_ns else now_ns
        batch: list[Queued] = []
        rows = 0
        while group:
            ticket = next(iter(group))
            work = ticket.work
            if batch and rows + work.rows > self._limit(work.model):
                break
            self._remove(ticket, group)
            if ticket.overdue(now_ns):
                ticket.fail(_late())
                continue
            work.clock.end_at(QUEUE, free_ns)
            work.clock.end_at(BATCH_WAIT, now_ns)
            rows += work.rows
            batch.append(ticket)
        self._running += len(batch)
        if batch:
            self._note_beginning(now_ns)
        self._levels()
        return batch

    def _note_beginning(self, now_ns: int) -> None:
        thread = threading.get_ident()
        self._began_ns.pop(thread, None)
        self._began_ns[thread] = now_ns

    def _levels(self) -> None:
        began_ns = next(iter(self._began_ns.values()), 0)
        self._note_levels(self._waiting, self._running, began_ns)

    def _remove(self, ticket: Queued, group: _Group) -> None:
        del group[ticket]
        if not group:
            del self._groups[ticket.key]
        self._waiting -= 1


def _late() -> DeadlineError:
    return DeadlineError("the deadline passed before the request's turn came")


def _stopping() -> NotReadyError:
    return NotReadyError("the service is stopping")
