"""A recorded rate as a segment of a profile."""

import json
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailrace.errors import UsageError
from tailrace.load.schedule.segments import Floats, format_number
from tailrace.load.schedule.trace import Counts, Timestamps
from tailrace.load.schedule.trace_file import read_trace
from tailrace.units import MAX_RATE_PER_S

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

    @classmethod
    def read(
        cls, path: str, unit: str | None = None, scale: float = 1.0, speed: float = 1.0
    ) -> "RateTrace":
        """The rates in the file `path`, as trace_file.py describes it.

        Raises:
            UsageError: the file cannot be used, or it is a list of timestamps; `scale` or `speed`
                is not positive, or too large.
        """
        check_factors(scale, speed)
        trace = read_trace(path, unit=unit)
        if isinstance(trace, Timestamps):
            raise UsageError(
                f"trace {path!r} lists arrivals, not rates: use it as --arrivals trace:{path}"
            )
        if isinstance(trace, Counts):
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
        """`trace(rates.csv)`, with `,scale=2,speed=10` where they are not 1."""
        name = self.path if _PLAIN_FILE.fullmatch(self.path) else json.dumps(self.path)
        scale = f",scale={format_number(self.scale)}" if self.scale != 1 else ""
        speed = f",speed={format_number(self.speed)}" if self.speed != 1 else ""
        unit = f",unit={self.unit}" if self.unit is not None else ""
        return f"trace({name}{scale}{speed}{unit})"

    @property
    def peak_per_s(self) -> float:
        """See Segment."""
        return float(self.rates_per_s.max())

    def rate(self, x_s: Floats) -> Floats:
        """See Segment."""
        rate: Floats = self.rates_per_s[self._at(x_s)]
        return rate

    def integral(self, x_s: Floats) -> Floats:
        """See Segment."""
        step = self._at(x_s)
        area: Floats = self.areas[step] + self.rates_per_s[step] * (x_s - self.starts_s[step])
        return area

    def inverse(self, v: Floats) -> Floats:
        """See Segment."""
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
