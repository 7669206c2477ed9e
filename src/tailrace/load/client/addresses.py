"""The addresses of a name: whose turn it is, and which are left out for a while."""

from collections.abc import Sequence
from itertools import chain, zip_longest
from time import monotonic

from tailrace.load.measure.measurement import MOST_ADDRESSES

_LEFT_OUT_S = 10.0
_LONGEST_LEFT_OUT_S = 320.0


class Addresses:
    """The addresses of one name. They take turns, but for those that were last not to be reached.

    `all` has them in the order of RFC 8305: families by turns, that of the first address first.
    """

    def __init__(self) -> None:
        self.all: list[str] = []
        self._next = -1
        self._reached: set[str] = set()
        self._pauses_s: dict[str, float] = {}
        """How long those that cannot be reached are left out, since they were last reached."""
        self._out_until_s: dict[str, float] = {}

    def replace(self, found: Sequence[str]) -> None:
        """The name has these addresses now, the preferred one first."""
        self.all = _interleave(found)[:MOST_ADDRESSES]
        self._reached &= set(found)
        for known in (self._pauses_s, self._out_until_s):
            for gone in known.keys() - set(found):
                del known[gone]

    @property
    def usable(self) -> list[str]:
        """Those that are not left out."""
        if not self._out_until_s:
            return self.all
        now_s = monotonic()
        return [address for address in self.all if self._out_until_s.get(address, now_s) <= now_s]

    def in_order(self, first: str | None = None) -> list[str]:
        """All of them as they are to be tried: `first`, or else the one whose turn it is, those
        behind it, and at last those that are left out.
        """
        usable = self.usable
        if first in usable:
            place = usable.index(first)
        else:
            self._next += 1
            place = self._next % max(len(usable), 1)
        usable = usable[place:] + usable[:place]
        return usable + [address for address in self.all if address not in usable]

    def was_reached(self, address: str) -> bool:
        """Whether a connection to it was ever open."""
        return address in self._reached

    def reached(self, address: str) -> None:
        """A connection to it is open."""
        self._reached.add(address)
        self._pauses_s.pop(address, None)
        self._out_until_s.pop(address, None)

    def leave_out(self, address: str) -> None:
        """It refuses, or is too slow: let it be for 10 s, twice as long each time."""
        pause_s = min(2 * self._pauses_s.get(address, _LEFT_OUT_S / 2), _LONGEST_LEFT_OUT_S)
        self._pauses_s[address] = pause_s
        self._out_until_s[address] = monotonic() + pause_s


def _interleave(addresses: Sequence[str]) -> list[str]:
    six = [address for address in addresses if ":" in address]
    four = [address for address in addresses if ":" not in address]
    families = (six, four) if addresses and ":" in addresses[0] else (four, six)
    mixed = chain.from_iterable(zip_longest(*families))
    return [address for address in mixed if address is not None]
