"""The HTTP/1.1 client of a load worker: keep-alive connections, grown as the schedule needs them.

Nothing here may hold the schedule up. A request finds an idle connection, or has one opened, or,
at the cap, waits its turn in order, with its latency still counted from the intended time.
"""

import asyncio
from collections import deque
from time import monotonic_ns
from typing import cast

import httptools

from tailrace.load.recorder import ROWS, Recorder

_LAST_ROW = ROWS - 1
_MAX_STAGES_HEADER = 4096


class Client:
    """A pool of connections to one address, last used first.

    Every request ends in exactly one of: a row in the recorder (answered, status below 300), or a
    failure of one kind: `connect`, `timeout`, `reset`, `protocol`, `http_3xx`, `http_4xx`,
    `http_5xx`, `aborted`.

    Args:
        address: (host, port) to connect to; the host may be a name or an IP address.
        requests: encoded requests, sent in turn.
        step, first: this client sends requests number first, first + step, … of the turn.
        connections: the most connections to have open at once.
        timeout_s: how long after its intended time a request may stay unanswered.
    """

    def __init__(
        self,
        address: tuple[str, int],
        requests: list[bytes],
        recorder: Recorder,
        *,
        connections: int,
        timeout_s: float,
        first: int = 0,
        step: int = 1,
    ) -> None:
        self.recorder = recorder
        self.sent = 0
        self.completed = 0
        self.idle: list[Connection] = []
        self.open: set[Connection] = set()
        self.waiting: deque[int] = deque()
        self._address = address
        # A turn of its own for each worker, laid out once: what worker w of W sends j-th is
        # request j·W + w, so that all workers together send the one sequence.
        count = len(requests)
        self._turn = [requests[(first + step * i) % count] for i in range(count)]
        self._next = 0
        self._cap = connections
        self._timeout_ns = int(timeout_s * 1e9)
        self._connecting: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def in_flight(self) -> int:
        """Requests sent and not answered yet."""
        return sum(connection.intended != 0 for connection in self.open)

    @property
    def settled(self) -> bool:
        """Whether every request has come to its end."""
        return not self.waiting and not self.in_flight

    def send(self, intended_ns: int) -> None:
        """Send the next request, whose intended time was `intended_ns` (CLOCK_MONOTONIC)."""
        idle = self.idle
        while idle:
            connection = idle.pop()
            if not connection.lost:
                connection.send(intended_ns)
                return
        self.waiting.append(intended_ns)
        self._grow()

    def next_request(self) -> bytes:
        """The encoded request whose turn it is."""
        number = self._next
        self._next = number + 1 if number + 1 < len(self._turn) else 0
        return self._turn[number]

    def free(self, connection: "Connection") -> None:
        """Give a connection that has nothing to do its next request, or let it idle."""
        if self.waiting:
            connection.send(self.waiting.popleft())
        else:
            self.idle.append(connection)

    def forget(self, connection: "Connection") -> None:
        """A connection is gone; open another if requests wait for one."""
        self.open.discard(connection)
        self._grow()

    def expire(self, now_ns: int) -> None:
        """End every request whose time is up; to be called a few times a second."""
        oldest = now_ns - self._timeout_ns
        self.idle = [connection for connection in self.idle if not connection.lost]
        while self.waiting and self.waiting[0] < oldest:
            self.waiting.popleft()
            # With no connection at all the server has not even taken one.
            self.recorder.fail("timeout" if self.open else "connect")
        for connection in [c for c in self.open if 0 < c.intended < oldest]:
            connection.fail("timeout")

    def close(self) -> None:
        """End everything now; requests without an answer count as `aborted`."""
        self._closed = True
        for task in self._connecting:
            task.cancel()
        while self.waiting:
            self.waiting.popleft()
            self.recorder.fail("aborted")
        for connection in list(self.open):
            if connection.intended:
                connection.fail("aborted")
            connection.transport.abort()

    def _grow(self) -> None:
        connecting = len(self._connecting)
        if (
            connecting < len(self.waiting)
            and len(self.open) + connecting < self._cap
            and not self._closed
        ):
            task = asyncio.get_running_loop().create_task(self._connect())
            self._connecting.add(task)
            task.add_done_callback(self._connected)

    def _connected(self, task: asyncio.Task[None]) -> None:
        self._connecting.discard(task)
        # If it failed below the cap, the next request in line has its own try.
        self._grow()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_ns / 1e9):
                await loop.create_connection(lambda: Connection(self), *self._address)
        except (OSError, TimeoutError):
            if self.waiting:
                self.waiting.popleft()
                self.recorder.fail("connect")


