"""A load worker's keep-alive connections to one endpoint, grown as the schedule needs them.

Nothing here may hold the schedule up. A request finds an idle connection, or has one opened, or,
at the cap, waits its turn in order, with its latency still counted from the intended time.
"""

import asyncio
import errno
from array import array
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from time import monotonic_ns

from tailrace.load.client.connection import Connection
from tailrace.load.client.dialer import Dialer
from tailrace.load.client.expect import (
    ANY_2XX,
    CheckedConnection,
    Expect,
    SampledCheckedConnection,
    SampledConnection,
    good_statuses,
    look_into,
)
from tailrace.load.measure.failures import connect_reason
from tailrace.load.measure.recorder import LAST_ROW, Recorder

_DIALS_AT_ONCE = 128
"""Connections opened at the same time: more would only fill the server's queue."""

_Waiting = tuple[int, bytes, int, int, "array[int]"]
"""Intended time, content, manner (`Request.manner`); since when it waits, in ns, and where in the
recorder it is noted for how long."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many connections, and how long each part of a request may take.

    `timeout_s` counts from the intended time, the others from the instant they are named after.
    """

    connections: int
    timeout_s: float
    connect_s: float
    first_byte_s: float

    @property
    def shortest_s(self) -> float:
        """The least time after which an answer is late."""
        return min(self.timeout_s, self.first_byte_s)


