"""Connections to a name of several addresses, each a real server's or nobody's on loopback."""

import asyncio
import errno
import resource
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from time import monotonic
from typing import Any, cast

import pytest
import trustme
import uvloop

from tailrace.load.client.dialer import Dialer
from tailrace.load.client.target import Endpoint
from tailrace.load.measure.failures import connect_reason


class Noted(asyncio.Protocol):
    """A connection that notes what befalls it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.transport: asyncio.Transport | None = None
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


def on_uvloop(work: Coroutine[Any, Any, None]) -> None:
    """Load workers have no other loop, and what happens as a dial ends is its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


def name_of(*addresses: str) -> Callable[[str, int], Awaitable[list[str]]]:
    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    return resolve


async def listen(host: str, port: int = 0, **settings: Any) -> int:
    """A server there that says nothing; its port."""
    server = await asyncio.start_server(lambda reader, writer: None, host, port, **settings)
    return int(server.sockets[0].getsockname()[1])


async def reach(dialer: Dialer, **settings: Any) -> Noted:
    made: list[Noted] = []

    def make(address: str) -> Noted:
        made.append(Noted(address))
        return made[-1]

    await dialer.dial(make, **({"timeout_s": 5.0} | settings))
    (connection,) = made
    assert connection.transport is not None
    return connection


def test_the_address_that_refuses_is_passed_over_and_left_out() -> None:
    async def work() -> None:
        port = await listen("127.0.0.2")
        dialer = Dialer(Endpoint(host="h", port=port), name_of("127.0.0.1", "127.0.0.2"))
        assert (await reach(dialer)).address == "127.0.0.2"
        assert dialer.usable == ["127.0.0.2"]
        assert (await reach(dialer, first="127.0.0.1")).address == "127.0.0.2"

    on_uvloop(work())


def test_an_address_that_does_not_answer_is_overtaken() -> None:
    """A listener whose backlog is full says nothing at all, as an address behind a black hole."""

    async def work() -> None:
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            port = full.getsockname()[1]
            first = [socket.create_connection(("127.0.0.1", port))]
            await listen("127.0.0.2", port)
            dialer = Dialer(Endpoint(host="h", port=port), name_of("127.0.0.1", "127.0.0.2"))
            begun = monotonic()
            assert (await reach(dialer)).address == "127.0.0.2"
            assert 0.24 <= monotonic() - begun < 4
            assert dialer.usable == ["127.0.0.2"]
            first[0].close()

    on_uvloop(work())


def test_connections_take_turns_over_addresses() -> None:
    async def work() -> None:
        port = await listen("127.0.0.1")
        for address in ("127.0.0.2", "127.0.0.3"):
            await listen(address, port)
        addresses = [f"127.0.0.{n}" for n in (1, 2, 3)]
        dialer = Dialer(Endpoint(host="h", port=port), name_of(*addresses))
        reached = Counter([(await reach(dialer)).address for _ in range(9)])
        assert reached == dict.fromkeys(addresses, 3)

    on_uvloop(work())


def test_where_no_address_works_the_most_telling_error_is_raised() -> None:
    """The first cannot be reached from any machine; the other is there, and refuses."""

    async def work() -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
            addresses = ("255.255.255.255", "127.0.0.1")
            dialer = Dialer(Endpoint(host="h", port=port), name_of(*addresses))
            for _ in range(2):
                with pytest.raises(ConnectionRefusedError):
                    await reach(dialer)

    on_uvloop(work())


def test_a_look_up_serves_all_who_wait_and_a_failure_is_kept_for_a_while() -> None:
    asked = 0

    async def resolve(host: str, port: int) -> list[str]:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.05)
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    async def work() -> None:
        dialer = Dialer(Endpoint(host="h", port=80), resolve)
        errors = await asyncio.gather(*(reach(dialer) for _ in range(20)), return_exceptions=True)
        errors += await asyncio.gather(*(reach(dialer) for _ in range(5)), return_exceptions=True)
        assert {connect_reason(error) for error in errors if isinstance(error, OSError)} == {
            "connect: name not known"
        }
        assert len(errors) == 25
        assert asked == 1

    on_uvloop(work())


