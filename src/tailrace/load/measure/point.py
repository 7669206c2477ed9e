"""Figures: what is computed from a measurement where it is closed, and how people are shown them.

`close` computes them, whatever has them: a Point (one interval), a window, a result. A series is
declared where its percentiles stand: faces, pages, reports and tables go by that.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from tailrace.load.measure.histogram import BINS, Histogram
from tailrace.load.measure.measurement import COUNTS, Count, Counts, Few, Measurement, declared
from tailrace.units import format_figure, format_latency

EventKind = Literal["rate", "profile", "stop", "worker"]
"""A change of the rate or of the profile, the end of the offering, a load worker that died or
was replaced."""
WINDOW = 60
"""Intervals that live figures are taken over, unless a control room is told otherwise."""

Seconds = Annotated[float, Meta(ge=0, le=1e10)]
Length = Annotated[float, Meta(gt=0, le=1e10)]
Bin = Annotated[int, Meta(ge=0, lt=BINS)]


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """Of one histogram, in milliseconds; every field is None where nothing was recorded."""

    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    p99_9: float | None = msgspec.field(default=None, name="p99.9")
    max: float | None = None

    @classmethod
    def of(cls, histogram: Histogram, unit_us: float = 1000) -> "Percentiles":
        """Those of a histogram, in units of `unit_us` µs."""
        if histogram.total == 0:
            return cls()
        values_us = histogram.percentile_us(*PERCENTS.values())
        per_ns = 1 / (unit_us * 1000)
        return cls(
            mean=round(histogram.sum_ns / histogram.total * per_ns, 4),
            max=round(histogram.max_ns * per_ns, 4),
            **{
                _FIELDS[name]: round(value_us / unit_us, 4)
                for name, value_us in zip(PERCENTS, values_us, strict=True)
            },
        )

    def get(self, name: str) -> float | None:
        """One of STATISTICS; None of any other name."""
        value: float | None = getattr(self, _FIELDS.get(name, ""), None)
        return value


_FIELDS = {field.encode_name: field.name for field in msgspec.structs.fields(Percentiles)}
STATISTICS = tuple(_FIELDS)
"""Names of all that is said of a histogram, as in JSON."""
PERCENTS = {name: float(name[1:]) for name in STATISTICS if name[1:2].isdigit()}
"""The percentiles among them, and their percentages."""
MAIN = ("p50", "p99", "p99.9")
"""Those to show where there is room for a few; the charts have a colour for each."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was done to a run, or befell it, at one instant."""

    t_s: float
    """When it took effect, seconds since the run's start."""
    wall_time: float
    """The same instant as Unix time, seconds."""
    kind: EventKind
    text: str
    """For a person: `200/s`, `100..1000/60s`, `load worker 1 died`."""


class EventLog:
    """Events that no Point has told yet; none is ever lost."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def __len__(self) -> int:
        return len(self._events)

    def note(self, event: Event) -> None:
        """Keep one until it is taken."""
        self._events.append(event)

    def take(self, before_s: float) -> tuple[Event, ...]:
        """Those that took effect before `before_s`, in order of time; they are kept no longer."""
        self._events.sort(key=attrgetter("t_s"))
        count = bisect_left(self._events, before_s, key=attrgetter("t_s"))
        taken, self._events = self._events[:count], self._events[count:]
        return tuple(taken)


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


@dataclass(frozen=True, slots=True)
class Series:
    """How a series is called, in a measurement and for a person, and its percentiles' unit."""

    name: str
    label: str
    unit: Literal["ms", "µs"] = "ms"

    @property
    def unit_us(self) -> float:
        """Its unit, in µs."""
        return 1000.0 if self.unit == "ms" else 1.0


class Figures(Counts, frozen=True, kw_only=True):
    """What is said of any stretch of a run: an interval, a window, or all of it."""

    failed: Annotated[dict[str, Count], Few]
    """Failures by kind; kinds that did not occur are absent."""
    latency_ms: Annotated[Percentiles, Series("latency", "latency")]
    service_ms: Annotated[Percentiles, Series("service", "service time")]
    stages_ms: Annotated[dict[str, Percentiles], Few]
    slo: Annotated[dict[str, bool], Few] = msgspec.field(default_factory=dict)
    """Whether each SLO was kept, a failed request being infinitely slow; empty where nothing was
    answered and nothing failed."""