class Pool:
    """Connections to one endpoint.

    Of the idle ones a request takes that which was used last (`lifo`), that which has been idle
    for longest (`fifo`), or, of those to the address whose turn it is, the one idle for longest
    (`spread`): so each of a name's addresses gets as many requests as the others.

    Every request ends in exactly one of: a row in the recorder (answered, status 2xx), or a
    failure with its reason, as tailrace.load.measure.failures has them.
    """

    def __init__(
        self,
        dialer: Dialer,
        recorder: Recorder,
        limits: PoolLimits,
        expect: Expect = ANY_2XX,
        reuse: str = "spread",
        target: int = 0,
    ) -> None:
        self.recorder = recorder
        self.target = target
        self.good = good_statuses(expect.status)
        self._check = look_into(expect)
        self.completed = 0
        self.cap_waits = 0
        """Requests that found every connection busy and no room for another."""
        self.port_exhausted = 0
        """Connections that failed because this machine had no local port left for them."""
        self.open: set[Connection] = set()
        self.waiting: deque[_Waiting] = deque()
        self._dialer = dialer
        self._limits = limits
        self._timeout_ns = int(limits.timeout_s * 1e9)
        self._first_byte_ns = int(limits.first_byte_s * 1e9)
        self._reuse = reuse
        self._shelves: dict[str, deque[Connection]] = {}
        """All idle connections; by address, if requests are spread over these."""
        self._idle = deque[Connection]() if reuse == "spread" else self._shelf("")
        """What the next request takes its connection from."""
        self._turns: Iterator[tuple[str, deque[Connection]]] | None = None
        """Addresses and shelves in turn, where there are several."""
        self._in_turn: list[str] = []
        self._gone: Counter[str] = Counter()
        """Requests by address, of connections that are no more."""
        self._dialing: set[asyncio.Task[None]] = set()
        self._unreached: str | None = "connect: timed out"
        """Why the last attempt at a connection failed; None if it did not."""
        self._closed = False

    @property
    def counts(self) -> dict[str, int]:
        """What it has counted, as a measurement calls it."""
        return {
            "completed": self.completed,
            "cap_waits": self.cap_waits,
            "port_exhausted": self.port_exhausted,
        }

    @property
    def in_flight(self) -> int:
        """Requests sent and not answered yet."""
        return sum(connection.intended != 0 for connection in self.open)

    @property
    def sent(self) -> Counter[str]:
        """Requests by where they were sent."""
        sent = Counter(self._gone)
        for connection in self.open:
            sent[connection.address] += connection.sent
        return Counter({self._dialer.place(address): count for address, count in sent.items()})

    def send(self, intended_ns: int, request: bytes, manner: int) -> None:
        """Send a request whose intended time was `intended_ns` (CLOCK_MONOTONIC)."""
        first = None
        if self._turns is not None:
            first, self._idle = next(self._turns)
        idle = self._idle
        while idle:
            connection = idle.popleft()
            # One that the server has closed meanwhile takes no byte: the next one, then.
            if not connection.lost:
                connection.send(intended_ns, request, manner)
                return
        recorder = self.recorder
        is_full = len(self.open) + len(self._dialing) >= self._limits.connections
        if is_full and len(self._shelves) > 1 and (spare := self._spare()) is not None:
            spare.send(intended_ns, request, manner)
            return
        now = monotonic_ns()
        row = recorder.lag_row
        recorder.send_lags[row] = now - intended_ns
        recorder.lag_row = row + 1
        if row == LAST_ROW:
            recorder.fold()
        if is_full:
            self.waiting.append((intended_ns, request, manner, now, recorder.connection_waits))
            self.cap_waits += 1
        else:
            self.waiting.append((intended_ns, request, manner, now, recorder.connects))
            self._grow(first)

    def made(self, connection: Connection) -> None:
        """A connection is open: it takes the oldest request that waits."""
        if self._closed:
            connection.transport.abort()
            return
        self._unreached = None
        self.open.add(connection)
        self._take_turns()
        shelf = self._shelf(connection.address)
        connection.rest = shelf.appendleft if self._reuse == "lifo" else shelf.append
        self.free(connection)

    def free(self, connection: Connection) -> None:
        """Give a connection that has nothing to do the oldest request that waits, or let it
        idle.
        """
        if self.waiting:
            connection.send(*self.waiting.popleft())
        else:
            connection.rest(connection)

    def again(
        self, intended_ns: int, request: bytes, manner: int, asked_ns: int, waits: "array[int]"
    ) -> None:
        """Send a request once more that a connection was closed to: before all others."""
        self.waiting.appendleft((intended_ns, request, manner, asked_ns, waits))
        if self._closed:
            self._fail_next("aborted")

    def forget(self, connection: Connection) -> None:
        """A connection is gone; open another if requests wait for one."""
        if connection in self.open:
            self.open.remove(connection)
            self._gone[connection.address] += connection.sent
            self._grow()

    def expire(self, now_ns: int) -> None:
        """End every request whose time is up; to be called a few times a second."""
        self._dialer.refresh()
        self._take_turns()
        for shelf in self._shelves.values():
            alive = [connection for connection in shelf if not connection.lost]
            if len(alive) < len(shelf):
                shelf.clear()
                shelf.extend(alive)
        oldest = now_ns - self._timeout_ns
        while self.waiting and self.waiting[0][0] < oldest:
            # Without any connection it is not for the others that it waited.
            unreached = None if self.open else self._unreached
            self._fail_next(unreached or "timeout: no connection was free")
        silent = now_ns - self._first_byte_ns
        late = [
            connection
            for connection in self.open
            if connection.intended
            and (
                connection.intended < oldest
                or (connection.sent_ns < silent and not connection.answering)
            )
        ]
        for connection in late:
            connection.fail(
                "timeout: the answer broke off" if connection.answering else "timeout: no answer"
            )

    def close(self) -> None:
        """End everything now; requests without an answer count as `aborted`."""
        self._closed = True
        for task in self._dialing:
            task.cancel()
        while self.waiting:
            self._fail_next("aborted")
        for connection in list(self.open):
            if connection.intended:
                connection.fail("aborted")
            connection.transport.abort()

    def _shelf(self, address: str) -> "deque[Connection]":
        return self._shelves.setdefault(address if self._reuse == "spread" else "", deque())

    def _spare(self) -> Connection | None:
        """An idle connection to an address whose turn it is not."""
        for shelf in self._shelves.values():
            while shelf:
                connection = shelf.popleft()
                if not connection.lost:
                    return connection
        return None

    def _take_turns(self) -> None:
        """Spread requests over the addresses that can be used now."""
        addresses = self._dialer.usable
        if self._reuse == "spread" and addresses and addresses != self._in_turn:
            self._in_turn = addresses
            shelves = [(address, self._shelf(address)) for address in addresses]
            self._turns = cycle(shelves) if len(shelves) > 1 else None
            self._idle = shelves[0][1]

    def _grow(self, first: str | None = None) -> None:
        dialing = len(self._dialing)
        if (
            dialing < len(self.waiting)
            and dialing < _DIALS_AT_ONCE
            and len(self.open) + dialing < self._limits.connections
            and not self._closed
        ):
            task = asyncio.get_running_loop().create_task(self._dial(first))
            self._dialing.add(task)
            task.add_done_callback(self._dialed)

    def _dialed(self, task: asyncio.Task[None]) -> None:
        self._dialing.discard(task)
        # Below the cap, the next request in line has its own try.
        self._grow()

    async def _dial(self, first: str | None) -> None:
        """Open a connection; where that fails it costs the oldest request that waits."""
        try:
            await self._dialer.dial(self._connection, self._limits.connect_s, first)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                self.port_exhausted += 1
            self._unreached = connect_reason(error)
            if self.waiting:
                self._fail_next(self._unreached)

    def _fail_next(self, reason: str) -> None:
        """The oldest request that waits is not sent any more."""
        intended_ns = self.waiting.popleft()[0]
        self.recorder.fail(reason)
        if self.recorder.samples is not None:
            self.recorder.samples.fail(reason, intended_ns, monotonic_ns(), self.target)

    def _connection(self, address: str) -> Connection:
        is_sampled = self.recorder.samples is not None
        if self._check is None:
            return (SampledConnection if is_sampled else Connection)(self, address)
        kind = SampledCheckedConnection if is_sampled else CheckedConnection
        return kind(self, address, self._check)
