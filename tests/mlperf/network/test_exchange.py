"""Every way a request can end, each by a server that really behaves so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from tailrace.load.client.dialer import Dialer
from tailrace.load.client.target import Endpoint, Tls
from tailrace.mlperf.network.answer import Answer, ExchangeError, Failure, http_failure
from tailrace.mlperf.network.exchange import Buffers
from tailrace.mlperf.network.pool import Limits, Pool
from tests.kit.ports import refusing
from tests.kit.server import OK, answer_by, answer_echo, answer_never, answer_raw, http
from tests.kit.tls import certified
from tests.kit.waiting import TIMEOUT_S, until

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"

Open = Callable[..., Pool]


def post(body: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


async def failure_of(pool: Pool, request: bytes = GET) -> Failure:
    with pytest.raises(ExchangeError) as raised:
        async with asyncio.timeout(TIMEOUT_S):
            await pool.ask(request)
    return raised.value.failure


@pytest.fixture
async def open_pool() -> AsyncIterator[Open]:
    pools: list[Pool] = []

    def start(
        port: int, connections: int = 8, timeout_s: float = TIMEOUT_S, **endpoint: Any
    ) -> Pool:
        dialer = Dialer(Endpoint(**{"host": "127.0.0.1", "port": port} | endpoint))
        pools.append(Pool(dialer, "node:80", Limits(connections, timeout_s)))
        return pools[-1]

    yield start
    for pool in pools:
        pool.close()
        await until(lambda pool=pool: not pool.open)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("pieces", "close", "body"),
    [
        ([OK], False, b"ok"),
        ([b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 4\r\n\r\no", b"k", b"ok"], False, b"okok"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"], False, b""),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], False, b""),
        ([b"HTTP/1.1 100 Continue\r\n\r\n" + OK], False, b"ok"),
        ([b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", OK], False, b"ok"),
        (
            [
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok",
                b"\r\n2\r\nay",
                b"\r\n0\r\n\r\n",
            ],
            False,
            b"okay",
        ),
        ([b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"], True, b"ok"),
        ([b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"], True, b"ok"),
        ([b"HTTP/1.0 200 OK\r\n\r\nuntil ", b"the end"], True, b"until the end"),
    ],
)
async def test_answers_of_every_framing(
    serve: Any, open_pool: Open, pieces: list[bytes], close: bool, body: bytes
) -> None:
    server = serve(answer_raw(*pieces, close=close))
    pool = open_pool(server.port)
    for _ in range(3):
        answer = await pool.ask(GET)
        assert answer.body == body
        assert 200 <= answer.status < 300
    assert server.connections == (3 if close else 1)


@pytest.mark.parametrize(
    ("pieces", "kind", "message"),
    [
        ([b"SSH-2.0-OpenSSH_9.6\r\n"], "protocol", "node:80 does not answer in HTTP"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: banana\r\n\r\n"], "protocol", "HTTP"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"], "protocol", "HTTP"),
        (
            [b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"],
            "protocol",
            "HTTP",
        ),
        ([b"HTTP/1.1 200 OK\r\n", *[b"X: %s\r\n" % (b"x" * 60_000)] * 5], "protocol", "an end"),
        ([b""], "reset", "node:80 closed the connection"),
        ([b"HTTP/1.1 200"], "reset", "before its answer was whole"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"], "reset", "whole"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"], "reset", "whole"),
    ],
)
async def test_what_is_no_answer(
    serve: Any, open_pool: Open, pieces: list[bytes], kind: str, message: str
) -> None:
    pool = open_pool(serve(answer_raw(*pieces, close=True)).port)
    for _ in range(2):
        failure = await failure_of(pool)
        assert failure.kind == kind
        assert message in failure.message


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (503, b'{"error": "the queue is full"}', "http_5xx: n:1 answered 503: the queue is full"),
        (404, b"<html>not here</html>", "http_4xx: n:1 answered 404"),
        (500, b'{"error": {"code": 3}}', "http_5xx: n:1 answered 500"),
        (302, b"", "http_3xx: n:1 answered 302"),
        (400, b'{"error": "two\\n lines"}', "http_4xx: n:1 answered 400: two lines"),
    ],
)
def test_status_is_a_failure_in_the_servers_words(status: int, body: bytes, reason: str) -> None:
    failure = http_failure("n:1", Answer(status, body))
    assert failure is not None
    assert failure.reason == reason


def test_long_words_are_shortened() -> None:
    failure = http_failure("n:1", Answer(500, b'{"error": "%s"}' % (b"long " * 1000)))
    assert failure is not None
    assert len(failure.reason) < 250
    assert failure.reason.endswith("…")


async def test_a_refusal_leaves_the_connection_usable(serve: Any, open_pool: Open) -> None:
    server = serve(
        answer_raw(b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 3\r\n\r\nno!")
    )
    pool = open_pool(server.port)
    for _ in range(3):
        assert await pool.ask(GET) == Answer(503, b"no!")
    assert len(server.bodies) == 3, "nothing is sent twice"
    assert server.connections == 1


async def test_length_of_the_json_is_told(serve: Any, open_pool: Open) -> None:
    head = b"HTTP/1.1 200 OK\r\ninference-HEADER-content-length: 12\r\nContent-Length: 2\r\n\r\n"

    pool = open_pool(serve(answer_by(lambda number: OK if number else head + b"ok")).port)
    assert await pool.ask(GET) == Answer(200, b"ok", b"12")
    assert await pool.ask(GET) == Answer(200, b"ok")


async def test_nobody_listens(open_pool: Open) -> None:
    with refusing() as port:
        pool = open_pool(port)
        failures = await asyncio.gather(*[failure_of(pool) for _ in range(20)])
    assert {failure.reason for failure in failures} == {"connect: cannot reach node:80: refused"}


async def test_a_name_that_does_not_resolve(open_pool: Open) -> None:
    failure = await failure_of(open_pool(80, host="nowhere.invalid"))
    assert failure.kind == "connect"


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nno"])
async def test_time_runs_from_the_wire_on(serve: Any, open_pool: Open, begun: bytes) -> None:
    """Two requests on one connection's turn: the second does not pay for the first's wait."""

    async def answer(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        if number == 0:
            writer.write(begun)
            await asyncio.sleep(TIMEOUT_S)
        writer.write(OK)

    server = serve(answer)
    pool = open_pool(server.port, connections=1, timeout_s=0.3)
    first = asyncio.create_task(failure_of(pool))
    await until(lambda: len(server.bodies) == 1)
    second = asyncio.create_task(pool.ask(GET))
    assert await first == Failure("timeout", "node:80 gave no answer within 0.3 s")
    assert (await second).body == b"ok"
    assert server.connections == 2


async def test_a_body_without_end(serve: Any, open_pool: Open) -> None:
    async def endless(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"5\r\nagain\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    pool = open_pool(serve(endless).port, timeout_s=0.3)
    assert (await failure_of(pool)).kind == "timeout"


async def test_each_answer_goes_to_its_own_request(serve: Any, open_pool: Open) -> None:
    """Hundreds at once over a few connections, answered in any order."""

    async def later(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(number * 7 % 5 / 1000)
        await answer_echo(number, body, writer)

    server = serve(later)
    pool = open_pool(server.port, connections=7)
    bodies = [b"%d " % i * (1 + i % 50) for i in range(400)]
    answers = await asyncio.gather(*[pool.ask(post(body)) for body in bodies])
    assert [answer.body for answer in answers] == bodies
    assert server.connections == 7
    assert len(pool.open) == 7


async def test_those_that_wait_go_in_order(serve: Any, open_pool: Open) -> None:
    server = serve(answer_echo)
    pool = open_pool(server.port, connections=1)
    await asyncio.gather(*[pool.ask(post(b"%d" % i)) for i in range(50)])
    assert server.bodies == [b"%d" % i for i in range(50)]


async def test_an_idle_connection_that_was_closed_fails_nothing(
    serve: Any, open_pool: Open
) -> None:
    """The server closes after each answer without a word of it before."""
    server = serve(answer_raw(OK, close=True))
    pool = open_pool(server.port)
    for number in range(3):
        assert (await pool.ask(GET)).body == b"ok"
        assert server.connections == number + 1
        await until(lambda: not pool.open)


@pytest.mark.parametrize("surplus", [OK, OK[:20], OK[:-1], b"garbage"])
async def test_bytes_behind_an_answer_are_not_the_next_one(
    serve: Any, open_pool: Open, surplus: bytes
) -> None:
    async def answer(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        # In one packet; what comes later than that nobody could tell apart.
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s%s"
        writer.write(whole % (len(body), body, surplus))

    server = serve(answer)
    pool = open_pool(server.port, connections=1)
    for number in range(3):
        assert (await pool.ask(post(b"%d" % number))).body == b"%d" % number
    assert server.connections == 3


async def test_large_bodies_of_several_buffers(serve: Any, open_pool: Open) -> None:
    class Large:
        def __init__(self) -> None:
            self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def encode(self) -> Buffers:
            head = post(bytes(12_000_000)).removesuffix(bytes(12_000_000))
            return head, b"a" * 4_000_000, memoryview(b"b" * 4_000_000), b"c" * 4_000_000

        def answered(self, answer: Answer) -> None:
            self.answer.set_result(answer)

        def failed(self, failure: Failure) -> None:
            self.answer.set_exception(ExchangeError(failure))

    large = Large()
    open_pool(serve(answer_echo).port).send(large)
    answer = await asyncio.wait_for(large.answer, TIMEOUT_S)
    assert answer.body == b"".join(bytes([c]) * 4_000_000 for c in b"abc")


async def test_the_end_fails_what_is_unanswered(serve: Any, open_pool: Open) -> None:
    server = serve(answer_never)
    pool = open_pool(server.port, connections=2)
    asked = [asyncio.create_task(failure_of(pool)) for _ in range(5)]
    await until(lambda: len(server.bodies) == 2)
    pool.close()
    assert {failure.kind for failure in await asyncio.gather(*asked)} == {"aborted"}
    assert (await failure_of(pool)).kind == "aborted"
    await until(lambda: not pool.open)


async def test_tls(serve: Any, open_pool: Open, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    port = serve(tls=certified(authority=authority)).port
    good = open_pool(port, tls=Tls(ca_file=tmp_path / "ca.pem"))
    assert (await good.ask(GET)).body == b"ok"
    failure = await failure_of(open_pool(port, tls=Tls()))
    assert failure.kind == "connect"
    assert "certificate not trusted" in failure.message


async def test_tls_to_a_server_without(serve: Any, open_pool: Open) -> None:
    failure = await failure_of(open_pool(serve(greeting=http("", 400)).port, tls=Tls()))
    assert failure.kind == "connect"
    assert "TLS failed" in failure.message
