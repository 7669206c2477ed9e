"""The shapes a rate can have: each with its λ(x), its integral Λ(x) and the inverse of that.

A segment runs on its own clock, x seconds since its start, and goes on for ever; a profile
(profile.py) says when it begins and when the next one takes over. Every function works element
by element: what comes out for one arrival never depends on which others are asked with it, so
workers that hold different shares of a schedule agree on every instant. In `inverse` each
operation is monotone in floating point too where the formula allows it, so that no two arrivals
change places by rounding.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tailrace.errors import UsageError
from tailrace.units import MAX_RATE_PER_S

Floats = NDArray[np.float64]

MIN_RATE_PER_S = 1e-12
"""One request in 30,000 years; keeps every formula here far from underflow, as MAX_RATE_PER_S does
from overflow.
"""
MAX_LENGTH_S = 1e12
MIN_LENGTH_S = 1e-9


def check_rate(rate_per_s: float) -> float:
    """`rate_per_s` itself.

    Raises:
        UsageError: it is neither 0 nor a number from MIN_RATE_PER_S to MAX_RATE_PER_S.
    """
    if rate_per_s != 0 and not MIN_RATE_PER_S <= rate_per_s <= MAX_RATE_PER_S:
        raise UsageError(
            f"a rate must be a finite number, 0 or 1e-12 to 1e12 a second, not {rate_per_s}"
        )
    return rate_per_s


def check_length(length_s: float, what: str) -> float:
    """`length_s` itself.

    Raises:
        UsageError: it is under 1 ns, over MAX_LENGTH_S or not a number; the message names `what`.
    """
    if not MIN_LENGTH_S <= length_s <= MAX_LENGTH_S:
        raise UsageError(f"{what} must be between 1 ns and 1e12 s, not {length_s} s")
    return length_s


def format_number(value: float) -> str:
    """`value` in the fewest decimal digits that read back as the same float, never `1e-05`."""
    return np.format_float_positional(value, unique=True, trim="-")


class Segment(Protocol):
    """A rate as a function of the time since it began."""

    @property
    def expression(self) -> str:
        """The segment in the language of profile_text.py; reading it gives the same bits."""

    @property
    def peak_per_s(self) -> float:
        """The highest rate, or a bound above it."""

    @property
    def period_s(self) -> float | None:
        """After how long it begins anew; None where it never does."""

    def rate(self, x_s: Floats) -> Floats:
        """λ(x), arrivals a second, of the shape of `x_s`."""

    def integral(self, x_s: Floats) -> Floats:
        """Λ(x) = ∫₀ˣ λ, arrivals, of the shape of `x_s`."""

    def inverse(self, v: Floats) -> Floats:
        """Λ⁻¹(v), seconds, float64 [n] for finite float64 [n]; inf where Λ never exceeds v.

        At a pause it is the pause's end: an arrival due when the rate is 0 waits for it to rise.
        """


@dataclass(frozen=True, slots=True)
class ConstantRate:
    """The same rate r for ever, 0 or more: λ = r, Λ(x) = r·x, Λ⁻¹(v) = v / r."""

    rate_per_s: float

    period_s = None

    def __post_init__(self) -> None:
        check_rate(self.rate_per_s)

    @property
    def expression(self) -> str:
        """`200`."""
        return format_number(self.rate_per_s)

    @property
    def peak_per_s(self) -> float:
        return self.rate_per_s

    def rate(self, x_s: Floats) -> Floats:
        return np.full_like(x_s, self.rate_per_s)

    def integral(self, x_s: Floats) -> Floats:
        return self.rate_per_s * x_s

    def inverse(self, v: Floats) -> Floats:
        if self.rate_per_s == 0:
            return np.full_like(v, np.inf)
        return v / self.rate_per_s


@dataclass(frozen=True, slots=True)
class Ramp:
    """From rate a to rate b in a straight line over L seconds, then b for ever.

        λ │    ╱────  b          k = (b − a) / L
          │  ╱                   λ(x) = a + k·x            up to L
        a │╱                     Λ(x) = a·x + k·x² / 2
          └───┴────── x          Λ(L) = (a + b)·L / 2, from there on + b·(x − L)
              L

    The inverse solves k·x²/2 + a·x − v = 0. Of the root's forms, the one is taken that loses no
    digits and in which every operation is monotone (Goldberg, What every computer scientist should
    know about floating-point arithmetic, 1991, §1.4, on the two forms):

    - falling: x = 2v / (a + √(a² + 2kv)), the denominator shrinks as v grows;
    - rising from a < b/2: x = (√(a² + 2kv) − a) / k, where a / k < L bounds what cancels;
    - rising from a ≥ b/2: the same line walked backwards from L, where it falls.
    """

    from_per_s: float
    to_per_s: float
    over_s: float

    period_s = None

    def __post_init__(self) -> None:
        check_rate(self.from_per_s)
        check_rate(self.to_per_s)
        check_length(self.over_s, "a ramp's duration")

    @property
    def expression(self) -> str:
        """`100..1000/60s`."""
        start, end = format_number(self.from_per_s), format_number(self.to_per_s)
        return f"{start}..{end}/{format_number(self.over_s)}s"

    @property
    def peak_per_s(self) -> float:
        return max(self.from_per_s, self.to_per_s)

    def rate(self, x_s: Floats) -> Floats:
        line = self.from_per_s + self._slope * x_s
        return np.where(x_s < self.over_s, line, self.to_per_s)

    def integral(self, x_s: Floats) -> Floats:
        x = np.minimum(x_s, self.over_s)
        on_line = np.minimum(self.from_per_s * x + self._slope / 2 * x * x, self._area)
        return np.where(
            x_s < self.over_s, on_line, self._area + self.to_per_s * (x_s - self.over_s)
        )

    def inverse(self, v: Floats) -> Floats:
        a, b, k, area = self.from_per_s, self.to_per_s, self._slope, self._area
        on_line = np.minimum(v, area)
        if k < 0:
            x = _falling(on_line, a, k)
        elif a < b / 2 and k > 0:
            x = (np.sqrt(a * a + 2 * k * on_line) - a) / k
        else:
            x = self.over_s - _falling(area - on_line, b, -k)
        x = np.clip(x, 0.0, self.over_s)
        after = self.over_s + (v - area) / b if b > 0 else np.inf
        return np.where(v < area, x, after)

    @property
    def _slope(self) -> float:
        return (self.to_per_s - self.from_per_s) / self.over_s

    @property
    def _area(self) -> float:
        return (self.from_per_s + self.to_per_s) / 2 * self.over_s


@dataclass(frozen=True, slots=True)
class Burst:
    """A base rate, and at the end of every E seconds a peak for F seconds.

    λ │     ┌─┐     ┌─┐   peak       one period: (E − F) at base, then F at peak
      │     │ │     │ │              Λ(E) = base·(E − F) + peak·F
      │─────┘ └─────┘ └─  base
      └───────┴───────┴── x
              E      2E
    """

    base_per_s: float
    peak_per_s: float
    every_s: float
    for_s: float

    def __post_init__(self) -> None:
        check_rate(self.base_per_s)
        check_rate(self.peak_per_s)
        if self.peak_per_s <= 0 or self.peak_per_s < self.base_per_s:
            raise UsageError("a burst's peak must be more than 0 and no less than its base")
        check_length(self.every_s, "a burst's every")
        check_length(self.for_s, "a burst's for")
        if self.for_s >= self.every_s:
            raise UsageError("a burst's for must be shorter than its every")

    @property
    def expression(self) -> str:
        """`burst(base=100,peak=1000,every=30s,for=2s)`."""
        base, peak = format_number(self.base_per_s), format_number(self.peak_per_s)
        every, for_ = format_number(self.every_s), format_number(self.for_s)
        return f"burst(base={base},peak={peak},every={every}s,for={for_}s)"

    @property
    def period_s(self) -> float:
        return self.every_s

    def rate(self, x_s: Floats) -> Floats:
        calm = np.fmod(x_s, self.every_s) < self.every_s - self.for_s
        return np.where(calm, self.base_per_s, self.peak_per_s)

    def integral(self, x_s: Floats) -> Floats:
        calm_s, calm_area, area = self._period
        periods = np.floor(x_s / self.every_s)
        x = np.clip(x_s - periods * self.every_s, 0.0, self.every_s)
        peak_s = np.maximum(x - calm_s, 0.0)
        within = np.where(x < calm_s, self.base_per_s * x, calm_area + self.peak_per_s * peak_s)
        return periods * area + np.minimum(within, area)

    def inverse(self, v: Floats) -> Floats:
        calm_s, calm_area, area = self._period
        periods = np.floor(v / area)
        within = np.clip(v - periods * area, 0.0, area)
        peak = calm_s + (within - calm_area) / self.peak_per_s
        x = np.minimum(peak, self.every_s)
        if self.base_per_s > 0:
            x = np.where(within < calm_area, np.minimum(within / self.base_per_s, calm_s), x)
        # Rounding must not carry one period's end past the next one's start.
        return np.minimum(periods * self.every_s + x, (periods + 1) * self.every_s)

    @property
    def _period(self) -> tuple[float, float, float]:
        calm_s = self.every_s - self.for_s
        calm_area = self.base_per_s * calm_s
        return calm_s, calm_area, calm_area + self.peak_per_s * self.for_s


def _falling(v: Floats, rate: float, slope: float) -> Floats:
    """x where rate·x + slope·x²/2 = v, for a slope of 0 or less."""
    root = np.sqrt(np.maximum(rate * rate + 2 * slope * v, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        # A rate of 0 has an area of 0, and the caller takes no result from it.
        quotient: Floats = 2 * v / (rate + root)
    return quotient
