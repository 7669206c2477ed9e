"""The shapes a rate can have: each with its λ(x), its integral Λ(x) and the inverse of that.

A segment runs on its own clock, x seconds since its start, and goes on for ever; a profile
(profile.py) says when it begins and when the next one takes over. Every function works element
by element: what comes out for one arrival never depends on which others are asked with it, so
workers that hold different shares of a schedule agree on every instant. In `inverse` each
operation is monotone in floating point too where the formula allows it, so that no two arrivals
change places by rounding.
"""

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tailrace.errors import UsageError
from tailrace.units import MAX_RATE_PER_S, format_exact

Floats = NDArray[np.float64]

MIN_RATE_PER_S = 1e-12
"""One request in 30,000 years; keeps every formula here far from underflow, as MAX_RATE_PER_S does
from overflow.
"""
MAX_LENGTH_S = 1e12
MIN_LENGTH_S = 1e-9
_TURN = 2 * math.pi


def _check_rate(rate_per_s: float) -> None:
    if rate_per_s != 0 and not MIN_RATE_PER_S <= rate_per_s <= MAX_RATE_PER_S:
        raise UsageError(
            f"a rate must be a finite number, 0 or 1e-12 to 1e12 a second, not {rate_per_s}"
        )


def _check_length(length_s: float, what: str) -> None:
    if not MIN_LENGTH_S <= length_s <= MAX_LENGTH_S:
        raise UsageError(f"{what} must be between 1 ns and 1e12 s, not {length_s} s")


def _folded(x: Floats, period: float) -> tuple[Floats, Floats]:
    """(whole periods in `x`, what is left of it, 0 to `period`)."""
    periods = np.floor(x / period)
    return periods, np.clip(x - periods * period, 0.0, period)


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
        _check_rate(self.rate_per_s)

    @property
    def expression(self) -> str:
        return format_exact(self.rate_per_s)

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
        _check_rate(self.from_per_s)
        _check_rate(self.to_per_s)
        _check_length(self.over_s, "a ramp's duration")

    @property
    def expression(self) -> str:
        start, end = format_exact(self.from_per_s), format_exact(self.to_per_s)
        return f"{start}..{end}/{format_exact(self.over_s)}s"

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


