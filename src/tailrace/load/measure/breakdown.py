"""Answered requests' latency by component, added up by bins of latency.

Every latency is cut into components that add up to it, to the nanosecond, so nothing of it can go
unexplained. Sums are int64 ns and merge by addition: over workers, machines and intervals.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np

from tailrace.load.measure.histogram import IntArray, bin_of
from tailrace.load.measure.point import BINS_PER_DECADE, Point
from tailrace.load.measure.server_timing import StageNames
from tailrace.load.measure.xray import Xray, take_xray

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
_BINS = 10 * BINS_PER_DECADE


class Packed(msgspec.Struct, frozen=True):
    """A breakdown as it goes over a socket."""

    components: list[str]
    data: bytes
    """int64, little-endian, [2 + components, bins in use]: their numbers, their counts, and the
    sums of each component in ns."""


class Breakdown:
    """Counts, and sums of each component, by bin of latency; empty when made."""

    __slots__ = ("counts", "sums_ns")

    def __init__(self) -> None:
        self.counts: IntArray = np.zeros(_BINS, dtype=np.int64)
        self.sums_ns: dict[str, IntArray] = {}
        """int64 [bins] by component, in the order of a request's way."""
        self.clear()

    def record(self, buckets: IntArray, components_ns: Mapping[str, IntArray]) -> None:
        """Add requests of which the latencies fell into these buckets of a histogram, [n], with the
        components of each, [n] too."""
        number = bin_of(BINS_PER_DECADE)[buckets]
        self.counts += np.bincount(number, minlength=_BINS)
        for name, spans_ns in components_ns.items():
            np.add.at(self._sums(name), number, spans_ns)

    def add_packed(self, packed: Packed, names: StageNames) -> None:
        """Merge what `pack` gave of another one; stages beyond those in `names` add up as OTHER."""
        words = np.frombuffer(packed.data, dtype="<i8")
        used, counts, *sums = words.reshape(2 + len(packed.components), -1)
        self.counts[used] += counts
        for name, spans_ns in zip(packed.components, sums, strict=True):
            self._sums(name if name in _OWN else names.known(name))[used] += spans_ns

    def add(
        self,
        bins: Sequence[int] | IntArray,
        counts: Sequence[int] | IntArray,
        sums_ns: Mapping[str, IntArray],
    ) -> None:
        """Merge counts and sums of the bins with these numbers, [n] each."""
        self.counts[bins] += counts
        for name, sums in sums_ns.items():
            self._sums(name)[bins] += sums

    def pack(self) -> Packed:
        """A compact form: the bins in use, and the components that took any time."""
        used = np.flatnonzero(self.counts)
        some = {name: sums[used] for name, sums in self.sums_ns.items() if sums.any()}
        words = np.array([used, self.counts[used], *some.values()], dtype="<i8")
        return Packed(list(some), words.tobytes())

    def clear(self) -> None:
        """Forget everything."""
        self.counts[:] = 0
        self.sums_ns = {name: np.zeros(_BINS, dtype=np.int64) for name in _OWN}

    def in_us(self) -> dict[str, tuple[int, ...]]:
        """The sums in µs, rounded, of the bins in use, by component that took any time."""
        used = np.flatnonzero(self.counts)
        return {
            name: tuple(((sums[used] + 500) // 1000).tolist())
            for name, sums in self.sums_ns.items()
            if sums.any()
        }

    def xray(self) -> Xray | None:
        """Where the time of the slowest 1 % went; None of too few requests."""
        some = {name: sums for name, sums in self.sums_ns.items() if sums.any()}
        return take_xray(self.counts, some, BINS_PER_DECADE)

    def _sums(self, name: str) -> IntArray:
        if name not in self.sums_ns:
            self.sums_ns[name] = np.zeros(_BINS, dtype=np.int64)
        return self.sums_ns[name]


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
    if (reported > service_ns).any():
        stages = _shorten(stages, service_ns, reported)
        reported = sum(stages.values(), np.zeros_like(service_ns))
    told = np.logical_or.reduce([spans >= 0 for spans in stages_ns.values()])
    rest_ns = service_ns - reported
    parts[NETWORK] = np.where(told, rest_ns, 0)
    parts[SERVICE] = rest_ns - parts[NETWORK]
    for name, spans in stages.items():
        # A server may use one of our names, and means something of its own by it.
        parts[f"{name} (server)" if name in _OWN else name] = spans
    return parts


def _shorten(
    stages: Mapping[str, IntArray], service_ns: IntArray, reported: IntArray
) -> dict[str, IntArray]:
    # A hair less than the quotient, so that rounding never makes the whole too long.
    factor = np.where(reported > service_ns, service_ns / np.maximum(reported, 1) * (1 - 1e-12), 1)
    return {name: (spans * factor).astype(np.int64) for name, spans in stages.items()}


def xray_of(points: Iterable[Point]) -> Xray | None:
    """The X-ray of several intervals taken together; None of too few requests."""
    merged = Breakdown()
    for point in points:
        used = sorted(point.latency_bins)
        merged.add(
            used,
            [point.latency_bins[number] for number in used],
            {name: np.multiply(sums, 1000) for name, sums in point.components_us.items()},
        )
    return merged.xray()
