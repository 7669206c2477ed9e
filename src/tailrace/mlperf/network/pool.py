"""A node's keep-alive connections, grown as requests need them; all on one event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from time import monotonic_ns

from tailrace.load.client.dialer import Dialer
from tailrace.load.measure.failures import connect_reason
from tailrace.mlperf.network.answer import Answer, ExchangeError, Failure
from tailrace.mlperf.network.exchange import Buffers, Connection, Exchange

_DIALS_AT_ONCE = 128
"""Connections opened at the same time: more would only fill the server's queue."""
_LONGEST_DIAL_S = 10.0
_WATCH_S = 0.2
"""How often requests are looked at for whether their time is up."""

UNSENT = Failure("aborted", "the test ended before it was sent")
"""Why a request fails that never left."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections there may be, and how long an answer may take once its request is on
    the wire."""

    connections: int
    timeout_s: float


class Pool:
    """Connections to one node, the one used last first; to be used on its event loop alone.

    Whatever finds no connection free waits, in order, for as long as it takes.
    """

    def __init__(
        self, dialer: Dialer, authority: str, limits: Limits, keep_alive: bool = True
    ) -> None:
        """`authority` is host:port, as failures name the node; without `keep_alive` the requests
        say `Connection: close`."""
        self.authority = authority
        self.keep_alive = keep_alive
        self.open: set[Connection] = set()
        self.waiting: deque[Exchange] = deque()
        self._idle: list[Connection] = []
        self._dialer = dialer
        self._limits = limits
        self._timeout_ns = int(limits.timeout_s * 1e9)
        self._dialing: set[asyncio.Task[None]] = set()
        self._watch: asyncio.TimerHandle | None = None
        self._closed = False

    def send(self, exchange: Exchange) -> None:
        """Sends a request as soon as a connection is free."""
        if self._closed:
            exchange.failed(UNSENT)
            return
        idle = self._idle
        while idle:
            connection = idle.pop()
            # One that the server has closed meanwhile takes no byte: the next one, then.
            if not connection.lost:
                connection.send(exchange)
                return
        self.waiting.append(exchange)
        self._grow()

    async def ask(self, request: bytes) -> Answer:
        """The answer to a request, whatever its status.

        Raises:
            ExchangeError: there is none.
        """
        asked = _Asked(request)
        self.send(asked)
        return await asked.answer

    def made(self, connection: Connection) -> None:
        """A connection is open: it takes the oldest request that waits."""
        if self._closed:
            connection.transport.abort()
            return
        self.open.add(connection)
        if self._watch is None:
            self._watch_later()
        self.free(connection)

    def free(self, connection: Connection) -> None:
        """Gives a connection the oldest request that waits, or lets it idle."""
        if self.waiting:
            connection.send(self.waiting.popleft())
        else:
            self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        """A connection is gone; opens another if requests wait for one."""
        self.open.discard(connection)
        self._grow()

    def close(self) -> None:
        """Ends everything now; requests without an answer fail as `aborted`."""
        self._closed = True
        if self._watch is not None:
            self._watch.cancel()
        for task in self._dialing:
            task.cancel()
        while self.waiting:
            self.waiting.popleft().failed(UNSENT)
        for connection in list(self.open):
            connection.fail("aborted", "had not answered when the test ended")

    def _watch_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._watch = loop.call_later(min(_WATCH_S, self._limits.timeout_s / 4), self._expire)

    def _expire(self) -> None:
        oldest = monotonic_ns() - self._timeout_ns
        self._idle = [connection for connection in self._idle if not connection.lost]
        for connection in list(self.open):
            if connection.exchange is not None and connection.sent_ns < oldest:
                connection.fail("timeout", f"gave no answer within {self._limits.timeout_s:g} s")
        self._watch = None
        if self.open:
            self._watch_later()

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

    async def _dial(self) -> None:
        try:
            timeout_s = min(_LONGEST_DIAL_S, self._limits.timeout_s)
            await self._dialer.dial(lambda _: Connection(self), timeout_s)
        except OSError as error:
            if self.waiting:
                why = connect_reason(error).removeprefix("connect: ")
                message = f"cannot reach {self.authority}: {why}"
                self.waiting.popleft().failed(Failure("connect", message))


class _Asked:
    """A request that a coroutine waits for. See Exchange."""

    def __init__(self, request: bytes) -> None:
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._request = request

    def encode(self) -> Buffers:
        return (self._request,)

    def answered(self, answer: Answer) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)

    def failed(self, failure: Failure) -> None:
        if not self.answer.done():
            self.answer.set_exception(ExchangeError(failure))
