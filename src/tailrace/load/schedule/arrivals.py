"""Arrival processes: unit-rate point processes, drawn in numpy chunks from a seed.

A process says where arrivals lie in *operational time*, in which they come at mean rate 1. A
profile maps operational time to seconds (profile.py), so the same arrivals serve every rate, and
a change of the rate never draws anything anew.
"""

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Protocol, TypeVar
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray

from tailrace.errors import UsageError
from tailrace.load.schedule.segments import Floats
from tailrace.load.schedule.trace import CHUNK, ArrivalRates, Replay, check_factors
from tailrace.load.schedule.trace_file import ANY_FILE, Files, read_trace
from tailrace.units import format_exact, parse_number

_DWELLS = 1024
"""Dwell times drawn at a time. Like CHUNK a part of what a seed means."""


class Arrivals(Protocol):
    """How requests are spaced."""

    @property
    def expression(self) -> str:
        """What `parse_arrivals` reads as these arrivals."""

    @property
    def natural_rate_per_s(self) -> float | None:
        """The mean rate at which the arrivals were recorded; None if they know of none."""

    @property
    def natural_duration_s(self) -> float | None:
        """How long they last at that rate; None if they have no end."""

    def chunks(self, seed: int) -> Iterator[Floats]:
        """Endless consecutive chunks, float64 [CHUNK], of arrival positions in operational time.

        Positions never decrease and have mean rate 1. Where a recording has ended they are inf:
        arrivals that never come. The same seed gives the same chunks, bit for bit.
        """


@dataclass(frozen=True, slots=True)
class ConstantArrivals:
    """Arrivals at 0, 1, 2, …: in s seconds at rate r exactly ⌈r·s⌉ of them."""

    expression = "constant"
    natural_rate_per_s = None
    natural_duration_s = None

    def chunks(self, seed: int) -> Iterator[Floats]:
        first = 0
        while True:
            yield np.arange(first, first + CHUNK, dtype=np.float64)
            first += CHUNK


@dataclass(frozen=True, slots=True)
class Poisson:
    """Independent exponential gaps: what many independent users offer."""

    expression = "poisson"
    natural_rate_per_s = None
    natural_duration_s = None

    def chunks(self, seed: int) -> Iterator[Floats]:
        return _summed(np.random.Generator(np.random.PCG64(seed)).standard_exponential)


@dataclass(frozen=True, slots=True)
class Gamma:
    """Independent gamma gaps of mean 1 and coefficient of variation `cv`, 0.1 to 4.

    Shape 1/cv², scale cv². Below 1 more regular than Poisson, 1 is Poisson in law, above it
    clustered; at 4 one gap in six is under 10⁻¹⁰, arrivals at one instant. The index of dispersion
    of counts tends to cv² in long windows (Cox, Renewal Theory, 1962, §4.5).
    """

    cv: float

    natural_rate_per_s = None
    natural_duration_s = None

    def __post_init__(self) -> None:
        if not 0.1 <= self.cv <= 4:
            raise UsageError(f"gamma arrivals take a CV from 0.1 to 4, not {self.cv}")

    @property
    def expression(self) -> str:
        return f"gamma:{format_exact(self.cv)}"

    def chunks(self, seed: int) -> Iterator[Floats]:
        draw = np.random.Generator(np.random.PCG64(seed))
        variance = self.cv * self.cv
        return _summed(lambda size: draw.standard_gamma(1 / variance, size) * variance)


