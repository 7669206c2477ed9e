"""A pool of connections by itself, before real servers."""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from time import monotonic_ns
from typing import Any

import pytest

from tailrace.load.client.addresses import Reuse
from tailrace.load.client.dialer import Dialer
from tailrace.load.client.pool import Pool, PoolLimits
from tailrace.load.client.request import AGAIN, LAST
from tailrace.load.client.target import Endpoint
from tailrace.load.measure.recorder import Recorder
from tests.load.client.test_dialer import name_of, on_uvloop

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GOODBYE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def listen(answer: Answer, host: str = "127.0.0.1", port: int = 0) -> int:
    """A server that answers each request so; its port."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await answer(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(accept, host, port, backlog=4096)
    return int(server.sockets[0].getsockname()[1])


async def answer_ok(writer: asyncio.StreamWriter) -> None:
    writer.write(OK)


async def answer_and_leave(writer: asyncio.StreamWriter) -> None:
    writer.write(GOODBYE)
    writer.close()


def make_pool(
    port: int,
    *addresses: str,
    reuse: Reuse = "spread",
    connections: int = 64,
    timeout_s: float = 5.0,
    connect_timeout_s: float = 5.0,
) -> Pool:
    endpoint = Endpoint(host="h", port=port)
    limits = PoolLimits(connections, timeout_s, connect_timeout_s, timeout_s)
    dialer = Dialer(endpoint, name_of(*(addresses or ("127.0.0.1",))))
    return Pool(dialer, Recorder(), limits, reuse=reuse)


async def settled(pool: Pool) -> None:
    """Return when each request has come to an end."""
    async with asyncio.timeout(20):
        while pool.waiting or pool.in_flight:
            await asyncio.sleep(0.01)
            pool.expire(monotonic_ns())


async def send(pool: Pool, count: int, manner: int = 0) -> None:
    """So many requests one behind another's answer."""
    for _ in range(count):
        pool.send(monotonic_ns(), GET, manner)
        while pool.waiting or pool.in_flight:
            await asyncio.sleep(0)


def test_no_connection_is_lost_to_a_dial_that_ends_as_it_succeeds() -> None:
    """Limits around the time that a connection takes; each of the server's answers is its last."""

    async def work() -> None:
        port = await listen(answer_and_leave)
        for step in range(60):
            pool = make_pool(port, connections=4, connect_timeout_s=2e-3 * ((step + 1) / 60) ** 2)
            for _ in range(12):
                pool.send(monotonic_ns(), GET, 0)
                await asyncio.sleep(1e-4)
            await settled(pool)
            assert pool.completed + sum(pool.recorder.reasons.values()) == 12
            assert set(pool.recorder.reasons) <= {"connect: timed out"}
            async with asyncio.timeout(5):
                while pool.open:
                    await asyncio.sleep(0.001)
            # Room for as many as ever.
            pool.send(monotonic_ns(), GET, 0)
            assert not pool.cap_waits or pool.cap_waits < 12
            await settled(pool)

    on_uvloop(work())


