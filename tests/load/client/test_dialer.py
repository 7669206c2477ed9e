"""Connections to a name of several addresses, each a real server's or nobody's on loopback."""

import asyncio
import errno
import resource
import socket
import ssl
from collections import Counter
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any, cast

import pytest

from tailrace.load.client.dialer import Addresses, Dialer
from tailrace.load.client.target import Endpoint, Tls
from tailrace.load.measure.failures import connect_reason
from tests.kit.loop import on_uvloop
from tests.kit.pools import name_of
from tests.kit.ports import refusing, silent
from tests.kit.server import Server, answer_ok, listening
from tests.kit.tls import certified
from tests.kit.waiting import until


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


async def reach(dialer: Dialer, **settings: Any) -> Noted:
    made: list[Noted] = []

    def make(address: str) -> Noted:
        made.append(Noted(address))
        return made[-1]

    await dialer.dial(make, **({"timeout_s": 5.0} | settings))
    (connection,) = made
    assert connection.transport is not None
    return connection


@on_uvloop
async def test_the_address_that_refuses_is_passed_over_and_left_out() -> None:
    port = await listening(answer_ok, "127.0.0.2")
    dialer = Dialer(Endpoint(host="h", port=port), name_of("127.0.0.1", "127.0.0.2"))
    assert (await reach(dialer)).address == "127.0.0.2"
    assert dialer.usable == ["127.0.0.2"]
    assert (await reach(dialer, first="127.0.0.1")).address == "127.0.0.2"


@on_uvloop
async def test_an_address_that_does_not_answer_is_overtaken() -> None:
    """A listener whose backlog is full says nothing at all, as an address behind a black hole."""
    with silent() as port:
        await listening(answer_ok, "127.0.0.2", port)
        dialer = Dialer(Endpoint(host="h", port=port), name_of("127.0.0.1", "127.0.0.2"))
        begun = monotonic()
        assert (await reach(dialer)).address == "127.0.0.2"
        assert 0.24 <= monotonic() - begun < 4
        assert dialer.usable == ["127.0.0.2"]


@on_uvloop
async def test_connections_take_turns_over_addresses() -> None:
    port = await listening()
    for address in ("127.0.0.2", "127.0.0.3"):
        await listening(answer_ok, address, port)
    addresses = [f"127.0.0.{n}" for n in (1, 2, 3)]
    dialer = Dialer(Endpoint(host="h", port=port), name_of(*addresses))
    reached = Counter([(await reach(dialer)).address for _ in range(9)])
    assert reached == dict.fromkeys(addresses, 3)


@on_uvloop
async def test_where_no_address_works_the_most_telling_error_is_raised() -> None:
    """The first cannot be reached from any machine; the other is there, and refuses."""
    with refusing() as port:
        addresses = ("255.255.255.255", "127.0.0.1")
        dialer = Dialer(Endpoint(host="h", port=port), name_of(*addresses))
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                await reach(dialer)


@on_uvloop
async def test_a_look_up_serves_all_who_wait_and_a_failure_is_kept_for_a_while() -> None:
    asked = 0

    async def resolve(host: str, port: int) -> list[str]:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.05)
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    dialer = Dialer(Endpoint(host="h", port=80), resolve)
    errors = await asyncio.gather(*(reach(dialer) for _ in range(20)), return_exceptions=True)
    errors += await asyncio.gather(*(reach(dialer) for _ in range(5)), return_exceptions=True)
    assert {connect_reason(error) for error in errors if isinstance(error, OSError)} == {
        "connect: name not known"
    }
    assert len(errors) == 25
    assert asked == 1


@on_uvloop
async def test_a_look_up_that_takes_too_long() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return []

    dialer = Dialer(Endpoint(host="h", port=80), resolve)
    with pytest.raises(TimeoutError) as raised:
        await reach(dialer, timeout_s=0.05)
    assert connect_reason(raised.value) == "connect: name look-up timed out"


@on_uvloop
async def test_a_handshake_that_never_ends() -> None:
    dialer = Dialer(Endpoint(host="127.0.0.1", port=await listening(), tls=Tls()))
    with pytest.raises(TimeoutError) as raised:
        await reach(dialer, timeout_s=0.2)
    assert connect_reason(raised.value) == "connect: TLS handshake timed out"


