"""The X-ray of a tail: where the slowest requests' time went, against the median request's.

From counts of requests and sums of each component of their latency by bins of latency alone, so
that it can be taken of whatever was merged: workers, intervals, nodes.
"""

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

TAIL = (0.99, 1.0)
"""The slowest 1 %, as shares of the requests from the fastest to the slowest."""

MEDIAN = (0.4, 0.6)
"""The requests around the median: enough of them for a mean that does not jump about."""

FEWEST = 100
"""Fewer answered requests have no slowest 1 %."""


class Xray(msgspec.Struct, frozen=True, kw_only=True):
    """Where the slowest 1 % of the answered requests spent their time, and where those from the
    40th to the 60th percentile did.

    Means in ms by component, in the order of a request's way; those of one group add up to its
    mean latency, but for rounding.
    """

    tail_requests: int
    """How many the slowest 1 % are, rounded."""
    median_requests: int
    from_ms: float
    """The latency from which on a request is in the tail: the lower edge of its bin."""
    tail_ms: dict[str, float]
    median_ms: dict[str, float]
    gap_ms: dict[str, float]
    """The tail's less the median's."""
    explains: str | None
    """The component with the largest part of the gap; None where there is no gap."""

    @property
    def gap_total_ms(self) -> float:
        """How much longer the tail took than the median, on average."""
        return sum(self.gap_ms.values())

    @property
    def share(self) -> float | None:
        """The part of the gap that `explains` has, 0..1; None without one."""
        # Above 1 where another component was shorter in the tail.
        return min(self.gap_ms[self.explains] / self.gap_total_ms, 1.0) if self.explains else None


def take_xray(counts: IntArray, sums_ns: Mapping[str, IntArray], per_decade: int) -> Xray | None:
    """The X-ray of requests of which `counts` [bins] fell into each bin of latency, `per_decade`
    bins to a factor of ten from 1 µs on, and whose components took `sums_ns` [bins] there, in ns.

    The requests of one bin are taken for alike: of a bin that lies across a border, the part
    within counts in proportion. None for fewer than FEWEST, or without components.
    """
    total = int(counts.sum())
    if total < FEWEST or not sums_ns:
        return None
    tail, median = (_taken(counts, total, *shares) for shares in (TAIL, MEDIAN))
    means_ms = {
        name: [float(sums @ part) / float(counts @ part) / 1e6 for part in (tail, median)]
        for name, sums in sums_ns.items()
    }
    gap_ms = {name: slow - usual for name, (slow, usual) in means_ms.items()}
    largest = max(gap_ms, key=gap_ms.__getitem__)
    is_gap = sum(gap_ms.values()) > 0
    return Xray(
        tail_requests=round(total * (TAIL[1] - TAIL[0])),
        median_requests=round(total * (MEDIAN[1] - MEDIAN[0])),
        from_ms=round(10.0 ** (int(np.flatnonzero(tail)[0]) / per_decade - 3), 4),
        tail_ms={name: round(slow, 4) for name, (slow, _) in means_ms.items()},
        median_ms={name: round(usual, 4) for name, (_, usual) in means_ms.items()},
        gap_ms={name: round(gap, 4) for name, gap in gap_ms.items()},
        explains=largest if is_gap else None,
    )


def _taken(counts: IntArray, total: int, low: float, high: float) -> NDArray[np.float64]:
    # float64 [bins]: which part of each bin lies between the two ranks.
    ends = np.cumsum(counts)
    within = np.minimum(ends, high * total) - np.maximum(ends - counts, low * total)
    parts: NDArray[np.float64] = np.maximum(within, 0) / np.maximum(counts, 1)
    return parts