class Connection(asyncio.Protocol):
    """One connection with at most one request on it.

    `intended` is the intended time of that request, or 0; `lost` tells that the connection can
    take no more.
    """

    __slots__ = (
        "_client",
        "_framed",
        "_headers_done",
        "_parser",
        "_recorder",
        "_sent",
        "_stages",
        "intended",
        "lost",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, client: Client) -> None:
        self._client = client
        self._recorder = client.recorder
        self._sent = 0
        self._framed = False
        self._headers_done = False
        self._stages: bytes | None = None
        self._parser = httptools.HttpResponseParser(self)
        self.intended = 0
        self.lost = False

    def send(self, intended_ns: int) -> None:
        """Put the client's next request on the wire."""
        client = self._client
        recorder = self._recorder
        self.intended = intended_ns
        now = monotonic_ns()
        self._sent = now
        self.transport.write(client.next_request())
        client.sent += 1
        row = recorder.lag_row
        recorder.send_lags[row] = now - intended_ns
        recorder.lag_row = row + 1
        if row == _LAST_ROW:
            recorder.fold()

    def fail(self, kind: str) -> None:
        """The request in flight has failed; the connection is not used again."""
        self.intended = 0
        self.lost = True
        self._recorder.fail(kind)
        self.transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open: take a request at once if one waits."""
        self.transport = cast(asyncio.Transport, transport)
        self._client.open.add(self)
        self._client.free(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of a response."""
        if not self.intended:
            # Nobody asked: whatever it is, it belongs to no request of ours.
            self.lost = True
            self.transport.abort()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if self.intended:
                self.fail("protocol")
            else:
                self.lost = True
                self.transport.abort()
            return
        # Only now: bytes behind the answer, in the same read, must not count for the next request.
        if not self.intended:
            if self.lost:
                self.transport.close()
            else:
                self._client.free(self)

    def eof_received(self) -> bool:
        """The server closes; that ends a body that has no length of its own (RFC 9112, 6.3)."""
        self.lost = True
        if self.intended and self._headers_done and not self._framed:
            self.on_message_complete()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, with or without an answer."""
        self.lost = True
        if self.intended:
            self.intended = 0
            self._recorder.fail("reset")
        self._client.forget(self)

    # httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line; three of them matter."""
        length = len(name)
        if length == 13:
            if name.lower() == b"server-timing" and len(value) < _MAX_STAGES_HEADER:
                self._stages = value
        elif (length == 14 and name.lower() == b"content-length") or (
            length == 17 and name.lower() == b"transfer-encoding"
        ):
            self._framed = True

    def on_headers_complete(self) -> None:
        """All header lines are there."""
        self._headers_done = True

    def on_message_complete(self) -> None:
        """The response is whole: note it down."""
        now = monotonic_ns()
        status = self._parser.get_status_code()
        intended = self.intended
        if status < 200 or not intended:
            # An interim response (RFC 9110, 15.2), or a second answer to one request.
            self._headers_done = False
            self.lost = self.lost or not intended
            return
        recorder = self._recorder
        self.intended = 0
        if status < 300:
            row = recorder.row
            recorder.latencies[row] = now - intended
            recorder.services[row] = now - self._sent
            recorder.row = row + 1
            self._client.completed += 1
            if self._stages is not None:
                recorder.record_stages(self._stages)
            if row == _LAST_ROW:
                recorder.fold()
        else:
            recorder.fail(f"http_{status // 100}xx")
        self._stages = None
        self._headers_done = self._framed = False
        if not self._parser.should_keep_alive():
            self.lost = True
