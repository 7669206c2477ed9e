"""Sessions, and what guessing costs, on a clock of the test's own."""

import pytest

from tailrace.dashboard.login import Sessions, client_address, cookie_name
from tests.kit.clock import Clock


def test_a_session_lasts_until_it_ends_or_is_old() -> None:
    clock = Clock()
    sessions = Sessions(clock, lifetime_s=60)
    first, second = sessions.begin(), sessions.begin()
    assert first != second
    assert len(first) >= 43  # 256 bits
    assert sessions.knows(first)
    sessions.end(first)
    sessions.end("never begun")
    assert not sessions.knows(first)
    assert not sessions.knows("")
    clock.now += 59
    assert sessions.knows(second)
    clock.now += 1
    assert not sessions.knows(second)


def test_only_so_many_sessions_are_kept() -> None:
    sessions = Sessions(Clock(), most=3)
    names = [sessions.begin() for _ in range(5)]
    assert [sessions.knows(name) for name in names] == [False, False, True, True, True]


@pytest.mark.parametrize(
    ("client", "address"),
    [
        (("192.0.2.1", 5), "192.0.2.1"),
        (("::ffff:192.0.2.1", 5), "192.0.2.1"),
        (("2001:db8:0:1::1", 5), "20010db800000001"),
        (("2001:db8:0:1:ffff::2", 5), "20010db800000001"),
        (("/run/room.sock", 0), ""),
        (None, ""),
    ],
)
def test_an_ipv6_host_is_its_network(client: object, address: str) -> None:
    assert client_address({"client": client}) == address


def test_rooms_on_one_host_do_not_share_a_cookie() -> None:
    names = {cookie_name({"server": ("127.0.0.1", port)}) for port in (8080, 8081)}
    assert names == {"tailrace-8080", "tailrace-8081"}