class Point(Figures, frozen=True, kw_only=True):
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
    rps: float
    qps: float
    tick_lag_ms: float
    """The most by which the generator's own clock tick came late."""
    send_lag_us: Annotated[Percentiles, Series("send_lag", "send lag", "µs")]
    """In microseconds."""
    cpu_percent: float
    """Of one core, the load workers' together."""
    events: tuple[Event, ...] = ()
    """What happened within the interval, in order."""
    latency_bins: dict[Bin, Count] = msgspec.field(default_factory=dict)
    """How many completed requests fell into each bin of latency: number b holds those from
    10^(b/BINS_PER_DECADE) µs up to the next one's start; what took less than 1 µs is in 0."""
    components_us: Annotated[dict[str, tuple[int, ...]], Few] = msgspec.field(default_factory=dict)
    """Where those requests' time went: of each component of latency that took any, the sum in µs
    over the requests of each bin in `latency_bins`, from the fastest bin on. The components of a
    bin add up to its requests' latency, but for rounding."""
    server: Annotated[dict[str, float], Few] = msgspec.field(default_factory=dict)
    """What the service's own /metrics tell of the interval: `cpu_percent` of one core, and
    `gpu_percent`; empty where they tell nothing."""
    nodes: dict[str, NodeFigures] = msgspec.field(default_factory=dict)
    """By name, the machines of a fleet; empty for a run on one machine."""

    def __str__(self) -> str:
        failed = sum(self.failed.values())
        return (
            f"{self.t_s:.1f} s: {format_figure(self.target_per_s)}/s asked for, "
            f"{format_figure(self.qps)}/s answered, {failed:,} failed, "
            f"p99 {format_latency(self.latency_ms.p99)}"
        )


@dataclass(frozen=True, slots=True)
class Interval:
    """One interval of a run: what was measured, and its figures."""

    point: Point
    measured: Measurement
    offering_s: float
    """How long of it load was offered: the last one goes on until all is answered."""


def latency_of(intervals: Iterable[Interval]) -> Percentiles:
    """Latency in ms over several intervals, from their merged histograms."""
    return Percentiles.of(Histogram.merged(interval.measured.latency for interval in intervals))


SERIES = declared(Point, Series)
"""Every series, by the field that has its percentiles."""


def times_of(figures: Figures) -> list[tuple[str, Percentiles]]:
    """Labels and percentiles, in ms, of the series that `figures` have, latency first."""
    found = ((one, getattr(figures, field, None)) for field, one in SERIES.items())
    return [(one.label, of) for one, of in found if one.unit == "ms" and of is not None]


def per_s(count: int, seconds: float) -> float:
    """A rate; 0 where there was no time."""
    return round(count / seconds, 3) if seconds > 0 else 0.0


def cpu_percent(measured: Measurement, seconds: float) -> float:
    """What the load workers took of one core, all together; 0 where there was no time."""
    return round(measured.cpu_ns / (seconds * 1e7), 2) if seconds > 0 else 0.0


_FiguresT = TypeVar("_FiguresT", bound=Figures)


def close(kind: type[_FiguresT], measured: Measurement, **own: Any) -> _FiguresT:
    """The figures of a measurement as a `kind` has them; `own` is what else that has."""
    of = _FIGURES.keys() & set(kind.__struct_fields__) - own.keys()
    return kind(**{name: _FIGURES[name](measured) for name in of}, **own)


def _percentiles(series: Series) -> Callable[[Measurement], Percentiles]:
    return lambda measured: Percentiles.of(measured.of(series.name), series.unit_us)


_FIGURES: dict[str, Callable[[Measurement], Any]] = {
    **{name: attrgetter(name) for name in (*COUNTS, "failed")},
    **{field: _percentiles(series) for field, series in SERIES.items()},
    "stages_ms": lambda measured: {
        name: Percentiles.of(one) for name, one in measured.stages.items()
    },
    "tick_lag_ms": lambda measured: round(measured.tick_lag_ns / 1e6, 3),
    "latency_bins": lambda measured: measured.latency.bins(),
    "components_us": lambda measured: measured.breakdown.in_us(),
    "xray": lambda measured: measured.breakdown.xray(),
}
"""How each figure is computed that needs nothing but the measurement."""
