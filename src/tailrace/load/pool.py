"""A load worker's keep-alive connections to one endpoint, grown as the schedule needs them.

Nothing here may hold the schedule up. A request finds an idle connection, or has one opened, or,
at the cap, waits its turn in order, with its latency still counted from the intended time.
"""

import asyncio
import errno
from array import array
from collections import deque
from dataclasses import dataclass
from time import monotonic_ns

from tailrace.load.checked import CheckedConnection
from tailrace.load.connection import Connection
from tailrace.load.dialer import Dialer
from tailrace.load.expect import ANY_2XX, Expect, good_statuses, look_into
from tailrace.load.failures import connect_reason
from tailrace.load.recorder import Recorder

_DIALS_AT_ONCE = 128
"""Connections opened at the same time: more would only fill the server's backlog."""

_Waiting = tuple[int, bytes, bool, int, "array[int]"]
"""Intended time, content, whether its answer has no body; since when it waits, in ns, and where in
the recorder it is noted for how long."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections, and how long each part of a request may take.

    `timeout_s` counts from the intended time, the others from the instant they are named after.
    """

    connections: int
    timeout_s: float
    connect_timeout_s: float
    first_byte_timeout_s: float


class Pool:
    """Connections to one endpoint, the one used last first.

    Every request ends in exactly one of: a row in the recorder (answered, status 2xx), or a
    failure for one reason.
    """

    def __init__(
        self, dialer: Dialer, recorder: Recorder, limits: Limits, expect: Expect = ANY_2XX
    ) -> None:
        self.recorder = recorder
        self.good = good_statuses(expect.status)
        self._check = look_into(expect)
        self.sent = 0
        self.completed = 0
        self.cap_waits = 0
        """Requests that found every connection busy and no room for another."""
        self.port_exhausted = 0
        """Connections that failed because this machine had no local port left for them."""
        self.open: set[Connection] = set()
        self.waiting: deque[_Waiting] = deque()
        self._idle: list[Connection] = []
        self._dialer = dialer
        self._limits = limits
        self._timeout_ns = int(limits.timeout_s * 1e9)
        self._first_byte_ns = int(limits.first_byte_timeout_s * 1e9)
        self._dialing: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def in_flight(self) -> int:
        """Requests sent and not answered yet."""
        return sum(connection.intended != 0 for connection in self.open)

    def send(self, intended_ns: int, request: bytes, no_body: bool) -> None:
        """Send a request whose intended time was `intended_ns` (CLOCK_MONOTONIC)."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            # One that the server has closed meanwhile takes no byte: the next one, then.
            if not connection.lost:
                connection.send(intended_ns, request, no_body)
                return
        now = monotonic_ns()
        recorder = self.recorder
        if len(self.open) + len(self._dialing) >= self._limits.connections:
            self.waiting.append((intended_ns, request, no_body, now, recorder.connection_waits))
            self.cap_waits += 1
        else:
            self.waiting.append((intended_ns, request, no_body, now, recorder.connects))
            self._grow()

    def made(self, connection: Connection) -> None:
        """A connection is open: it takes the oldest request that waits."""
        self.open.add(connection)
        self.free(connection)

    def free(self, connection: Connection) -> None:
        """Give a connection that has nothing to do the oldest request that waits, or let it
        idle.
        """
        if self.waiting:
            connection.send(*self.waiting.popleft())
        else:
            self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        """A connection is gone; open another if requests wait for one."""
        self.open.discard(connection)
        self._grow()

    def expire(self, now_ns: int) -> None:
        """End every request whose time is up; to be called a few times a second."""
        oldest = now_ns - self._timeout_ns
        self._idle = [connection for connection in self._idle if not connection.lost]
        while self.waiting and self.waiting[0][0] < oldest:
            self.waiting.popleft()
            # With no connection at all the server has not even taken one.
            self.recorder.fail(
                "timeout: no connection was free" if self.open else "connect: timed out"
            )
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
            self.waiting.popleft()
            self.recorder.fail("aborted")
        for connection in list(self.open):
            if connection.intended:
                connection.fail("aborted")
            connection.transport.abort()

    def _grow(self) -> None:
        dialing = len(self._dialing)
        if (
            dialing < len(self.waiting)
            and dialing < _DIALS_AT_ONCE
            and len(self.open) + dialing < self._limits.connections
            and not self._closed
        ):
            task = asyncio.get_running_loop().create_task(self._dial())
            self._dialing.add(task)
            task.add_done_callback(self._dialed)

    def _dialed(self, task: asyncio.Task[None]) -> None:
        self._dialing.discard(task)
        # Below the cap, the next request in line has its own try.
        self._grow()

    def _connection(self) -> Connection:
        return Connection(self) if self._check is None else CheckedConnection(self, self._check)

    async def _dial(self) -> None:
        try:
            async with asyncio.timeout(self._limits.connect_timeout_s):
                await self._dialer.dial(self._connection)
        except (OSError, TimeoutError, UnicodeError) as error:
            if isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL:
                self.port_exhausted += 1
            if self.waiting:
                self.waiting.popleft()
                self.recorder.fail(connect_reason(error))
