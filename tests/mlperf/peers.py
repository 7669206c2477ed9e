"""Servers that do what a test says, and a sink that keeps what comes of it."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from tailrace.mlperf.system import Record

TIMEOUT_S = 60.0


class Asked(NamedTuple):
    """A request that has come."""

    path: str
    headers: dict[str, str]
    body: bytes


Answerer = Callable[[Asked], Awaitable[bytes]]
"""The bytes to send back; none to close the connection."""


def http(body: bytes | Any, status: int = 200, **headers: str) -> bytes:
    """An answer; what is not bytes is sent as JSON."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Peer:
    """A server in a thread: what `routes` has is answered from there, all else by `answer`, with as
    many requests at a time as there are connections."""

    def __init__(
        self, answer: Answerer, routes: Mapping[str, bytes], tls: ssl.SSLContext | None = None
    ) -> None:
        self.asked: list[Asked] = []
        self.routes = dict(routes)
        self.connections = 0
        self.loop = asyncio.new_event_loop()
        self._answer = answer
        self._tls = tls
        self._writers: set[asyncio.StreamWriter] = set()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(10)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def count(self, path: str) -> int:
        """Requests for a path."""
        return sum(asked.path == path for asked in self.asked)

    def kill(self) -> None:
        """As a process that dies: every connection is reset, and nobody listens any more."""
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(
            self._accept, "127.0.0.1", 0, backlog=4096, ssl=self._tls
        )
        self.port: int = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.connections += 1
        try:
            while True:
                asked = await _read(reader)
                self.asked.append(asked)
                answer = self.routes.get(asked.path) or await self._answer(asked)
                if not answer:
                    break
                writer.write(answer)
                await writer.drain()
                if asked.headers.get("Connection") == "close":
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    body = await reader.readexactly(int(headers.get("Content-Length", 0)))
    return Asked(first.split(" ")[1], headers, body)


class Collector:
    """A sink that keeps everything, and the order in which it came."""

    def __init__(self, wanted: int) -> None:
        self.records: dict[int, Record] = {}
        self.reasons: dict[int, str] = {}
        self.ids: list[int] = []
        self._wanted = wanted
        self._changed = threading.Condition()

    def complete(self, query_id: int, record: Record) -> None:
        with self._changed:
            self.records[query_id] = record
            self._end(query_id)

    def fail(self, query_id: int, reason: str) -> None:
        with self._changed:
            self.reasons[query_id] = reason
            self._end(query_id)

    def wait(self, count: int | None = None) -> Collector:
        """Until so many queries have ended, by default all."""
        wanted = self._wanted if count is None else count
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.ids) >= wanted, TIMEOUT_S), self.reasons
            assert len(set(self.ids)) == len(self.ids), "each query ends once"
        return self

    def _end(self, query_id: int) -> None:
        self.ids.append(query_id)
        self._changed.notify_all()


TAILRACE: Mapping[str, bytes] = {
    "/v2/health/ready": http({"ready": True}),
    "/v2": http({"name": "tailrace", "version": "9", "extensions": ["binary_tensor_data"]}),
    "/getname/": http({"name": "Some Network SUT"}),
    "/v2/models/null": http(
        {
            "name": "null",
            "inputs": [{"name": "input", "datatype": "UINT8", "shape": [-1, -1]}],
            "outputs": [{"name": "output", "datatype": "UINT8", "shape": [-1, -1]}],
        }
    ),
}
"""What a Tailrace service with the null model says of itself."""


async def nothing_found(asked: Asked) -> bytes:
    """What the null model answers to a picture."""
    return http({"model": "null", "detections": []})
