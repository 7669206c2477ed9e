"""What guessing the token costs: one count of wrong ones an address, for all faces together."""

import math
import time
from collections.abc import Callable
from hashlib import sha256
from ipaddress import IPv6Address, ip_address

Clock = Callable[[], float]


class Guesses:
    """How many wrong tokens each address may still send: a bucket of `burst`, refilled by one
    every `refill_s`.

    The same wrong token again and again counts once: that is a program with an old token, which
    learns nothing and should not shut out others of its address. The `most` addresses that tried
    last are remembered.
    """

    def __init__(
        self,
        clock: Clock = time.monotonic,
        burst: int = 10,
        refill_s: float = 2.0,
        most: int = 4096,
    ) -> None:
        self._clock = clock
        self._burst = burst
        self._refill_s = refill_s
        self._most = most
        self._spent: dict[str, tuple[float, bytes]] = {}
        """By address: when its bucket will be full again, and the digest of its last guess."""

    def wait_s(self, address: str) -> float:
        """Seconds until the address may try again; 0 for now."""
        full_at, _ = self._spent.get(address, (0.0, b""))
        return max(full_at - self._clock() - (self._burst - 1) * self._refill_s, 0.0)

    def count_wrong(self, address: str, given: bytes) -> None:
        """Note a wrong token of the address."""
        full_at, last = self._spent.pop(address, (0.0, b""))
        guess = sha256(given).digest()
        if guess != last:
            full_at = max(full_at, self._clock()) + self._refill_s
        self._spent[address] = full_at, guess
        if len(self._spent) > self._most:
            del self._spent[next(iter(self._spent))]


def too_many(wait_s: float) -> str:
    """What is said to who has to wait."""
    return f"too many wrong tokens from here: wait {math.ceil(wait_s)} s"


def network_of(host: str) -> str:
    """Whom a client's address stands for: an IPv4 address, or the /64 that an IPv6 host has to
    itself; "" for what is none.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped) if mapped is not None else f"{int(address) >> 64:x}"
    return str(address)