def test_who_waits_in_vain_for_a_busy_connection_does_not_fail_to_connect() -> None:
    """One connection, on which a server never answers."""

    async def never(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    async def work() -> None:
        pool = make_pool(await listen(never), connections=1, timeout_s=0.2)
        for _ in range(20):
            pool.send(monotonic_ns(), GET, 0)
            await asyncio.sleep(0.02)
        await settled(pool)
        assert {reason.split(":")[0] for reason in pool.recorder.reasons} == {"timeout"}
        assert sum(pool.recorder.reasons.values()) == 20

    on_uvloop(work())


@pytest.mark.parametrize(
    ("reuse", "shares"),
    [("spread", (20, 20, 20)), ("fifo", (20, 20, 20)), ("lifo", (2, 2, 56))],
)
def test_which_idle_connection_a_request_takes(reuse: Reuse, shares: tuple[int, ...]) -> None:
    """Three addresses. A first burst of six opens six connections, two to each."""

    async def work() -> None:
        addresses = [f"127.0.0.{n}" for n in (1, 2, 3)]
        port = await listen(answer_ok, addresses[0])
        for address in addresses[1:]:
            await listen(answer_ok, address, port)
        pool = make_pool(port, *addresses, reuse=reuse)
        for _ in range(6):
            pool.send(monotonic_ns(), GET, 0)
        await settled(pool)
        await send(pool, 54)
        assert pool.completed == 60
        assert len(pool.open) == 6
        assert tuple(sorted(pool.sent.values())) == shares
        assert set(pool.sent) == {f"{address}:{port}" for address in addresses}

    on_uvloop(work())


def test_one_request_at_a_time_is_spread_too() -> None:
    async def work() -> None:
        port = await listen(answer_ok, "127.0.0.1")
        await listen(answer_ok, "127.0.0.2", port)
        pool = make_pool(port, "127.0.0.1", "127.0.0.2")
        await send(pool, 40)
        assert len(pool.open) == 2
        assert min(pool.sent.values()) >= 19

    on_uvloop(work())


def test_at_the_cap_an_idle_connection_to_any_address_will_do() -> None:
    async def work() -> None:
        port = await listen(answer_ok, "127.0.0.1")
        await listen(answer_ok, "127.0.0.2", port)
        pool = make_pool(port, "127.0.0.1", "127.0.0.2", connections=1)
        await send(pool, 10)
        assert pool.completed == 10
        assert pool.cap_waits == 0

    on_uvloop(work())


def test_an_address_that_refuses_costs_no_request() -> None:
    async def work() -> None:
        port = await listen(answer_ok, "127.0.0.2")
        pool = make_pool(port, "127.0.0.1", "127.0.0.2")
        await send(pool, 30)
        assert pool.completed == 30
        assert pool.sent == Counter({f"127.0.0.2:{port}": 30})
        assert len(pool.open) == 1

    on_uvloop(work())


def test_an_address_that_dies_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connections end; the others take its requests, and it has its share again later."""
    monkeypatch.setattr("tailrace.load.client.addresses._LEFT_OUT_S", 0.2)

    async def work() -> None:
        writers: list[asyncio.StreamWriter] = []

        port = await listen(answer_ok, "127.0.0.1")

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            try:
                while await reader.readuntil(b"\r\n\r\n"):
                    writer.write(OK)
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        server = await asyncio.start_server(accept, "127.0.0.2", port)
        pool = make_pool(port, "127.0.0.1", "127.0.0.2")
        await send(pool, 20)
        assert min(pool.sent.values()) >= 9
        server.close()
        for writer in writers:
            writer.close()
        while any(connection.address == "127.0.0.2" for connection in pool.open):
            await asyncio.sleep(0.01)
        before = pool.sent[f"127.0.0.2:{port}"]
        await send(pool, 20)
        assert pool.recorder.reasons == {}
        assert pool.sent[f"127.0.0.2:{port}"] == before
        await asyncio.start_server(accept, "127.0.0.2", port)
        while len(pool._dialer.usable) < 2:
            await asyncio.sleep(0.01)
        pool.expire(monotonic_ns())
        await send(pool, 20)
        assert pool.recorder.reasons == {}
        assert pool.sent[f"127.0.0.2:{port}"] >= before + 9

    on_uvloop(work())


class Leaving:
    """A server that answers the first request of each connection, and closes at the next; from
    connection `deaf` on it closes at the first.
    """

    def __init__(self, deaf: int = 1 << 62) -> None:
        self.connections = 0
        self.asked = 0
        self._deaf = deaf

    async def listen(self) -> int:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return int(server.sockets[0].getsockname()[1])

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self.connections = self.connections, self.connections + 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            if number < self._deaf:
                writer.write(OK)
                await reader.readuntil(b"\r\n\r\n")
                self.asked += 1
        writer.close()


def test_what_a_kept_connection_did_not_take_is_sent_once_more() -> None:
    async def work() -> None:
        server = Leaving()
        pool = make_pool(await server.listen())
        await send(pool, 5, manner=AGAIN)
        assert pool.recorder.reasons == {}
        assert pool.completed == 5
        assert (server.connections, server.asked) == (5, 9)
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

    on_uvloop(work())


def test_what_may_not_be_sent_twice_is_a_failure_of_its_own() -> None:
    async def work() -> None:
        server = Leaving()
        pool = make_pool(await server.listen())
        await send(pool, 6)
        assert pool.recorder.reasons == {
            "reset: before an answer, on a connection that was kept": 3
        }
        assert pool.completed == 3
        assert server.asked == 6

    on_uvloop(work())


def test_it_is_sent_once_more_and_not_again() -> None:
    async def work() -> None:
        server = Leaving(deaf=1)
        pool = make_pool(await server.listen())
        await send(pool, 3, manner=AGAIN)
        # The second request on the first connection and on one of its own, the third on its own.
        assert pool.completed == 1
        assert pool.recorder.reasons == {"reset: before an answer": 2}
        assert server.asked == 4

    on_uvloop(work())


def test_the_last_request_of_a_connection_is_the_last_whatever_the_server_says() -> None:
    async def work() -> None:
        port = await listen(answer_ok)
        pool = make_pool(port)
        await send(pool, 3)
        await send(pool, 3, manner=LAST)
        assert pool.completed == 6
        while pool.open:
            await asyncio.sleep(0.001)
        await send(pool, 1)
        assert len(pool.open) == 1

    on_uvloop(work())


def test_a_server_that_does_not_read_the_rest_of_a_request_is_let_go() -> None:
    async def work() -> None:
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
        async with asyncio.timeout(5):
            while pool.open:
                await asyncio.sleep(0.001)

    on_uvloop(work())


async def test_where_nothing_can_be_reached_all_that_wait_fail_to_connect(offer: Any) -> None:
    """More requests than dials at a time, to an address that says nothing."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            session, _ = await offer(
                f"http://127.0.0.1:{port}/", profile="400", connections=16, timeout_s=0.5
            )
    assert session.total.reasons == {"connect: timed out": session.total.offered}
