"""Answered requests' latency by component, added up by bins of latency, and the X-ray of its tail:
where the slowest requests' time went, against the median request's.

Every latency is cut into components that add up to it, to the nanosecond, so nothing of it can go
unexplained. Sums are int64 ns and merge by addition: over workers, machines and intervals.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain

import msgspec
import numpy as np
from numpy.typing import NDArray

from tailrace.load.measure.histogram import BIN_OF, BINS, BINS_PER_DECADE, NO_COUNTS, IntArray

SEND_LAG = "send-lag"
"""The generator's own lateness: from the intended time until it set about the request."""
CONNECTION_WAIT = "connection-wait"
"""At the cap: until a connection became free."""
CONNECT = "connect"
"""Below it: until a connection was open, or another became free before that."""
NETWORK = "network"
"""From sent to done, what the server's own stages leave over."""
SERVICE = "service"
"""From sent to done, where the server said nothing: network and server are one then."""

_OWN = (SEND_LAG, CONNECTION_WAIT, CONNECT, NETWORK, SERVICE)
_EMPTY: IntArray = np.zeros((1, 0), dtype=np.int64)

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


class Breakdown:
    """Counts, and sums of each component, by bin of latency. A value: adding some makes another."""

    __slots__ = ("bins", "components", "table")

    def __init__(
        self,
        components: tuple[str, ...] = (),
        bins: IntArray = NO_COUNTS,
        table: IntArray = _EMPTY,
    ) -> None:
        self.components = components
        """In the order of a request's way; those that took any time."""
        self.bins = bins
        """int64 [k]: numbers of the bins in use, ascending."""
        self.table = table
        """int64 [1 + components, k]: counts, and the sums of each component in ns."""

    @classmethod
    def merged(cls, parts: Iterable["Breakdown"]) -> "Breakdown":
        """All of `parts` added up."""
        parts = tuple(parts)
        components = _ordered(chain.from_iterable(part.components for part in parts))
        table = np.zeros((1 + len(components), BINS), dtype=np.int64)
        for part in parts:
            rows = np.array([0, *(1 + components.index(name) for name in part.components)])
            table[rows[:, np.newaxis], part.bins] += part.table
        return cls._of(components, table)

    @classmethod
    def _of(cls, components: tuple[str, ...], table: IntArray) -> "Breakdown":
        """`table` has every bin."""
        used = np.flatnonzero(table[0])
        return cls(components, used, table[:, used])

    def renamed(self, name_of: Callable[[str], str]) -> "Breakdown":
        """The same with the service's stages called otherwise; those of one name add up."""
        names = [name if name in _OWN else name_of(name) for name in self.components]
        components = _ordered(names)
        table = np.zeros((1 + len(components), len(self.bins)), dtype=np.int64)
        np.add.at(table, [0, *(1 + components.index(name) for name in names)], self.table)
        return Breakdown(components, self.bins, table)

    def pack(self) -> tuple[tuple[str, ...], bytes]:
        """A compact form for the wire."""
        words = np.vstack((self.bins, self.table)).astype("<i8")
        return self.components, words.tobytes()

    @classmethod
    def unpacked(cls, packed: tuple[Sequence[str], bytes]) -> "Breakdown":
        """What `pack` gave."""
        components, data = packed
        words = np.frombuffer(data, dtype="<i8").reshape(2 + len(components), -1)
        return cls(tuple(components), words[0], words[1:])

    @property
    def sums_ns(self) -> dict[str, IntArray]:
        """By component, int64 [k]."""
        return dict(zip(self.components, self.table[1:], strict=True))

    def in_us(self) -> dict[str, tuple[int, ...]]:
        """The sums in µs, rounded, of the bins in use, by component."""
        return {name: tuple(((ns + 500) // 1000).tolist()) for name, ns in self.sums_ns.items()}

    def xray(self) -> Xray | None:
        """Where the time of the slowest 1 % went. None for fewer requests than FEWEST, or without
        components.

        The requests of one bin are taken for alike: of a bin that lies across a border, the part
        within counts in proportion.
        """
        counts = self.table[0]
        total = int(counts.sum())
        if total < FEWEST or not self.components:
            return None
        tail, median = (_taken(counts, total, *shares) for shares in (TAIL, MEDIAN))
        means_ms = {
            name: [float(sums @ part) / float(counts @ part) / 1e6 for part in (tail, median)]
            for name, sums in self.sums_ns.items()
        }
        # Rounded before it is looked for: requests of one bin differ by the error of a sum alone.
        gap_ms = {name: round(slow - usual, 4) for name, (slow, usual) in means_ms.items()}
        is_gap = sum(gap_ms.values()) > 0
        first = int(self.bins[np.flatnonzero(tail)[0]])
        return Xray(
            tail_requests=round(total * (TAIL[1] - TAIL[0])),
            median_requests=round(total * (MEDIAN[1] - MEDIAN[0])),
            from_ms=round(10.0 ** (first / BINS_PER_DECADE - 3), 4),
            tail_ms={name: round(slow, 4) for name, (slow, _) in means_ms.items()},
            median_ms={name: round(usual, 4) for name, (_, usual) in means_ms.items()},
            gap_ms=gap_ms,
            explains=max(gap_ms, key=gap_ms.__getitem__) if is_gap else None,
        )


def _taken(counts: IntArray, total: int, low: float, high: float) -> NDArray[np.float64]:
    """float64 [bins]: which part of each bin lies between the two shares of all requests."""
    ends = np.cumsum(counts)
    within = np.minimum(ends, high * total) - np.maximum(ends - counts, low * total)
    parts: NDArray[np.float64] = np.maximum(within, 0) / np.maximum(counts, 1)
    return parts


class OpenBreakdown:
    """A breakdown that requests are still recorded in."""

    __slots__ = ("_counts", "_sums_ns")

    def __init__(self) -> None:
        self._counts: IntArray = np.zeros(BINS, dtype=np.int64)
        self._sums_ns: dict[str, IntArray] = {}

    def record(self, buckets: IntArray, components_ns: Mapping[str, IntArray]) -> None:
        """Add requests of which the latencies fell into these buckets of a histogram, [n], with the
        components of each, [n] too."""
        number = BIN_OF[buckets]
        self._counts += np.bincount(number, minlength=BINS)
        for name, spans_ns in components_ns.items():
            if name not in self._sums_ns:
                self._sums_ns[name] = np.zeros(BINS, dtype=np.int64)
            np.add.at(self._sums_ns[name], number, spans_ns)

    def closed(self) -> Breakdown:
        """What was recorded; from now on it is empty again."""
        components = _ordered(name for name, sums in self._sums_ns.items() if sums.any())
        rows = (self._counts, *(self._sums_ns[name] for name in components))
        breakdown = Breakdown._of(components, np.stack(rows))
        self._counts[:] = 0
        self._sums_ns = {}
        return breakdown


def _ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Each once, our own first."""
    found = dict.fromkeys(names)
    return (*(name for name in _OWN if name in found), *(n for n in found if n not in _OWN))


def split(
    lag_ns: IntArray,
    waits_ns: Mapping[str, IntArray],
    service_ns: IntArray,
    stages_ns: Mapping[str, IntArray],
) -> dict[str, IntArray]:
    """Components of each latency, int64 ns [n] by name, that add up to lag + service time exactly.

    `lag_ns` is sent − intended, of which the waits for a connection are a part. A stage is negative
    where the server did not name it. Stages of more time than the request took, because they
    overlap, are shortened alike to what it took, and leave nothing for the network.
    """
    late_ns = lag_ns
    for spans in waits_ns.values():
        late_ns = late_ns - spans
    parts = {SEND_LAG: late_ns, **waits_ns}
    if not stages_ns:
        return {**parts, SERVICE: service_ns}
    stages = {name: np.maximum(spans, 0) for name, spans in stages_ns.items()}
    reported = sum(stages.values(), np.zeros_like(service_ns))
    too_long = reported > service_ns
    if too_long.any():
        # A hair less than the quotient, so that rounding never makes the whole too long.
        factor = np.where(too_long, service_ns / np.maximum(reported, 1) * (1 - 1e-12), 1)
        stages = {name: (spans * factor).astype(np.int64) for name, spans in stages.items()}
        reported = sum(stages.values(), np.zeros_like(service_ns))
    told = np.logical_or.reduce([spans >= 0 for spans in stages_ns.values()])
    rest_ns = service_ns - reported
    parts[NETWORK] = np.where(told, rest_ns, 0)
    parts[SERVICE] = rest_ns - parts[NETWORK]
    for name, spans in stages.items():
        # A server may use one of our names, and means something of its own by it.
        parts[f"{name} (server)" if name in _OWN else name] = spans
    return parts