def _falling(v: Floats, rate: float, slope: float) -> Floats:
    """x where rate·x + slope·x²/2 = v, for a slope of 0 or less."""
    root = np.sqrt(np.maximum(rate * rate + 2 * slope * v, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        # A rate of 0 has an area of 0, and the caller takes no result from it.
        quotient: Floats = 2 * v / (rate + root)
    return quotient


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
        _check_rate(self.base_per_s)
        _check_rate(self.peak_per_s)
        if self.peak_per_s <= 0 or self.peak_per_s < self.base_per_s:
            raise UsageError("a burst's peak must be more than 0 and no less than its base")
        _check_length(self.every_s, "a burst's every")
        _check_length(self.for_s, "a burst's for")
        if self.for_s >= self.every_s:
            raise UsageError("a burst's for must be shorter than its every")

    @property
    def expression(self) -> str:
        base, peak = format_exact(self.base_per_s), format_exact(self.peak_per_s)
        every, for_ = format_exact(self.every_s), format_exact(self.for_s)
        return f"burst(base={base},peak={peak},every={every}s,for={for_}s)"

    @property
    def period_s(self) -> float:
        return self.every_s

    def rate(self, x_s: Floats) -> Floats:
        calm = np.fmod(x_s, self.every_s) < self.every_s - self.for_s
        return np.where(calm, self.base_per_s, self.peak_per_s)

    def integral(self, x_s: Floats) -> Floats:
        calm_s, calm_area, area = self._period
        periods, x = _folded(x_s, self.every_s)
        peak_s = np.maximum(x - calm_s, 0.0)
        within = np.where(x < calm_s, self.base_per_s * x, calm_area + self.peak_per_s * peak_s)
        return periods * area + np.minimum(within, area)

    def inverse(self, v: Floats) -> Floats:
        calm_s, calm_area, area = self._period
        periods, within = _folded(v, area)
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


@dataclass(frozen=True, slots=True)
class Sine:
    """A wave of mean m, amplitude A ≤ m and period T, begun at the phase φ (a part of a period).

        λ │  ╭─╮     ╭─╮    m + A       λ(x) = m + A·sin 2π(x/T + φ)
          │ ╱   ╲   ╱   ╲   m           Λ(x) = m·x + A·T/2π · (cos 2πφ − cos 2π(x/T + φ))
          │╱     ╰─╯     ╰  m − A
          └───────┴─────── x            Λ(T) = m·T
                  T

    φ = 0 begins at the mean and rises, 0.25 at the peak, 0.5 at the mean and falls, 0.75 at the
    trough. The inverse brackets in a table of one period and polishes with Newton's method, kept
    within the bracket by bisection, to 0.1 ns (or what a double can tell apart at T, if more).
    """

    mean_per_s: float
    amplitude_per_s: float
    period_s: float
    phase: float = 0.0
    _x_nodes: Floats = field(init=False, repr=False, compare=False)
    _area_nodes: Floats = field(init=False, repr=False, compare=False)

    _CELLS = 4096
    _ROUNDS = 60

    def __post_init__(self) -> None:
        _check_rate(self.mean_per_s)
        if self.mean_per_s == 0:
            raise UsageError("a sine's mean must be more than 0")
        if not 0 <= self.amplitude_per_s <= self.mean_per_s:
            raise UsageError(
                f"a sine's amp, {format_exact(self.amplitude_per_s)}, must not exceed its mean, "
                f"{format_exact(self.mean_per_s)}, nor be negative: a rate cannot be"
            )
        _check_length(self.period_s, "a sine's period")
        if not 0 <= self.phase < 1:
            raise UsageError(f"a sine's phase is a part of a period, 0 to 1, not {self.phase}")
        nodes = np.linspace(0.0, self.period_s, self._CELLS + 1)
        areas = np.maximum.accumulate(self._within(nodes))
        areas[-1] = self._area
        object.__setattr__(self, "_x_nodes", nodes)
        object.__setattr__(self, "_area_nodes", np.minimum(areas, self._area))

    @property
    def expression(self) -> str:
        phase = f",phase={format_exact(self.phase)}" if self.phase else ""
        return (
            f"sine(mean={format_exact(self.mean_per_s)},amp={format_exact(self.amplitude_per_s)},"
            f"period={format_exact(self.period_s)}s{phase})"
        )

    @property
    def peak_per_s(self) -> float:
        return self.mean_per_s + self.amplitude_per_s

    def rate(self, x_s: Floats) -> Floats:
        # Rounding must not turn a trough at 0 into a rate below it.
        return np.maximum(self._slope(np.fmod(x_s, self.period_s)), 0.0)

    def integral(self, x_s: Floats) -> Floats:
        periods, x = _folded(x_s, self.period_s)
        return periods * self._area + np.clip(self._within(x), 0.0, self._area)

    def inverse(self, v: Floats) -> Floats:
        periods, area = _folded(v, self._area)
        end = (periods + 1) * self.period_s
        return np.minimum(periods * self.period_s + self._solve(area), end)

    @property
    def _area(self) -> float:
        return self.mean_per_s * self.period_s

    def _angle(self, x: Floats) -> Floats:
        return _TURN / self.period_s * x + _TURN * self.phase

    def _slope(self, x: Floats) -> Floats:
        return self.mean_per_s + self.amplitude_per_s * np.sin(self._angle(x))

    def _within(self, x: Floats) -> Floats:
        swing = self.amplitude_per_s * self.period_s / _TURN
        begun = math.cos(_TURN * self.phase)
        return self.mean_per_s * x + swing * (begun - np.cos(self._angle(x)))

    def _solve(self, area: Floats) -> Floats:
        cell = np.searchsorted(self._area_nodes, area, side="right") - 1
        cell = np.minimum(cell, self._CELLS - 1)
        low, high = self._x_nodes[cell], self._x_nodes[cell + 1]
        below = self._area_nodes[cell]
        with np.errstate(divide="ignore", invalid="ignore"):
            part = (area - below) / (self._area_nodes[cell + 1] - below)
        x = low + (high - low) * np.where(part <= 1, part, 0.5)
        enough = max(1e-10, 4 * np.finfo(np.float64).eps * self.period_s)
        solved = np.empty_like(area)
        open_ = np.arange(len(area))
        for _ in range(self._ROUNDS):
            excess = self._within(x) - area
            low, high = np.where(excess <= 0, x, low), np.where(excess >= 0, x, high)
            with np.errstate(divide="ignore", invalid="ignore"):
                better = x - excess / self._slope(x)
            # A root at the bracket's edge may seem to lie a rounding error outside.
            inside = (better >= low - enough) & (better <= high + enough)
            better = np.where(inside, np.clip(better, low, high), (low + high) / 2)
            solved[open_] = better
            # A solved element is left alone: how long others take must not change it.
            unsolved = np.abs(better - x) > enough
            if not unsolved.any():
                break
            open_, x, area = open_[unsolved], better[unsolved], area[unsolved]
            low, high = low[unsolved], high[unsolved]
        return solved