@dataclass(frozen=True, slots=True)
class Mmpp:
    """Poisson arrivals whose rate switches between two states: a Markov-modulated Poisson process.

    `low` and `high` are relative rates; `low_for` and `high_for` the mean dwell times d₁, d₂,
    exponential, in operational time, that is in mean arrivals: at 200/s a dwell of 1000 lasts 5 s
    on average. With π₁ = d₁/(d₁+d₂), π₂ = 1 − π₁ the rates are divided by their mean
    π₁·low + π₂·high, to λ₁ and λ₂ of mean 1. It starts in either state as often as it is in it.

    The index of dispersion of the counts in windows of w mean arrivals (Fischer and
    Meier-Hellstern, The MMPP cookbook, 1993, from the covariance π₁π₂(λ₂−λ₁)²·e^(−σ·τ) of the
    rate) with σ = 1/d₁ + 1/d₂:

        I(w) = 1 + 2·π₁·π₂·(λ₂ − λ₁)²/σ · (1 − (1 − e^(−σw)) / (σw))
    """

    low: float
    high: float
    low_for: float
    high_for: float

    natural_rate_per_s = None
    natural_duration_s = None

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= 1e6 or self.high == 0:
            raise UsageError("mmpp arrivals need 0 ≤ low ≤ high ≤ 1e6 and a high of more than 0")
        for name, dwell in (("low_for", self.low_for), ("high_for", self.high_for)):
            if not 0.1 <= dwell <= 1e12:
                raise UsageError(
                    f"mmpp's {name} is a mean dwell time in mean arrivals, 0.1 to 1e12, not {dwell}"
                )

    @property
    def expression(self) -> str:
        names = ("low", "high", "low_for", "high_for")
        values = ((name, format_exact(getattr(self, name))) for name in names)
        return "mmpp:" + ",".join(f"{name}={value}" for name, value in values)

    def chunks(self, seed: int) -> Iterator[Floats]:
        """Unit Poisson arrivals are drawn, and carried to where the integral of the switching rate
        reaches them.
        """
        points, switches = (
            np.random.Generator(np.random.PCG64(part))
            for part in np.random.SeedSequence(seed).spawn(2)
        )
        dwells = np.array([self.low_for, self.high_for])
        rates = np.array([self.low, self.high]) / np.average([self.low, self.high], weights=dwells)
        in_high = switches.random() < self.high_for / dwells.sum()
        order = np.array([1, 0] if in_high else [0, 1])
        dwells, rates = np.tile(dwells[order], _DWELLS // 2), np.tile(rates[order], _DWELLS // 2)
        starts, areas = np.zeros(1), np.zeros(1)
        levels = np.empty(0)
        for unit in _summed(points.standard_exponential):
            # Dwells that lie wholly before this chunk are done with.
            done = max(int(np.searchsorted(areas, unit[0], side="right")) - 1, 0)
            starts, areas, levels = starts[done:], areas[done:], levels[done:]
            while areas[-1] <= unit[-1]:
                lengths = dwells * switches.standard_exponential(_DWELLS)
                starts = np.append(starts, starts[-1] + np.cumsum(lengths))
                areas = np.append(areas, areas[-1] + np.cumsum(lengths * rates))
                levels = np.append(levels, rates)
            dwell = np.searchsorted(areas, unit, side="right") - 1
            position = starts[dwell] + (unit - areas[dwell]) / levels[dwell]
            yield np.minimum(position, starts[dwell + 1])


def _summed(gaps: Callable[[int], NDArray[np.float64]]) -> Iterator[Floats]:
    last = 0.0
    while True:
        chunk = np.cumsum(gaps(CHUNK))
        chunk += last
        last = float(chunk[-1])
        yield chunk


S = TypeVar("S", bound=np.generic)


def parse_arrivals(
    text: str, scale: float = 1.0, speed: float = 1.0, files: Files = ANY_FILE
) -> Arrivals:
    """The arrival process `text` describes.

    `constant`, `poisson`, `gamma:CV`, `mmpp:low=1,high=8,low_for=1000,high_for=100` or
    `trace:FILE[?scale=2&speed=10&column=NAME&unit=ms]`. `scale` and `speed` multiply those
    of a trace; other arrivals take none. `files` says which files may be read, and how the
    arrivals are to name them.

    Raises:
        UsageError: there is no such process, a value is missing or unusable, or a trace's file is.
    """
    kind, colon, rest = text.strip().partition(":")
    kind = kind.strip().lower()
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, 1)
        hint = f"did you mean {near[0]}? There are" if near else "choose from"
        written = ", ".join(each.written for each in KINDS.values())
        raise UsageError(f"unknown arrivals {text!r}: {hint} {written}")
    if kind == "trace":
        return _parse_trace(rest, scale, speed, files)
    if scale != 1 or speed != 1:
        raise UsageError(f"scale and speed belong to a trace; {kind} arrivals take the rate alone")
    if colon and ":" not in KINDS[kind].written:
        raise UsageError(f"{kind} arrivals take no {rest!r}")
    try:
        return KINDS[kind].parse(rest)
    except UsageError as error:
        raise UsageError(f"arrivals {text!r}: {error}") from None


