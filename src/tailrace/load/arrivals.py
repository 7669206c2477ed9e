"""Arrival processes: unit-rate point processes, drawn in numpy chunks from a seed.

A process says where arrivals lie in *operational time*, in which they come at mean rate 1. A
profile maps operational time to seconds (profile.py), so the same arrivals serve every rate, and
a change of the rate never draws anything anew.
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tailrace.errors import UsageError

CHUNK = 4096
"""Arrivals drawn at a time. Part of what a seed means: another size is another schedule."""


class Arrivals(Protocol):
    """How requests are spaced."""

    def chunks(self, seed: int) -> Iterator[NDArray[np.float64]]:
        """Endless consecutive chunks, float64 [CHUNK], of arrival positions in operational time.

        Positions never decrease and their gaps have mean 1. The same seed gives the same chunks,
        bit for bit.
        """


class Constant:
    """Arrivals at 0, 1, 2, …: in s seconds at rate r exactly ⌈r·s⌉ of them."""

    def chunks(self, seed: int) -> Iterator[NDArray[np.float64]]:
        """See Arrivals; the seed changes nothing."""
        first = 0
        while True:
            yield np.arange(first, first + CHUNK, dtype=np.float64)
            first += CHUNK


class Poisson:
    """Independent exponential gaps: what many independent users offer."""

    def chunks(self, seed: int) -> Iterator[NDArray[np.float64]]:
        """See Arrivals."""
        draw = np.random.Generator(np.random.PCG64(seed))
        last = 0.0
        while True:
            chunk = np.cumsum(draw.standard_exponential(CHUNK))
            chunk += last
            last = float(chunk[-1])
            yield chunk


_KINDS: dict[str, type[Constant] | type[Poisson]] = {"constant": Constant, "poisson": Poisson}


def parse_arrivals(text: str) -> Arrivals:
    """The arrival process named `text`: `constant` or `poisson`.

    Raises:
        UsageError: there is no such process.
    """
    kind = _KINDS.get(text.strip().lower())
    if kind is None:
        raise UsageError(f"unknown arrivals {text!r}: choose from {', '.join(_KINDS)}")
    return kind()


def share(
    chunks: Iterator[NDArray[np.float64]], worker: int, workers: int
) -> Iterator[NDArray[np.float64]]:
    """Worker `worker`'s part of a schedule: every arrival whose number is ≡ worker (mod workers).

    The union over all workers is the schedule itself, whatever their number.
    """
    first = 0
    for chunk in chunks:
        yield chunk[(worker - first) % workers :: workers]
        first += len(chunk)