@on_uvloop
async def test_a_certificate_that_nobody_trusts_is_not_tried_elsewhere() -> None:
    port = await listening(tls=certified())
    other = await Server(answer_ok, "127.0.0.2", port).listen()
    dialer = Dialer(Endpoint(host="h", port=port, tls=Tls()), name_of("127.0.0.1", "127.0.0.2"))
    with pytest.raises(ssl.SSLCertVerificationError):
        await reach(dialer)
    assert other.connections == 0


@pytest.mark.parametrize("tls", [False, True])
@on_uvloop
async def test_a_dial_that_ends_as_it_succeeds_leaves_all_or_nothing(tls: bool) -> None:
    """Time limits from far too short to long enough: a connection is open and its protocol knows
    it, or there is none. The server counts what it has.
    """
    server = await Server(tls=certified() if tls else None).listen()
    dialer = Dialer(
        Endpoint(host="127.0.0.1", port=server.port, tls=Tls(verify=False) if tls else None)
    )
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
    await until(lambda: len(server.open) == 1 + len(made))
    assert not any(noted.lost for noted in made)
    for noted in (first, *made):
        assert noted.transport is not None
        assert not noted.transport.is_closing()
        noted.transport.abort()
    await until(lambda: not server.open)


@on_uvloop
async def test_an_error_of_this_machine_does_not_speak_against_an_address() -> None:
    """Without a free descriptor no address can be reached; none is left out for that."""
    port = await listening()
    await listening(answer_ok, "127.0.0.2", port)
    dialer = Dialer(Endpoint(host="h", port=port), name_of("127.0.0.1", "127.0.0.2"))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Path("/dev/null").open() as first_free:
        free = first_free.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        with pytest.raises(OSError, match="open files") as raised:
            await reach(dialer)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert raised.value.errno == errno.EMFILE
    assert len(dialer.usable) == 2


@pytest.mark.parametrize(
    ("found", "order"),
    [
        (["::1", "127.0.0.1"], ["::1", "127.0.0.1"]),
        (["127.0.0.1", "::1"], ["127.0.0.1", "::1"]),
        (["::1", "::2", "::3", "10.0.0.1"], ["::1", "10.0.0.1", "::2", "::3"]),
        (["10.0.0.1", "10.0.0.2", "::1"], ["10.0.0.1", "::1", "10.0.0.2"]),
        ([], []),
    ],
)
def test_families_take_turns(found: list[str], order: list[str]) -> None:
    addresses = Addresses()
    addresses.replace(found)
    assert addresses.in_order() == order


def test_each_connection_begins_with_the_next_address() -> None:
    addresses = Addresses()
    addresses.replace(["a", "b", "c"])
    orders = ["".join(addresses.in_order()) for _ in range(4)]
    assert orders == ["abc", "bca", "cab", "abc"]
    assert addresses.in_order("b") == ["b", "c", "a"]


def test_one_that_cannot_be_reached_comes_last_until_it_is() -> None:
    addresses = Addresses()
    addresses.replace(["a", "b", "c"])
    addresses.leave_out("b")
    assert addresses.usable == ["a", "c"]
    assert {order[-1] for order in (addresses.in_order() for _ in range(4))} == {"b"}
    # One that cannot be used now is no way to begin, whoever asks for it.
    assert addresses.in_order("b")[-1] == "b"
    addresses.reached("b")
    assert addresses.usable == ["a", "b", "c"]


def test_where_none_can_be_reached_all_are_tried() -> None:
    addresses = Addresses()
    addresses.replace(["a", "b"])
    for address in "ab":
        addresses.leave_out(address)
    assert addresses.usable == []
    assert addresses.in_order() == ["a", "b"]


def test_an_address_that_is_gone_is_forgotten() -> None:
    addresses = Addresses()
    addresses.replace(["a", "b"])
    addresses.leave_out("b")
    addresses.replace(["a"])
    addresses.replace(["a", "b"])
    assert addresses.usable == ["a", "b"]


def test_a_name_with_endless_addresses() -> None:
    addresses = Addresses()
    addresses.replace([f"10.0.{n // 256}.{n % 256}" for n in islice(range(10**6), 5000)])
    assert len(addresses.all) == 1024