def share(chunks: Iterator[NDArray[S]], worker: int, workers: int) -> Iterator[NDArray[S]]:
    """Worker `worker`'s part of a sequence with a value for each arrival: that of every arrival
    whose number is ≡ worker (mod workers).

    The union over all workers is the sequence itself, whatever their number.
    """
    first = 0
    for chunk in chunks:
        yield chunk[(worker - first) % workers :: workers]
        first += len(chunk)


def _parse_gamma(rest: str) -> Gamma:
    if not rest.strip():
        raise UsageError("gamma needs its coefficient of variation, as in gamma:2")
    return Gamma(parse_number(rest, "the coefficient of variation"))


def _parse_mmpp(rest: str) -> Mmpp:
    values: dict[str, float] = {}
    for pair in rest.split(",") if rest.strip() else ():
        key, equals, value = (piece.strip() for piece in pair.partition("="))
        if not equals or key not in _MMPP_KEYS or key in values:
            trouble = "is given twice" if key in values else "is not one of its keys with a value"
            raise UsageError(f"{pair.strip()!r} {trouble}, as in {_MMPP_EXAMPLE}")
        values[key] = parse_number(value, key)
    missing = [key for key in _MMPP_KEYS if key not in values]
    if missing:
        raise UsageError(f"mmpp needs {', '.join(missing)} as well, as in {_MMPP_EXAMPLE}")
    return Mmpp(**values)


def _parse_trace(rest: str, scale: float, speed: float, files: Files) -> Replay:
    path, question, query = rest.rpartition("?")
    if not question:
        path, query = rest, ""
    if not path.strip():
        raise UsageError("trace needs a file, as in trace:arrivals.csv")
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = options.keys() - {"scale", "speed", "column", "unit"}
    if unknown:
        raise UsageError(f"a trace has no option {min(unknown)!r}: scale, speed, column and unit")
    column, unit = options.get("column"), options.get("unit")
    path, name = files.find(path.strip())
    scale *= parse_number(options.get("scale", "1"), "scale")
    speed *= parse_number(options.get("speed", "1"), "speed")
    check_factors(scale, speed)
    recording = read_trace(path, column, unit)
    if isinstance(recording, ArrivalRates):
        raise UsageError(
            f"trace {name!r} holds rates, not arrivals: use it as --profile 'trace({name})'"
        )
    return Replay(name, column, unit, scale, speed, recording)


_MMPP_KEYS = tuple(field.name for field in fields(Mmpp))
_MMPP_EXAMPLE = "mmpp:low=1,high=8,low_for=1000,high_for=100"


@dataclass(frozen=True, slots=True)
class ArrivalsKind:
    """A kind of arrivals."""

    written: str
    """How, with what it takes; the setting `arrivals` says the same."""
    parse: Callable[[str], Arrivals]
    """Of what stands behind the colon."""


KINDS = {
    "constant": ArrivalsKind("constant", lambda _: ConstantArrivals()),
    "poisson": ArrivalsKind("poisson", lambda _: Poisson()),
    "gamma": ArrivalsKind("gamma:CV", _parse_gamma),
    "mmpp": ArrivalsKind(_MMPP_EXAMPLE, _parse_mmpp),
    "trace": ArrivalsKind("trace:FILE", lambda rest: _parse_trace(rest, 1.0, 1.0, ANY_FILE)),
}
"""All that `parse_arrivals` knows, by name."""
