"""A pool of connections by itself, before real servers."""

import asyncio
from collections import Counter
from time import monotonic_ns
from typing import Any

import pytest

from tailrace.load.client.pool import Pool
from tailrace.load.client.request import AGAIN, LAST
from tests.kit.loop import on_uvloop
from tests.kit.pools import make_pool, settled
from tests.kit.ports import silent
from tests.kit.server import OK, Answer, Server, answer_never, answer_ok, listening
from tests.kit.waiting import TIMEOUT_S, until

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
GOODBYE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


async def answer_and_leave(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(GOODBYE)
    writer.close()


async def send(pool: Pool, count: int, manner: int = 0) -> None:
    """So many requests one behind another's answer."""
    for _ in range(count):
        pool.send(monotonic_ns(), GET, manner)
        await until(lambda: not (pool.waiting or pool.in_flight))


@on_uvloop
async def test_no_connection_is_lost_to_a_dial_that_ends_as_it_succeeds() -> None:
    """Limits around the time that a connection takes; each of the server's answers is its last."""
    port = await listening(answer_and_leave)
    for step in range(60):
        pool = make_pool(port, connections=4, connect_timeout_s=2e-3 * ((step + 1) / 60) ** 2)
        for _ in range(12):
            pool.send(monotonic_ns(), GET, 0)
            await asyncio.sleep(1e-4)
        await settled(pool)
        assert pool.completed + sum(pool.recorder.reasons.values()) == 12
        assert set(pool.recorder.reasons) <= {"connect: timed out"}
        # Room for as many as ever, once what is still being dialled has ended.
        async with asyncio.timeout(TIMEOUT_S):
            while not await has_room_for(pool, 4):
                pass


async def has_room_for(pool: Pool, count: int) -> bool:
    """Whether so many requests at once wait for nobody else's connection."""
    await until(lambda: not pool.open)
    before = pool.cap_waits
    for _ in range(count):
        pool.send(monotonic_ns(), GET, 0)
    waited = pool.cap_waits - before
    await settled(pool)
    return waited == 0


@on_uvloop
async def test_who_waits_in_vain_for_a_busy_connection_does_not_fail_to_connect() -> None:
    """One connection, on which a server never answers."""

    pool = make_pool(await listening(answer_never), connections=1, timeout_s=0.2)
    for _ in range(20):
        pool.send(monotonic_ns(), GET, 0)
        await asyncio.sleep(0.02)
    await settled(pool)
    assert {reason.split(":")[0] for reason in pool.recorder.reasons} == {"timeout"}
    assert sum(pool.recorder.reasons.values()) == 20


@pytest.mark.parametrize(
    ("reuse", "shares"),
    [("spread", (20, 20, 20)), ("fifo", (20, 20, 20)), ("lifo", (2, 2, 56))],
)
@on_uvloop
async def test_which_idle_connection_a_request_takes(reuse: str, shares: tuple[int, ...]) -> None:
    """Three addresses. A first burst of six opens six connections, two to each."""
    addresses = [f"127.0.0.{n}" for n in (1, 2, 3)]
    port = await listening(answer_ok, addresses[0])
    for address in addresses[1:]:
        await listening(answer_ok, address, port)
    pool = make_pool(port, *addresses, reuse=reuse)
    for _ in range(6):
        pool.send(monotonic_ns(), GET, 0)
    await settled(pool)
    await send(pool, 54)
    assert pool.completed == 60
    assert len(pool.open) == 6
    assert tuple(sorted(pool.sent.values())) == shares
    assert set(pool.sent) == {f"{address}:{port}" for address in addresses}


@on_uvloop
async def test_one_request_at_a_time_is_spread_too() -> None:
    port = await listening(answer_ok, "127.0.0.1")
    await listening(answer_ok, "127.0.0.2", port)
    pool = make_pool(port, "127.0.0.1", "127.0.0.2")
    await send(pool, 40)
    assert len(pool.open) == 2
    assert min(pool.sent.values()) >= 19


@on_uvloop
async def test_at_the_cap_an_idle_connection_to_any_address_will_do() -> None:
    port = await listening(answer_ok, "127.0.0.1")
    await listening(answer_ok, "127.0.0.2", port)
    pool = make_pool(port, "127.0.0.1", "127.0.0.2", connections=1)
    await send(pool, 10)
    assert pool.completed == 10
    assert pool.cap_waits == 0


@on_uvloop
async def test_an_address_that_refuses_costs_no_request() -> None:
    port = await listening(answer_ok, "127.0.0.2")
    pool = make_pool(port, "127.0.0.1", "127.0.0.2")
    await send(pool, 30)
    assert pool.completed == 30
    assert pool.sent == Counter({f"127.0.0.2:{port}": 30})
    assert len(pool.open) == 1


@on_uvloop
async def test_an_address_that_dies_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connections end; the others take its requests, and it has its share again later."""
    monkeypatch.setattr("tailrace.load.client.dialer._LEFT_OUT_S", 0.2)
    port = await listening(answer_ok, "127.0.0.1")
    mortal = await Server(answer_ok, "127.0.0.2", port).listen()
    pool = make_pool(port, "127.0.0.1", "127.0.0.2")
    await send(pool, 20)
    assert min(pool.sent.values()) >= 9
    await mortal.leave()
    await until(lambda: all(connection.address != "127.0.0.2" for connection in pool.open))
    before = pool.sent[f"127.0.0.2:{port}"]
    await send(pool, 20)
    assert pool.recorder.reasons == {}
    assert pool.sent[f"127.0.0.2:{port}"] == before
    await mortal.listen()
    async with asyncio.timeout(TIMEOUT_S):
        while pool.sent[f"127.0.0.2:{port}"] == before:
            pool.expire(monotonic_ns())
            await send(pool, 2)
    before = pool.sent[f"127.0.0.2:{port}"]
    await send(pool, 20)
    assert pool.recorder.reasons == {}
    assert pool.sent[f"127.0.0.2:{port}"] >= before + 9


def answer_one_each(connections: int = 1 << 62) -> Answer:
    """The first request of each of so many connections; at any other the connection is closed."""
    answered: set[asyncio.StreamWriter] = set()

    async def answer(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        if writer in answered or len(answered) == connections:
            writer.close()
        else:
            answered.add(writer)
            writer.write(OK)

    return answer


@on_uvloop
async def test_what_a_kept_connection_did_not_take_is_sent_once_more() -> None:
    server = await Server(answer_one_each()).listen()
    pool = make_pool(server.port)
    await send(pool, 5, manner=AGAIN)
    assert pool.recorder.reasons == {}
    assert pool.completed == 5
    assert (server.connections, len(server.heads)) == (5, 9)
    assert pool.sent.total() == 5
    recorder = pool.recorder
    # Late by next to nothing: what came between is time of the connection.
    assert recorder.lag_row == 5
    waits = recorder.connects[: recorder.row]
    assert all(waits)
    for row in range(5):
        assert recorder.sent[row] - waits[row] >= recorder.intended[row]
        lag_ns = recorder.sent[row] - waits[row] - recorder.intended[row]
        assert lag_ns == recorder.send_lags[row]


@on_uvloop
async def test_what_may_not_be_sent_twice_is_a_failure_of_its_own() -> None:
    server = await Server(answer_one_each()).listen()
    pool = make_pool(server.port)
    await send(pool, 6)
    assert pool.recorder.reasons == {"reset: before an answer, on a connection that was kept": 3}
    assert pool.completed == 3
    assert len(server.heads) == 6


@on_uvloop
async def test_it_is_sent_once_more_and_not_again() -> None:
    server = await Server(answer_one_each(1)).listen()
    pool = make_pool(server.port)
    await send(pool, 3, manner=AGAIN)
    # The second request on the first connection and on one of its own, the third on its own.
    assert pool.completed == 1
    assert pool.recorder.reasons == {"reset: before an answer": 2}
    assert len(server.heads) == 4


@on_uvloop
async def test_the_last_request_of_a_connection_is_the_last_whatever_the_server_says() -> None:
    port = await listening()
    pool = make_pool(port)
    await send(pool, 3)
    await send(pool, 3, manner=LAST)
    assert pool.completed == 6
    await until(lambda: not pool.open)
    await send(pool, 1)
    assert len(pool.open) == 1


@on_uvloop
async def test_a_server_that_does_not_read_the_rest_of_a_request_is_let_go() -> None:
    held = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Long\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

    server = await asyncio.start_server(refuse, "127.0.0.1", 0, limit=1024)
    pool = make_pool(server.sockets[0].getsockname()[1], connections=1)
    body = bytes(16 * 2**20)
    for count in (1, 2):
        pool.send(monotonic_ns(), b"POST / HTTP/1.1\r\nHost: h\r\n\r\n" + body, 0)
        await settled(pool)
        assert pool.recorder.reasons == {"http: 413": count}
    await until(lambda: not pool.open)


async def test_where_nothing_can_be_reached_all_that_wait_fail_to_connect(offer: Any) -> None:
    """More requests than dials at a time, to an address that says nothing."""
    with silent() as port:
        session, _ = await offer(
            f"http://127.0.0.1:{port}/", profile="400", connections=16, timeout_s=0.5
        )
    assert session.total.reasons == {"connect: timed out": session.total.offered}
