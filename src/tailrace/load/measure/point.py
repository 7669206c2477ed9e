"""What one interval of a run amounted to: the unit of every timeline, stream and page."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

EventKind = Literal["rate", "profile", "stop", "worker"]
"""A change of the rate or of the profile, the end of the offering, a load worker that died or
was replaced."""
BINS_PER_DECADE = 20
"""Of `Point.latency_bins`: each bin is 12 % wide."""
BINS = 10 * BINS_PER_DECADE
"""From 1 µs to beyond the longest time that is told from others, an hour."""

SLOWEST = 5
"""How many requests `Point.slowest` names, at most."""

# What is out of these bounds is no interval of a run: a file that says so is not read, since charts
# would be drawn over all of it.
MOST_COUNT = 2**53
Count = Annotated[int, Meta(ge=0, le=MOST_COUNT)]
Seconds = Annotated[float, Meta(ge=0, le=1e10)]
Length = Annotated[float, Meta(gt=0, le=1e10)]
Bin = Annotated[int, Meta(ge=0, lt=BINS)]
_Few = Meta(max_length=128)
"""Stages, reasons and other names: a run keeps 64 of each, and their sums."""


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """Of one histogram, in milliseconds; every field is None where nothing was recorded."""

    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    p99_9: float | None = msgspec.field(default=None, name="p99.9")
    max: float | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was done to a run, or befell it, at one instant."""

    t_s: float
    """When it took effect, seconds since the run's start."""
    wall_time: float
    """The same instant as Unix time, seconds."""
    kind: EventKind
    text: str
    """For a person: `200/s`, `100..1000/60s`, `load worker 1 died`."""
    rate_per_s: float
    """The rate asked for from that instant on."""


class SlowRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One of the slowest requests of an interval that were answered."""

    t_s: float
    """Its intended time, seconds since the run's start."""
    latency_ms: float
    service_ms: float
    send_lag_ms: float
    connection_ms: float = 0.0
    """How long it waited for a connection, to be opened or to become free."""
    stages_ms: dict[str, float] = {}
    """What the service said of it in Server-Timing."""


class NodeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What one machine of a fleet did in an interval, or in a whole run."""

    workers: int
    """Load workers that are at work on it; 0 once it is lost."""
    rps: float
    """Requests it sent, a second of the offering while it was there."""
    send_lag_p99_us: float | None
    """None where nothing was sent."""
    cpu_percent: float
    """Of one core, its load workers' together."""
    seen_s: float
    """Up to when it has reported, seconds since the run's start."""
    clock_error_ms: float
    """The most by which the node's idea of an instant of the run can be off, drift included."""
    clock_drift_ms: float
    """By how much its clock has gone away from the session's since the start."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One interval of one service's run, merged over its load workers."""

    index: Count
    """Number of the interval in its run, from 0."""
    t_s: Seconds
    """End of the interval, seconds since the run's start."""
    wall_time: Seconds
    """The same instant as Unix time, seconds, for a person's clock."""
    interval_s: Length
    target_per_s: float
    """What the profile asked for at the interval's end; 0 for one that began after the run's."""
    offered: Count
    """Arrivals whose intended time fell into the interval."""
    sent: Count
    completed: Count
    failed: Annotated[dict[str, Count], _Few]
    """Failures of the interval by kind; kinds that did not occur are absent."""
    reasons: Annotated[dict[str, Count], _Few] = {}
    """The same failures by reason: `http: 404`, `connect: refused`."""
    examples: Annotated[dict[str, str], _Few] = {}
    """Of reasons met for the first time in the run: the status line and the first bytes of an
    answer."""
    rps: float
    qps: float
    in_flight: Count
    """Requests sent and not yet answered at the interval's end."""
    backlog: Count
    """Requests whose intended time has passed and that wait for a connection."""
    connections: Count
    cap_waits: Count
    """Requests that found every connection busy and no room for another."""
    tick_lag_ms: float
    """The most by which the generator's own clock tick came late."""
    latency_ms: Percentiles
    service_ms: Percentiles
    send_lag_us: Percentiles
    """In microseconds."""
    stages_ms: Annotated[dict[str, Percentiles], _Few]
    cpu_percent: float
    """Of one core, the load workers' together."""
    events: tuple[Event, ...] = ()
    """What happened within the interval, in order."""
    latency_bins: dict[Bin, Count] = {}
    """How many completed requests fell into each bin of latency: number b holds those from
    10^(b/BINS_PER_DECADE) µs up to the next one's start; what took less than 1 µs is in 0."""
    components_us: Annotated[dict[str, tuple[int, ...]], _Few] = {}
    """Where those requests' time went: of each component of latency that took any, the sum in µs
    over the requests of each bin in `latency_bins`, from the fastest bin on. The components of a
    bin add up to its requests' latency, but for rounding."""
    slowest: Annotated[tuple[SlowRequest, ...], _Few] = ()
    """The slowest answered requests, slowest first."""
    server: Annotated[dict[str, float], _Few] = {}
    """What the service's own /metrics tell of the interval: `cpu_percent` of one core, and
    `gpu_percent`; empty where they tell nothing."""
    nodes: dict[str, NodeFigures] = {}
    """By name, the machines of a fleet; empty for a run on one machine."""
