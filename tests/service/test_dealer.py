"""Connections dealt to workers, which here are the other ends of their pipes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Self

import pytest

from tailrace.service import dealer
from tailrace.service.dealer import Dealer
from tailrace.service.workers import bind
from tests.kit.waiting import TIMEOUT_S


class Worker:
    """Greets each connection it is dealt with its name."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.pipe, self._theirs = socket.socketpair()
        self._theirs.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._theirs, self._read)

    def _read(self) -> None:
        if not dealer.receive(self._theirs, self._greet):
            self.die()

    def _greet(self, connection: socket.socket) -> None:
        with connection:
            connection.sendall(self.name)

    def die(self) -> None:
        """Closes its end, unread connections and all."""
        if self._theirs.fileno() >= 0:
            self._loop.remove_reader(self._theirs)
            self._theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.die()
        self.pipe.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with bind("127.0.0.1", 0) as listener:
        yield listener


@pytest.fixture
async def dealing(listener: socket.socket) -> AsyncIterator[Dealer]:
    """A dealer at work."""
    dealing = Dealer(listener)
    yield dealing
    # What a test has closed has nothing to deal any more, and would wait for it.
    await dealing.close(0)


async def greeting(listener: socket.socket) -> bytes:
    """What a new connection hears."""
    async with asyncio.timeout(TIMEOUT_S):
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        heard = await reader.read()
        writer.close()
        return heard


def test_a_worker_that_comes_too_late_is_no_fault(listener: socket.socket) -> None:
    """On the supervisor's own loop, which refuses to watch a socket that is closed."""

    async def close() -> None:
        dealing = Dealer(listener)
        await dealing.close(0)
        with Worker(b"a") as late:
            dealing.add(late.pipe, ready=False)
            dealing.remove(late.pipe)

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(close())


async def test_in_turn(listener: socket.socket, dealing: Dealer) -> None:
    with Worker(b"a") as a, Worker(b"b") as b, Worker(b"c") as c:
        for worker in (a, b, c):
            dealing.add(worker.pipe, ready=True)
        heard = [await greeting(listener) for _ in range(31)]
        assert all(set(heard[i : i + 3]) == {b"a", b"b", b"c"} for i in range(29))
        together = await asyncio.gather(*(greeting(listener) for _ in range(30)))
        assert sorted(together) == [b"a"] * 10 + [b"b"] * 10 + [b"c"] * 10


async def test_who_is_not_ready_gets_none_while_others_are(
    listener: socket.socket, dealing: Dealer
) -> None:
    with Worker(b"a") as a, Worker(b"b") as b:
        dealing.add(a.pipe, ready=False)
        assert {await greeting(listener) for _ in range(3)} == {b"a"}
        dealing.add(b.pipe, ready=True)
        assert {await greeting(listener) for _ in range(3)} == {b"b"}
        dealing.add(a.pipe, ready=True)
        assert {await greeting(listener) for _ in range(2)} == {b"a", b"b"}
        dealing.remove(b.pipe)
        dealing.remove(b.pipe)
        assert {await greeting(listener) for _ in range(3)} == {b"a"}


async def test_connections_wait_for_the_first_worker(
    listener: socket.socket, dealing: Dealer
) -> None:
    early = [asyncio.create_task(greeting(listener)) for _ in range(5)]
    await asyncio.sleep(0.02)
    assert not any(each.done() for each in early)
    with Worker(b"a") as a:
        dealing.add(a.pipe, ready=True)
        assert await asyncio.gather(*early) == [b"a"] * 5
        dealing.remove(a.pipe)
        late = [asyncio.create_task(greeting(listener)) for _ in range(5)]
        await asyncio.sleep(0.02)
        assert not any(each.done() for each in late)
        dealing.add(a.pipe, ready=True)
        assert await asyncio.gather(*late) == [b"a"] * 5


async def test_the_dead_are_passed_over(listener: socket.socket, dealing: Dealer) -> None:
    with Worker(b"a") as a, Worker(b"b") as b:
        for worker in (a, b):
            dealing.add(worker.pipe, ready=True)
        a.die()
        # Nobody has told the dealer yet.
        assert {await greeting(listener) for _ in range(4)} == {b"b"}


async def test_worker_notices_the_end_of_its_parent() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        assert dealer.receive(theirs, lambda _: None)
        ours.close()
        assert not dealer.receive(theirs, lambda _: None)


async def test_all_that_have_connected_are_dealt_before_it_closes(
    listener: socket.socket, dealing: Dealer
) -> None:
    address = listener.getsockname()
    with Worker(b"a") as a, contextlib.ExitStack() as stack:
        waiting = [
            stack.enter_context(socket.create_connection(address, TIMEOUT_S)) for _ in range(300)
        ]
        dealing.add(a.pipe, ready=True)
        await dealing.close(TIMEOUT_S)
        a.pipe.shutdown(socket.SHUT_WR)
        for connection in waiting:
            connection.setblocking(False)
            async with asyncio.timeout(TIMEOUT_S):
                assert await asyncio.get_running_loop().sock_recv(connection, 9) == b"a"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, TIMEOUT_S)
