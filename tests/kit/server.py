"""An HTTP/1.1 server on loopback that answers as a test says, byte by byte, and notes what came.

In a thread of its own by `start()` (the fixture `serve` does that), so that it answers while the
test's loop is busy; in the test's loop by `async with Server(answer)` or `await …listen()`.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

from tests.kit.waiting import TIMEOUT_S

Answer = Callable[[int, bytes, asyncio.StreamWriter], Awaitable[None]]
"""Answers request number n (from 0, over all connections), given its body, on its connection."""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def http(body: bytes | Any, status: int = 200, **headers: str) -> bytes:
    """An answer; what is not bytes is sent as JSON."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def answer_ok(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
    """200, at once."""
    writer.write(OK)


async def answer_echo(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
    """The body that came."""
    writer.write(http(body))


async def answer_never(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
    """Nothing, for as long as the connection is there."""
    await asyncio.Event().wait()


def answer_raw(*pieces: bytes, close: bool = False) -> Answer:
    """These bytes, each piece in a packet of its own."""

    async def answer(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        for place, piece in enumerate(pieces):
            if place:
                await asyncio.sleep(0.01)
            writer.write(piece)
            await writer.drain()
        if close:
            writer.close()

    return answer


def answer_by(
    choose: Callable[[int], bytes], closes: Callable[[int], bool] = lambda number: False
) -> Answer:
    """What is chosen for the number of the request, at once."""

    async def answer(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(choose(number))
        if closes(number):
            writer.close()

    return answer


def answer_after(delay_s: float, response: bytes = OK) -> Answer:
    """The same to each request, so long after it came."""

    async def answer(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(delay_s)
        writer.write(response)

    return answer


def answer_in_turn(service_s: float, response: bytes = OK) -> Answer:
    """As a server that takes one request at a time, each for so long."""
    free_at = 0.0

    async def answer(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal free_at
        now = time.monotonic()
        free_at = max(free_at, now) + service_s
        await asyncio.sleep(free_at - now)
        writer.write(response)

    return answer


class Server:
    """Notes when each request arrived, its head and its body, and counts connections.

    On `path` it listens at a Unix socket, with `tls` it speaks TLS; whoever says anything to one
    with a `greeting` is told that, whatever he says, and the connection ends.
    """

    def __init__(
        self,
        answer: Answer = answer_ok,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        tls: ssl.SSLContext | None = None,
        path: Path | None = None,
        greeting: bytes = b"",
    ) -> None:
        self.host, self.port = host, port
        self.arrived_ns: list[int] = []
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.open: set[asyncio.StreamWriter] = set()
        self.loop: asyncio.AbstractEventLoop
        self._answer = answer
        self._tls = tls
        self._path = path
        self._greeting = greeting
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}/"

    async def listen(self) -> Self:
        """Serve in the running loop."""
        self.loop = asyncio.get_running_loop()
        if self._path is not None:
            self._server = await asyncio.start_unix_server(self._accept, self._path)
            return self
        self._server = await asyncio.start_server(
            self._accept, self.host, self.port, backlog=4096, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def leave(self) -> None:
        """Listen no more, and end every connection."""
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        return await self.listen()

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    def start(self) -> Self:
        """Serve in a thread of its own until `close()`."""
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(TIMEOUT_S)
        return self

    def close(self) -> None:
        """End what `start()` began."""
        if self._thread is not None and self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(TIMEOUT_S)

    def kill(self) -> None:
        """As a process that dies: every connection is reset."""
        if self._thread is not None and self._thread.is_alive():
            self.loop.call_soon_threadsafe(self.reset)
            self.close()

    def reset(self) -> None:
        """Reset the connections that are open now."""
        for writer in list(self.open):
            writer.transport.abort()

    def _run(self, started: threading.Event) -> None:
        async def serve() -> None:
            self._stop = asyncio.Event()
            async with self:
                started.set()
                await self._stop.wait()

        asyncio.run(serve())

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.open.add(writer)
        self.connections += 1
        try:
            if self._greeting:
                # Told before he speaks, he might not listen yet.
                await reader.read(1 << 16)
                writer.write(self._greeting)
                writer.write_eof()
                # Closed with bytes unread, it would be reset, perhaps before the greeting is read.
                while await reader.read(1 << 16):
                    pass
                return
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                arrived = time.monotonic_ns()
                length = 0
                for line in head.split(b"\r\n"):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line[15:])
                body = await reader.readexactly(length)
                number = len(self.arrived_ns)
                self.arrived_ns.append(arrived)
                self.heads.append(head)
                self.bodies.append(body)
                await self._answer(number, body, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            # The client has gone, or the server ends.
            pass
        finally:
            self._tasks.discard(task)
            self.open.discard(writer)
            writer.close()


async def listening(answer: Answer = answer_ok, *where: Any, **settings: Any) -> int:
    """The port of a server in the running loop, which is there for as long as that is."""
    return (await Server(answer, *where, **settings).listen()).port
