"""What clients may take of a process: uvicorn within limits, on a socket of this process."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from tailrace.http.connection import CLIENT
from tailrace.http.guard import Guard, Limits
from tailrace.service.errors import refuse
from tests.kit.loop import on_uvloop
from tests.kit.waiting import until

# Enough for a busy machine to do what is to come in time; what is not to come, never comes.
LONG_S = 60.0
QUICK = Limits(head_s=0.4, pace_bytes=1000, pace_s=0.8, close_s=0.4, look_s=0.1)
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\n"
HELD = b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> str:
        assert self.headers["content-type"] == "application/json"
        error: str = json.loads(self.body)["error"]
        return error


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> Answer:
        async with asyncio.timeout(LONG_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status, *lines = head.strip().split("\r\n")
            headers = {
                name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
            }
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
            return Answer(int(status.split()[1]), headers, body)

    async def ask(self, data: bytes) -> Answer:
        self.send(data)
        return await self.answer()

    async def end(self) -> bytes:
        """What comes until the service closes."""
        async with asyncio.timeout(LONG_S):
            with contextlib.suppress(ConnectionResetError):
                return await self.reader.read()
            return b""


@dataclass
class GuardedService:
    """A guarded server of an application that tells how long the body was; `/early` does not read
    it, `/held` waits for the gate."""

    limits: Limits
    state: ServerState = field(default_factory=ServerState)
    guard: Guard = field(init=False)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    scopes: list[Scope] = field(default_factory=list)
    port: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        size = 0
        more = scope["path"] != "/early"
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            size += len(message["body"])
            more = message["more_body"]
        if scope["path"] == "/held":
            await self.gate.wait()
        body = b"%s %d" % (scope["path"].encode(), size)
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def connect(self) -> Client:
        return Client(*await asyncio.open_connection("127.0.0.1", self.port))

    @property
    def connections(self) -> set[Any]:
        return self.state.connections


@contextlib.asynccontextmanager
async def served(
    limits: Limits | None = None, keep_alive_s: int = 60
) -> AsyncIterator[GuardedService]:
    service = GuardedService(limits or Limits())
    config = uvicorn.Config(
        service, lifespan="off", ws="none", log_config=None, timeout_keep_alive=keep_alive_s
    )
    config.load()
    service.guard = Guard(config, service.state, refuse, service.limits)
    server = await asyncio.get_running_loop().create_server(service.guard.connect, "127.0.0.1", 0)
    service.port = server.sockets[0].getsockname()[1]
    try:
        yield service
    finally:
        server.close()
        service.gate.set()
        for each in tuple(service.connections):
            each.transport.abort()
        await until(lambda: not service.connections and not service.state.tasks)


def headers(count: int, size_bytes: int) -> bytes:
    line = b"A: " + b"x" * (size_bytes - 5) + b"\r\n"
    return b"GET / HTTP/1.1\r\nHost: x\r\n" + line * count + b"\r\n"


@pytest.mark.parametrize("piece", [1 << 20, 1000])
@pytest.mark.parametrize("head", [headers(1, 60_000), headers(900, 64), headers(0, 5)])
@on_uvloop
async def test_heads_within_the_limits_pass(head: bytes, piece: int) -> None:
    async with served() as service:
        client = await service.connect()
        for _ in range(3):
            for begin in range(0, len(head), piece):
                client.send(head[begin : begin + piece])
                await client.writer.drain()
            assert (await client.answer()).body == b"/ 0"


@pytest.mark.parametrize(
    "head",
    [
        headers(10_000, 10),
        headers(1001, 6),
        headers(1, 100_000),
        b"GET /" + b"a" * 100_000,
        b"\r\n" * 50_000,
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A" * 100_000,
        CHUNKED + b"5;" + b"e" * 100_000,
        CHUNKED + b"1\r\nx\r\n0\r\n" + b"T: t\r\n" * 20_000,
    ],
    ids=["10000", "1001", "long", "line", "blank lines", "name", "extension", "trailers"],
)
@pytest.mark.parametrize("after", [b"", GET], ids=["first", "second"])
@on_uvloop
async def test_endless_heads_are_refused(head: bytes, after: bytes) -> None:
    async with served() as service:
        client = await service.connect()
        if after:
            await client.ask(after)
        answer = await client.ask(head)
        assert answer.status == 431
        assert "65,536 bytes and 1,000 headers" in answer.error
        assert answer.headers["connection"] == "close"
        assert await client.end() == b""
        assert (await (await service.connect()).ask(GET)).status == 200


@on_uvloop
async def test_trailers_are_dropped() -> None:
    async with served() as service:
        client = await service.connect()
        answer = await client.ask(CHUNKED + b"1\r\nx\r\n0\r\nTrailer: t\r\n\r\n")
        assert answer.body == b"/ 1"
        assert b"trailer" not in dict(service.scopes[0]["headers"])
        assert (await client.ask(GET)).body == b"/ 0"


@pytest.mark.parametrize(
    ("request_bytes", "reason"),
    [
        (b"hello\r\n\r\n", "Invalid method"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "Invalid method"),
        (b"GET / HTTP/1.7\r\n\r\n", "Invalid HTTP version"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI"),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", "url path"),
        (b"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n", "target"),
        (b"GET / HTTP/1.1\r\nA B\r\n\r\n", "header"),
        (POST + b"Content-Length: -5\r\n\r\n", "Content-Length"),
        (POST + b"Content-Length: 99999999999999999999\r\n\r\n", "Content-Length"),
        (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n", "Content-Length"),
        (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding"),
        (POST + b"Transfer-Encoding: gzip\r\n\r\nx", "Transfer-Encoding"),
        (CHUNKED + b"xyz\r\n", "chunk size"),
        (CHUNKED + b"1\r\nabc\r\n", "chunk"),
        (POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\nx", "Upgrade"),
        (b"GET / HTTP/1.1\r\n\r\n", "0 Host headers"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\nhost: x\r\n\r\n", "2 Host headers"),
        (b"GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", "2 Host headers"),
        (b"GET http://x/ HTTP/1.1\r\n\r\n", "0 Host headers"),
        (b"GET / HTTP/1.1\r\nHost: x y\r\n\r\n", "names no host"),
        (b"GET / HTTP/1.1\r\nHost: me@x\r\n\r\n", "names no host"),
        (b"GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", "names no host"),
        (b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n", "names no host"),
    ],
)
@on_uvloop
async def test_broken_http_is_refused(request_bytes: bytes, reason: str) -> None:
    async with served() as service:
        client = await service.connect()
        answer = await client.ask(request_bytes)
        assert answer.status == 400
        assert reason.lower() in answer.error.lower()
        assert await client.end() == b""


@pytest.mark.parametrize(
    "line", [b"1.0\r\n", b"1.0\r\nHost: x\r\n", b"1.1\r\nHost:\r\n", b"1.1\r\nHost: [::1]:80\r\n"]
)
@on_uvloop
async def test_one_host_is_enough(line: bytes) -> None:
    async with served() as service:
        assert (await (await service.connect()).ask(b"GET / HTTP/" + line + b"\r\n")).status == 200


@on_uvloop
async def test_upgrade_is_ignored() -> None:
    upgrade = b"GET /%d HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    async with served() as service:
        client = await service.connect()
        client.send(b"".join(upgrade % n for n in range(5)) + GET)
        for path in (b"/0", b"/1", b"/2", b"/3", b"/4", b"/"):
            assert (await client.answer()).body == path + b" 0"


@pytest.mark.parametrize("begun", [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\n", b"\r\n"])
@on_uvloop
async def test_half_a_head_is_timed_out(begun: bytes) -> None:
    async with served(QUICK) as service:
        client = await service.connect()
        answer = await client.ask(begun)
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert "head" in answer.error
        assert await client.end() == b""


@on_uvloop
async def test_head_that_trickles_is_timed_out() -> None:
    async with served(QUICK) as service:
        client = await service.connect()
        await client.ask(GET)
        sent = 0
        while not client.reader._buffer and sent < 1000:  # type: ignore[attr-defined]
            client.send(b"GET /"[sent : sent + 1] or b"a")
            sent += 1
            await asyncio.sleep(0.05)
        assert (await client.answer()).status == 408
        assert sent < 1000


@on_uvloop
async def test_idle_connections_wait_longer() -> None:
    async with served(QUICK, keep_alive_s=2) as service:
        client = await service.connect()
        await client.ask(GET)
        await asyncio.sleep(3 * QUICK.head_s)
        assert (await client.ask(GET)).status == 200
        # In the end they are closed, without a word.
        assert await client.end() == b""


@pytest.mark.parametrize("start", [POST + b"Content-Length: 100000\r\n\r\n", CHUNKED])
@on_uvloop
async def test_body_that_trickles_is_timed_out(start: bytes) -> None:
    async with served(QUICK) as service:
        client = await service.connect()
        client.send(start)
        sent = 0
        while not client.reader._buffer and sent < 1000:  # type: ignore[attr-defined]
            client.send(b"1\r\nx\r\n")
            sent += 1
            await asyncio.sleep(0.05)
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert "body" in answer.error
        assert await client.end() == b""


@on_uvloop
async def test_slow_but_steady_body_passes() -> None:
    async with served(QUICK) as service:
        client = await service.connect()
        client.send(POST + b"Content-Length: 20000\r\n\r\n")
        for _ in range(20):
            client.send(bytes(1000))
            await asyncio.sleep(QUICK.pace_s / 8)
        assert (await client.answer()).body == b"/ 20000"


@on_uvloop
async def test_answer_may_take_longer_than_a_request() -> None:
    async with served(QUICK) as service:
        client = await service.connect()
        client.send(HELD)
        await asyncio.sleep(2 * QUICK.pace_s)
        service.gate.set()
        assert (await client.answer()).body == b"/held 0"


@on_uvloop
async def test_body_that_was_not_asked_for_may_wait() -> None:
    async with served(QUICK) as service:
        client = await service.connect()
        client.send(POST + b"Expect: 100-continue\r\nContent-Length: 1\r\n\r\n")
        assert (await client.answer()).status == 100
        assert (await client.ask(b"x")).body == b"/ 1"
        client.send(
            b"POST /early HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"
        )
        assert (await client.answer()).body == b"/early 0"


@pytest.mark.slow("fills the buffers of connections")
@on_uvloop
async def test_client_that_does_not_read_is_dropped() -> None:
    async with served(QUICK) as service:
        client = await service.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        writing = asyncio.create_task(_write_forever(client))
        await until(lambda: len(service.scopes) > 1000)
        await until(lambda: not service.connections)
        with contextlib.suppress(ConnectionError):
            await writing


async def _write_forever(client: Client) -> None:
    while True:
        client.send(GET * 100)
        await client.writer.drain()


@pytest.mark.slow("fills the buffers of connections")
@on_uvloop
async def test_pipelined_requests_are_parsed_a_few_at_a_time_and_answered_in_order() -> None:
    count = 50_000
    requests = b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in range(count))
    async with served() as service:
        client = await service.connect()
        client.send(HELD)
        await until(lambda: len(service.scopes) == 1)
        client.send(requests)
        [connection] = service.connections
        await until(lambda: bool(connection._held))
        service.gate.set()
        assert (await client.answer()).body == b"/held 0"
        parsed = 0
        for n in range(count):
            assert (await client.answer()).body == b"/%d 0" % n
            parsed = max(parsed, len(connection.pipeline))
        assert 0 < parsed < 1000


@on_uvloop
async def test_client_that_leaves_is_not_written_to(caplog: pytest.LogCaptureFixture) -> None:
    async with served() as service:
        for sent in (
            HELD,
            HELD + GET * 3,
        ):
            service.gate.clear()
            client = await service.connect()
            client.send(sent)
            await until(lambda: len(service.state.tasks) == 1)
            client.writer.transport.abort()
            await until(lambda: not service.connections)
            service.gate.set()
            await until(lambda: not service.state.tasks)
    assert not caplog.records


@on_uvloop
async def test_request_before_a_broken_one_is_answered() -> None:
    async with served(QUICK) as service:
        client = await service.connect()
        client.send(HELD + GET + b"rubbish\r\n\r\n")
        await until(lambda: len(service.scopes) == 1)
        await asyncio.sleep(2 * QUICK.close_s)
        service.gate.set()
        assert (await client.answer()).body == b"/held 0"
        last = await client.answer()
        assert (last.body, last.headers["connection"]) == (b"/ 0", "close")
        assert await client.end() == b""


@on_uvloop
async def test_broken_body_is_refused_in_its_turn() -> None:
    async with served() as service:
        client = await service.connect()
        client.send(HELD + CHUNKED + b"xyz\r\n")
        await until(lambda: len(service.scopes) == 1)
        service.gate.set()
        assert (await client.answer()).body == b"/held 0"
        assert (await client.answer()).status == 400
        assert await client.end() == b""


@on_uvloop
async def test_pipelined_body_arrives_while_it_waits() -> None:
    async with served(QUICK) as service:
        client = await service.connect()
        client.send(HELD + POST + b"Content-Length: 300000\r\n\r\n")
        client.send(bytes(300_000) + GET)
        await asyncio.sleep(2 * QUICK.pace_s)
        service.gate.set()
        for body in (b"/held 0", b"/ 300000", b"/ 0"):
            assert (await client.answer()).body == body


@pytest.mark.parametrize(
    "version", [b"HTTP/1.0\r\n", b"HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"]
)
@on_uvloop
async def test_last_answer_reaches_a_client_that_still_sends(version: bytes) -> None:
    async with served() as service:
        client = await service.connect()
        client.send(b"POST /early " + version + b"Content-Length: 20000000\r\n\r\n")
        for _ in range(20):
            client.send(bytes(1_000_000))
            await client.writer.drain()
        answer = await client.answer()
        assert (answer.body, answer.headers["connection"]) == (b"/early 0", "close")
        assert await client.end() == b""
        client.writer.close()
        await until(lambda: not service.connections)


@on_uvloop
async def test_client_that_never_closes_is_left() -> None:
    async with served(QUICK) as service:
        client = await service.connect()
        assert (await client.ask(b"rubbish\r\n\r\n")).status == 400
        await until(lambda: not service.connections)


@on_uvloop
async def test_new_connections_push_out_those_that_wait() -> None:
    async with served(Limits(connections=20, look_s=0.01)) as service:
        busy = await service.connect()
        busy.send(HELD)
        await until(lambda: len(service.scopes) == 1)
        oldest = await service.connect()
        oldest.send(b"GET /")
        await until(lambda: any(each.looks > 2 for each in service.connections if not each.cycle))
        others = [await service.connect() for _ in range(18)]
        await until(lambda: len(service.connections) == 20)
        assert (await (await service.connect()).ask(GET)).status == 200
        assert await oldest.end() == b""
        answers = await asyncio.gather(
            *(other.ask(GET) for other in others), return_exceptions=True
        )
        assert sum(isinstance(answer, Answer) for answer in answers) == 17
        service.gate.set()
        assert (await busy.answer()).body == b"/held 0"


@on_uvloop
async def test_no_room_is_503() -> None:
    async with served(Limits(connections=5)) as service:
        clients = [await service.connect() for _ in range(5)]
        for client in clients:
            client.send(HELD)
        await until(lambda: len(service.scopes) == 5)
        answer = await (await service.connect()).answer()
        assert answer.status == 503
        assert "connections" in answer.error
        service.gate.set()
        for client in clients:
            assert (await client.answer()).status == 200


@on_uvloop
async def test_bodies_of_all_requests_together_are_bounded() -> None:
    held = b"POST /held HTTP/1.1\r\nHost: x\r\nContent-Length: 80000\r\n\r\n" + bytes(80_000)
    chunked = CHUNKED + b"c350\r\n" + bytes(50_000) + b"\r\n0\r\n\r\n"
    async with served(Limits(bodies_bytes=100_000)) as service:
        one, two = await service.connect(), await service.connect()
        one.send(held)
        await until(lambda: len(service.scopes) == 1)
        for body in (POST + b"Content-Length: 50000\r\n\r\n" + bytes(50_000), chunked):
            refused = await (await service.connect()).ask(body)
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            assert "bodies" in refused.error
        assert (await two.ask(GET)).body == b"/ 0"
        # What is answered, or left, makes room.
        service.gate.set()
        assert (await one.answer()).body == b"/held 80000"
        for _ in range(3):
            assert (await one.ask(chunked)).body == b"/ 50000"
        # So does what an application says that a request takes beside.
        service.gate.clear()
        one.send(HELD)
        await until(lambda: service.scopes[-1]["path"] == "/held")
        hold = service.scopes[-1][CLIENT].hold
        assert hold(90_000)
        assert (
            await two.ask(POST + b"Content-Length: 50000\r\n\r\n" + bytes(50_000))
        ).status == 503
        assert not hold(10_001)
        service.gate.set()
        assert (await one.answer()).body == b"/held 0"
        two = await service.connect()
        assert (await two.ask(chunked)).body == b"/ 50000"
        service.gate.clear()
        one.send(held)
        await until(lambda: service.scopes[-1]["path"] == "/held")
        before = len(service.connections)
        one.writer.close()
        await until(lambda: len(service.connections) == before - 1)
        assert (await two.ask(chunked)).body == b"/ 50000"


@on_uvloop
async def test_bodies_nobody_reads_take_nothing() -> None:
    early = b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n"
    async with served(Limits(bodies_bytes=100_000)) as service:
        client = await service.connect()
        client.send(early)
        assert (await client.answer()).body == b"/early 0"
        assert (await client.ask(bytes(300_000) + GET)).body == b"/ 0"


@on_uvloop
async def test_service_that_stops_answers_once_more_on_each_connection() -> None:
    async with served(Limits(quiet_s=LONG_S)) as service:
        idle, new, busy, sending = [await service.connect() for _ in range(4)]
        await idle.ask(GET)
        busy.send(HELD)
        sending.send(POST + b"Content-Length: 1\r\n\r\n")
        await until(lambda: len(service.scopes) == 3)
        service.guard.drain()
        service.gate.set()
        late = await service.connect()
        for client, sent in ((idle, GET), (new, GET), (busy, b""), (sending, b"x"), (late, GET)):
            answer = await client.ask(sent)
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            # What is sent on is not answered, nor does it turn the answer into a reset.
            client.send(GET)
            assert await client.end() == b""
            client.writer.close()
        await until(lambda: not service.connections)


@pytest.mark.parametrize("before", [0, 1, 3])
@on_uvloop
async def test_service_that_stops_answers_all_that_is_pipelined(before: int) -> None:
    async with served(Limits(quiet_s=LONG_S)) as service:
        client = await service.connect()
        client.send(HELD + GET * before)
        await until(lambda: len(service.scopes) == 1)
        service.guard.drain()
        # The first of these ends a slice of what is parsed at once.
        client.send(GET * 2 + headers(1, 20_000) + GET)
        [connection] = service.connections
        await until(lambda: bool(connection.pipeline))
        service.gate.set()
        answers = [await client.answer() for _ in range(before + 5)]
        assert [answer.headers.get("connection") for answer in answers[:-1]] == [None] * (
            before + 4
        )
        assert answers[-1].headers["connection"] == "close"
        assert await client.end() == b""


@on_uvloop
async def test_connections_that_stay_silent_do_not_hold_up_the_end() -> None:
    async with served(Limits(quiet_s=0.2)) as service:
        clients = [await service.connect() for _ in range(3)]
        await clients[0].ask(GET)
        service.guard.drain()
        for client in clients:
            assert await client.end() == b""
        await until(lambda: not service.connections)
