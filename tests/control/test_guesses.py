"""What guessing the token costs, on a clock of the test's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.control.guesses import Guesses, network_of
from tests.kit.clock import Clock


def test_guesses_are_a_bucket_that_refills() -> None:
    clock = Clock()
    guesses = Guesses(clock, burst=3, refill_s=2)
    for number in range(3):
        assert guesses.wait_s("a") == 0
        guesses.count_wrong("a", b"%d" % number)
    assert guesses.wait_s("a") == 2
    assert guesses.wait_s("b") == 0
    clock.now += 1.5
    assert guesses.wait_s("a") == 0.5
    clock.now += 0.5
    assert guesses.wait_s("a") == 0
    guesses.count_wrong("a", b"3")
    assert guesses.wait_s("a") == 2
    clock.now += 1000
    for number in range(3):
        assert guesses.wait_s("a") == 0
        guesses.count_wrong("a", b"later %d" % number)
    assert guesses.wait_s("a") == 2


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "20010db800010002"),
        ("2001:db8:1:2::9", "20010db800010002"),
        ("2001:db8:1:3::9", "20010db800010003"),
        ("a name", ""),
    ],
)
def test_whom_an_address_stands_for(host: str, network: str) -> None:
    assert network_of(host) == network


def test_the_same_wrong_token_counts_once() -> None:
    guesses = Guesses(Clock(), burst=2, refill_s=2)
    for _ in range(100):
        guesses.count_wrong("a", b"old")
    assert guesses.wait_s("a") == 0
    guesses.count_wrong("a", b"other")
    assert guesses.wait_s("a") == 2


def test_only_so_many_addresses_are_remembered() -> None:
    guesses = Guesses(Clock(), burst=1, refill_s=2, most=2)
    for address in ("a", "b", "a", "c"):
        guesses.count_wrong(address, address.encode())
    assert [guesses.wait_s(address) for address in ("a", "b", "c")] == [2, 0, 2]


@given(st.lists(st.floats(0, 20), min_size=1, max_size=60))
def test_no_more_guesses_pass_than_the_bucket_holds(pauses_s: list[float]) -> None:
    clock = Clock()
    guesses, begin, passed = Guesses(clock, burst=4, refill_s=3), clock.now, 0
    for number, pause_s in enumerate(pauses_s):
        clock.now += pause_s
        if guesses.wait_s("a") == 0:
            guesses.count_wrong("a", b"%d" % number)
            passed += 1
    assert passed <= 4 + (clock.now - begin) / 3 + 1e-9
