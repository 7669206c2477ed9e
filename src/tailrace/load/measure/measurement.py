"""A measurement: what was counted and timed over any stretch of a run.

A worker's report, an interval, a window, a node and a whole run are measurements; they add up, and
go over a wire. How a count merges, and how a person is shown it, is declared beside it: whatever
merges or shows counts reads it there. A series is one named histogram; where it is declared what a
series is called and where it is shown, says `figures`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest
from itertools import chain
from typing import Annotated, Any, TypeVar, get_type_hints

import msgspec
from msgspec import Meta

from tailrace.load.measure.breakdown import Breakdown
from tailrace.load.measure.failures import count_failure, kinds_of
from tailrace.load.measure.histogram import Histogram
from tailrace.load.measure.server_timing import StageNames

SLOWEST = 5
"""How many requests are kept as the slowest, at most."""
MOST_ADDRESSES = 1024
"""So many are counted apart."""
OTHER_ADDRESSES = "other addresses"

# What is out of these bounds is no interval of a run: a file that says so is not read, since charts
# would be drawn over all of it.
MOST_COUNT = 2**53
Count = Annotated[int, Meta(ge=0, le=MOST_COUNT)]
Few = Meta(max_length=128)
"""Stages, reasons and other names: a run keeps 64 of each, and their sums."""

_NEVER_NS = 2**63 - 1
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """How a field of a measurement merges, and how people are shown it."""

    merge: Callable[[Sequence[Any]], Any] = sum
    """All of its values to one."""
    level: bool = False
    """Whether it is how things stood at an interval's end: of the last interval alone it is taken,
    merged over the workers; intervals that are drawn as one show the highest.
    """
    label: str = ""
    """Empty for what is not shown by itself."""
    about: str = ""
    chart: str = ""
    """The chart in which it is a line."""
    colour: str = ""
    """The line's, a name of the style sheet."""
    health: str = ""
    """What it is called in the report, among what the generator says of itself."""
    warns: bool = False
    """Whether the terminal says so where it is not 0."""


def _by_name(parts: Sequence[Mapping[str, Histogram]]) -> dict[str, Histogram]:
    names = dict.fromkeys(chain(*parts))
    return {name: Histogram.merged(part[name] for part in parts if name in part) for name in names}


