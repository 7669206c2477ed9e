from itertools import islice

import pytest

from tailrace.load.client.addresses import Addresses


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
