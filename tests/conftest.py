"""Fixtures for every test: real HTTP servers on loopback whose behaviour is a test's own."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

# Read when Ray is imported: nothing of it may leave this machine, and none of it is to be seen.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# For a busy machine.
os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")

Answer = Callable[[int, bytes, asyncio.StreamWriter], Awaitable[None]]
"""Answers request number n (from 0, over all connections), given its body, on its connection."""

# Started in the background by a shell without job control, Ctrl-C is ignored, here and in all that
# the tests start, some of which are tested for what they do on it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def answer_ok(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
    """200, at once."""
    writer.write(OK)


class Server:
    """An HTTP/1.1 server in a thread, which notes when each request arrived."""

    def __init__(self, answer: Answer = answer_ok) -> None:
        self.arrived_ns: list[int] = []
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self._answer = answer
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self) -> None:
        self._loop.run_until_complete(self._main())
        self._loop.close()

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=4096)
        self.port: int = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
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
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts servers: `serve()` answers ok, `serve(answer)` as `answer` does."""
    servers: list[Server] = []

    def start(answer: Answer = answer_ok) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A Ray cluster: a head with one CPU, where the tests themselves are, and two more nodes with
    two each.
    """
    from tests.kit.ray_nodes import ray_cluster

    with ray_cluster(1, 2, 2) as cluster:
        yield cluster