def _reasons(parts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for reason, count in chain.from_iterable(part.items() for part in parts):
        count_failure(total, reason, count)
    return total


def _examples(parts: Sequence[Mapping[str, str]]) -> dict[str, str]:
    # Of each reason the first one.
    return dict(chain.from_iterable(part.items() for part in reversed(parts)))


def _addresses(parts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for address, count in chain.from_iterable(part.items() for part in parts):
        is_known = address in total or len(total) < MOST_ADDRESSES
        total[address if is_known else OTHER_ADDRESSES] += count
    return dict(total)


class SlowRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One of the slowest requests of an interval that were answered."""

    latency_ms: float
    service_ms: float
    send_lag_ms: float
    connection_ms: float = 0.0
    """How long it waited for a connection, to be opened or to become free."""
    stages_ms: dict[str, float] = {}
    """What the service said of it in Server-Timing."""


def _slowest(parts: Sequence[Sequence[SlowRequest]]) -> tuple[SlowRequest, ...]:
    requests = chain.from_iterable(parts)
    return tuple(nlargest(SLOWEST, requests, key=lambda request: request.latency_ms))


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What a measurement and the figures of an interval both have, as it was counted."""

    offered: Annotated[Count, Declared(label="offered")] = 0
    """Arrivals whose intended time fell into it."""
    sent: Annotated[Count, Declared(label="sent")] = 0
    completed: Annotated[Count, Declared(label="answered")] = 0
    reasons: Annotated[dict[str, Count], Few, Declared(merge=_reasons)] = {}
    """Failures by reason: `http: 404`, `connect: refused`."""
    examples: Annotated[dict[str, str], Few, Declared(merge=_examples)] = {}
    """Of reasons met for the first time in the run: the status line and the first bytes of an
    answer."""
    in_flight: Annotated[
        Count,
        Declared(
            level=True,
            label="in flight",
            about="sent and not yet answered at the interval's end",
            chart="in-flight",
            colour="inflight",
            health="In flight, most",
        ),
    ] = 0
    """Requests sent and not yet answered at the end."""
    backlog: Annotated[
        Count,
        Declared(
            level=True,
            label="backlog",
            about="due, and waiting for a connection",
            chart="in-flight",
            colour="waiting",
            health="Backlog, most",
            warns=True,
        ),
    ] = 0
    """Requests whose intended time has passed and that wait for a connection, at the end."""
    connections: Annotated[
        Count,
        Declared(
            level=True,
            label="open",
            about="open at an interval's end",
            chart="connections",
            colour="inflight",
            health="Connections, most",
        ),
    ] = 0
    cap_waits: Annotated[
        Count,
        Declared(
            label="waited",
            about="all were busy, at the cap",
            chart="connections",
            colour="waiting",
            health="Requests that waited for a connection",
        ),
    ] = 0
    """Requests that found every connection busy and no room for another."""
    slowest: Annotated[tuple[SlowRequest, ...], Few, Declared(merge=_slowest)] = ()
    """The slowest answered requests, slowest first."""

    @property
    def outstanding(self) -> int:
        """Requests that were due by the end, and neither answered nor failed."""
        return self.in_flight + self.backlog


class Measurement(Counts, frozen=True, kw_only=True):
    """What was counted and timed over a stretch of a run; nothing, when made without arguments."""

    index: Annotated[int, Declared(merge=max)] = -1
    """Number of the interval, the last one if there are several."""
    begun_ns: Annotated[int, Declared(merge=min)] = _NEVER_NS
    end_ns: Annotated[int, Declared(merge=max)] = 0
    """From when to when, since the run's start."""
    answered_ns: Annotated[int, Declared(merge=max)] = 0
    """When the last answer came, since the run's start; 0 where none did."""
    port_exhausted: Annotated[int, Declared()] = 0
    tick_lag_ns: Annotated[int, Declared(merge=max)] = 0
    clock_steps_ns: Annotated[int, Declared()] = 0
    """By how much the time of day was set while monotonic time went on."""
    cpu_ns: Annotated[int, Declared()] = 0
    worker_ns: Annotated[int, Declared()] = 0
    """Time that the workers had, all together: cpu_ns / worker_ns is their share of a core."""
    cpu_periods: Annotated[int, Declared()] = 0
    """Of the CPU limits on their containers (see `CpuLimit`); workers in one container each count
    them."""
    cpu_throttled: Annotated[int, Declared()] = 0
    """In which they were stopped: cpu_throttled / cpu_periods is the share."""
    addresses: Annotated[dict[str, int], Declared(merge=_addresses)] = {}
    """Requests sent, by where to."""
    series: Annotated[dict[str, Histogram], Declared(merge=_by_name)] = {}
    stages: Annotated[dict[str, Histogram], Declared(merge=_by_name)] = {}
    """Times that the service said it took, by stage."""
    breakdown: Annotated[Breakdown, Declared(merge=Breakdown.merged)] = Breakdown()

    def __add__(self, other: "Measurement") -> "Measurement":
        return added((self, other))

    @property
    def failures(self) -> int:
        """Failed requests of every kind."""
        return sum(self.reasons.values())

    @property
    def ended(self) -> int:
        """Requests that were answered or failed."""
        return self.completed + self.failures

    @property
    def failed(self) -> dict[str, int]:
        """Failed requests, by kind."""
        return kinds_of(self.reasons)

    @property
    def latency(self) -> Histogram:
        """From the intended time to the answer."""
        return self.of("latency")

    @property
    def send_lag(self) -> Histogram:
        """How late the generator itself was."""
        return self.of("send_lag")

    def of(self, series: str) -> Histogram:
        """One of its series; empty where nothing was timed."""
        return self.series.get(series, _NOTHING)

    def with_stages(self, names: StageNames) -> "Measurement":
        """The same with stages beyond those in `names` counted together, as OTHER."""
        stages = _by_name([{names.known(name): one} for name, one in self.stages.items()])
        if stages.keys() == self.stages.keys():
            return self
        breakdown = self.breakdown.renamed(names.known)
        return msgspec.structs.replace(self, stages=stages, breakdown=breakdown)


_NOTHING = Histogram()


def declared(kind: type[Any], what: type[_T]) -> dict[str, _T]:
    """What is declared of the fields of `kind`, by name."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        name: found
        for name, hint in hints.items()
        for found in getattr(hint, "__metadata__", ())
        if isinstance(found, what)
    }


COUNTS = declared(Counts, Declared)
_ALL = declared(Measurement, Declared)


def added(parts: Iterable[Measurement]) -> Measurement:
    """The measurement of all `parts` together, the earlier ones first."""
    parts = tuple(parts)
    if len(parts) < 2:
        return parts[0] if parts else Measurement()
    index = max(part.index for part in parts)
    last = [part for part in parts if part.index == index]
    return Measurement(
        **{
            name: one.merge([getattr(part, name) for part in (last if one.level else parts)])
            for name, one in _ALL.items()
        }
    )


def pack(value: object) -> object:
    """A histogram or breakdown as it goes over a wire; msgspec's `enc_hook`."""
    if isinstance(value, Histogram | Breakdown):
        return value.pack()
    raise NotImplementedError(f"a {type(value).__name__} cannot be packed")


def unpack(kind: type[Any], data: Any) -> Histogram | Breakdown:
    """What `pack` gave; msgspec's `dec_hook`."""
    if kind is Histogram:
        return Histogram.unpacked(data)
    if kind is Breakdown:
        return Breakdown.unpacked(data)
    raise NotImplementedError(f"a {kind.__name__} is never packed")