def test_a_look_up_that_takes_too_long() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return []

    async def work() -> None:
        dialer = Dialer(Endpoint(host="h", port=80), resolve)
        with pytest.raises(TimeoutError) as raised:
            await reach(dialer, timeout_s=0.05)
        assert connect_reason(raised.value) == "connect: name look-up timed out"

    on_uvloop(work())


def test_a_handshake_that_never_ends() -> None:
    async def work() -> None:
        dialer = Dialer(Endpoint(host="127.0.0.1", port=await listen("127.0.0.1"), tls=True))
        with pytest.raises(TimeoutError) as raised:
            await reach(dialer, timeout_s=0.2)
        assert connect_reason(raised.value) == "connect: TLS handshake timed out"

    on_uvloop(work())


def test_a_certificate_that_nobody_trusts_is_not_tried_elsewhere() -> None:
    async def work() -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
        port = await listen("127.0.0.1", ssl=context)
        others = 0

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal others
            others += 1

        await asyncio.start_server(accept, "127.0.0.2", port)
        dialer = Dialer(Endpoint(host="h", port=port, tls=True), name_of("127.0.0.1", "127.0.0.2"))
        with pytest.raises(ssl.SSLCertVerificationError):
            await reach(dialer)
        assert others == 0

    on_uvloop(work())


@pytest.mark.parametrize("tls", [False, True])
def test_a_dial_that_ends_as_it_succeeds_leaves_all_or_nothing(tls: bool) -> None:
    """Time limits from far too short to long enough: a connection is open and its protocol knows
    it, or there is none. The server counts what it has.
    """
    there: set[asyncio.StreamWriter] = set()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there.add(writer)
        try:
            await reader.read()
        except ConnectionError:
            pass
        finally:
            there.discard(writer)
            writer.close()

    async def work() -> None:
        context = None
        if tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
        server = await asyncio.start_server(hold, "127.0.0.1", 0, ssl=context, backlog=4096)
        port = server.sockets[0].getsockname()[1]
        dialer = Dialer(Endpoint(host="127.0.0.1", port=port, tls=tls, verify=False))
        begun = monotonic()
        first = await reach(dialer)
        enough_s = 20 * (monotonic() - begun)
        steps = 60 if tls else 300
        results = [
            result
            for step in range(0, steps, 10)
            for result in await asyncio.gather(
                *(
                    reach(dialer, timeout_s=enough_s * (number / steps) ** 3)
                    for number in range(step, step + 10)
                ),
                return_exceptions=True,
            )
        ]
        failed = [result for result in results if isinstance(result, BaseException)]
        assert all(isinstance(error, TimeoutError) for error in failed), failed
        made = [result for result in results if isinstance(result, Noted)]
        assert failed
        assert made
        async with asyncio.timeout(10):
            while len(there) != 1 + len(made):
                await asyncio.sleep(0.01)
        assert not any(noted.lost for noted in made)
        server.close()
        for noted in (first, *made):
            assert noted.transport is not None
            assert not noted.transport.is_closing()
            noted.transport.abort()
        while there:
            await asyncio.sleep(0.01)

    on_uvloop(work())


def test_an_error_of_this_machine_does_not_speak_against_an_address() -> None:
    """Without a free descriptor no address can be reached; none is left out for that."""

    async def work() -> None:
        port = await listen("127.0.0.1")
        await listen("127.0.0.2", port)
        dialer = Dialer(Endpoint(host="h", port=port), name_of("127.0.0.1", "127.0.0.2"))
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = len(list(Path("/proc/self/fd").iterdir()))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used - 1, limits[1]))
        try:
            with pytest.raises(OSError, match="open files") as raised:
                await reach(dialer)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert raised.value.errno == errno.EMFILE
        assert len(dialer.usable) == 2

    on_uvloop(work())
