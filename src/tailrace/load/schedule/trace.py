"""Recordings of real traffic: arrivals one by one, counts of them, or rates; and what plays them
again, as arrivals (Replay) or as the rate of a profile (RateTrace).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from tailrace.errors import UsageError
from tailrace.load.schedule.segments import Floats
from tailrace.units import MAX_RATE_PER_S, format_exact

CHUNK = 4096
"""Arrivals drawn at a time. Part of what a seed means: another size is another schedule."""
_AT_ONCE = 1 << 20
"""Arrivals of one bucket that are spread at once; more are split first."""
_SAMPLE = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class Timestamps:
    """One instant an arrival: rising nanoseconds since the first, int64 [n], mapped from a file or
    in memory.
    """

    times_ns: NDArray[np.int64]

    @property
    def resolution_s(self) -> float:
        """The coarsest decimal place, a second at most, to which the instants were written."""
        sample = self.times_ns[:: 1 + len(self.times_ns) // _SAMPLE]
        powers = (power for power in range(9, 0, -1) if not (sample % 10**power).any())
        return 10.0 ** (next(powers, 0) - 9)

    @property
    def duration_s(self) -> float:
        """From the first arrival to a mean gap after the last one."""
        count = len(self.times_ns)
        return float(self.times_ns[-1]) / 1e9 * count / (count - 1)

    @property
    def total(self) -> int:
        return len(self.times_ns)

    def arrivals(self, draw: np.random.Generator, scale: float, size: int) -> Iterator[Floats]:
        """Instants of `scale` times the arrivals, rising seconds, in batches of about `size`.

        The whole part of `scale` is copies, the rest a coin for each arrival. The first copy
        stays where it was recorded; the others lie evenly at random within `resolution_s` of it.
        """
        resolution_s = self.resolution_s if scale > 1 else 0.0
        step = max(1, int(size / max(scale, 1.0)))
        later = np.empty(0)
        for begin in range(0, self.total, step):
            seconds = self.times_ns[begin : begin + step] / 1e9
            copies = _scaled(np.ones(len(seconds), dtype=np.int64), scale, draw)
            row = np.repeat(np.arange(len(seconds)), copies)
            times = seconds[row]
            if resolution_s:
                moved = np.diff(row, prepend=-1) == 0
                times = times + np.where(moved, draw.random(len(row)) * resolution_s, 0.0)
                # Copies that lie beyond the next arrival wait for it.
                times = np.sort(np.concatenate([later, np.sort(times)]), kind="stable")
                end = begin + step
                edge = self.times_ns[end] / 1e9 if end < self.total else np.inf
                here = int(np.searchsorted(times, edge, side="left"))
                times, later = times[:here], times[here:]
            yield times


@dataclass(frozen=True, slots=True, eq=False)
class ArrivalCounts:
    """Arrivals in consecutive buckets of `width_s`, int64 [buckets]."""

    counts: NDArray[np.int64]
    width_s: float

    @property
    def duration_s(self) -> float:
        """All buckets together."""
        return len(self.counts) * self.width_s

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def arrivals(self, draw: np.random.Generator, scale: float, size: int) -> Iterator[Floats]:
        """Instants of `scale` times the arrivals, rising seconds, in batches of about `size`.

        Each lies evenly at random within its bucket, independent of all others.
        """
        expected = np.cumsum(self.counts) * scale
        # No more batches than buckets, however many arrivals each has.
        size = max(size, int(expected[-1] / len(expected)))
        marks = np.arange(size, expected[-1] + size, size)
        ends = np.unique(np.append(np.searchsorted(expected, marks), len(expected) - 1)) + 1
        begin = 0
        for end in np.minimum(ends, len(expected)).tolist():
            counts = _scaled(self.counts[begin:end], scale, draw)
            if counts.sum() <= _AT_ONCE:
                buckets = np.repeat(np.arange(begin, end, dtype=np.float64), counts)
                yield np.sort((buckets + draw.random(len(buckets))) * self.width_s)
            else:
                for bucket, count in enumerate(counts.tolist(), start=begin):
                    yield from _spread(draw, count, bucket * self.width_s, self.width_s)
            begin = end


@dataclass(frozen=True, slots=True, eq=False)
class ArrivalRates:
    """A rate a second from each start on, rising seconds since the first."""

    starts_s: Floats
    rates_per_s: Floats


def _spread(
    draw: np.random.Generator, count: int, begin_s: float, width_s: float
) -> Iterator[Floats]:
    """`count` instants, evenly at random and rising, however many: by halves of the bucket, in
    each of which a binomial share of them lies.
    """
    open_ = [(count, begin_s, width_s)]
    while open_:
        count, begin_s, width_s = open_.pop()
        if count <= _AT_ONCE:
            yield np.sort(begin_s + draw.random(count) * width_s)
            continue
        first, half_s = int(draw.binomial(count, 0.5)), width_s / 2
        open_ += [(count - first, begin_s + half_s, half_s), (first, begin_s, half_s)]


def _scaled(
    counts: NDArray[np.int64], scale: float, draw: np.random.Generator
) -> NDArray[np.int64]:
    """`counts` times `scale`: the whole part of it as copies, the rest by a coin for each."""
    whole = int(scale)
    if scale == whole:
        return counts * whole
    return counts * whole + draw.binomial(counts, scale - whole)


_PLAIN_FILE = re.compile(r"[\w./+~-]([\w./+~ -]*[\w./+~-])?")


@dataclass(frozen=True, slots=True, eq=False)
class RateTrace:
    """The rate a file recorded, piecewise constant.

        λ │   ┌──┐               starts sᵢ, rates rᵢ, Λᵢ = Σ_{j<i} rⱼ·(sⱼ₊₁ − sⱼ)
          │───┘  └─┐ ┌──         Λ(x) = Λᵢ + rᵢ·(x − sᵢ)      for sᵢ ≤ x < sᵢ₊₁
          │        └─┘           Λ⁻¹(v) = sᵢ + (v − Λᵢ) / rᵢ  for Λᵢ ≤ v < Λᵢ₊₁
          └──────────── x

    After rows of `t_s,rate` the last rate goes on; after counts a bucket the rate is 0. Every
    rate is multiplied by `scale`; `speed` plays the time that many times as fast, and so
    multiplies the rates as well.
    """

    path: str
    unit: str | None
    scale: float
    speed: float
    starts_s: Floats
    rates_per_s: Floats
    areas: Floats

    period_s = None

    @classmethod
    def of(
        cls,
        trace: Timestamps | ArrivalCounts | ArrivalRates,
        path: str,
        unit: str | None,
        scale: float,
        speed: float,
    ) -> "RateTrace":
        """What was read from the file `path`, in that `unit`.

        Raises:
            UsageError: the file lists timestamps, or the rates are too large.
        """
        if isinstance(trace, Timestamps):
            raise UsageError(
                f"trace {path!r} lists arrivals, not rates: use it as --arrivals trace:{path}"
            )
        if isinstance(trace, ArrivalCounts):
            starts = np.arange(len(trace.counts) + 1, dtype=np.float64) * trace.width_s
            rates = np.append(trace.counts / trace.width_s, 0.0)
        else:
            starts, rates = trace.starts_s, trace.rates_per_s
        starts, rates = starts / speed, rates * (scale * speed)
        if rates.max() > MAX_RATE_PER_S or np.any(np.diff(starts) <= 0):
            raise UsageError(f"trace {path!r} is too fast with scale {scale} and speed {speed}")
        areas: Floats = np.zeros(len(rates))
        np.cumsum(rates[:-1] * np.diff(starts), out=areas[1:])
        return cls(path, unit, scale, speed, starts, rates, areas)

    @property
    def expression(self) -> str:
        name = self.path if _PLAIN_FILE.fullmatch(self.path) else json.dumps(self.path)
        return f"trace({','.join([name, *_options(self.scale, self.speed, self.unit)])})"

    @property
    def peak_per_s(self) -> float:
        return float(self.rates_per_s.max())

    def rate(self, x_s: Floats) -> Floats:
        rate: Floats = self.rates_per_s[self._at(x_s)]
        return rate

    def integral(self, x_s: Floats) -> Floats:
        step = self._at(x_s)
        area: Floats = self.areas[step] + self.rates_per_s[step] * (x_s - self.starts_s[step])
        return area

    def inverse(self, v: Floats) -> Floats:
        step = np.searchsorted(self.areas, v, side="right") - 1
        rates = self.rates_per_s[step]
        with np.errstate(divide="ignore", invalid="ignore"):
            x: Floats = self.starts_s[step] + (v - self.areas[step]) / rates
        x = np.minimum(x, np.append(self.starts_s[1:], np.inf)[step])
        return np.where(rates > 0, x, np.inf)

    def _at(self, x_s: Floats) -> NDArray[np.intp]:
        return np.maximum(np.searchsorted(self.starts_s, x_s, side="right") - 1, 0)


def check_factors(scale: float, speed: float) -> None:
    """Accept a trace's `scale` and `speed`.

    Raises:
        UsageError: one of them is not a positive number up to 1e6 or 1e9.
    """
    for name, factor, most in (("scale", scale, 1e6), ("speed", speed, 1e9)):
        if not 0 < factor <= most:
            shown = f"{most:g}".replace("e+0", "e")
            raise UsageError(
                f"a trace's {name} must be more than 0 and at most {shown}, not {factor}"
            )


def _options(scale: float, speed: float, unit: str | None, column: str | None = None) -> list[str]:
    """What an expression says behind the file's name: whatever is not the default."""
    factors, texts = {"scale": scale, "speed": speed}, {"column": column, "unit": unit}
    said = [f"{name}={format_exact(factor)}" for name, factor in factors.items() if factor != 1]
    return said + [f"{name}={quote(text)}" for name, text in texts.items() if text is not None]


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """The arrivals of a recording, `scale` times as many, `speed` times as fast.

    In operational time the recording has mean rate 1. Under a constant profile of
    `natural_rate_per_s` the arrivals come as they were recorded; under another profile they keep
    their pattern and take its rate. After the last one none follow.
    """

    path: str
    column: str | None
    unit: str | None
    scale: float
    speed: float
    recording: Timestamps | ArrivalCounts

    def compact(self, path: Path) -> "Replay":
        """The same arrivals, those of a list of timestamps in a file at `path`, which is made: many
        processes map it, where each would read the whole of this one.
        """
        if not isinstance(self.recording, Timestamps):
            return self
        np.save(path, self.recording.times_ns)
        return replace(self, path=str(path), column=None, unit=None)

    @property
    def expression(self) -> str:
        options = _options(self.scale, self.speed, self.unit, self.column)
        if "?" in self.path and not options:
            # The name must not be taken for one with options.
            options = ["scale=1"]
        return f"trace:{self.path}" + ("?" + "&".join(options) if options else "")

    @property
    def natural_rate_per_s(self) -> float:
        return self._density * self.speed

    @property
    def natural_duration_s(self) -> float:
        return self.recording.duration_s / self.speed

    def chunks(self, seed: int) -> Iterator[Floats]:
        draw = np.random.Generator(np.random.PCG64(seed))
        rest = np.empty(0)
        for batch in self.recording.arrivals(draw, self.scale, CHUNK):
            rest = np.concatenate([rest, batch * self._density])
            whole = len(rest) // CHUNK * CHUNK
            yield from rest[:whole].reshape(-1, CHUNK)
            rest = rest[whole:]
        yield np.append(rest, np.full(CHUNK - len(rest), np.inf))
        while True:
            yield np.full(CHUNK, np.inf)

    @property
    def _density(self) -> float:
        return self.recording.total * self.scale / self.recording.duration_s
