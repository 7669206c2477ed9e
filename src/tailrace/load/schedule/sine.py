"""A rate that rises and falls in a sine wave, and the numerical inverse that takes."""

import math
from dataclasses import dataclass, field

import numpy as np

from tailrace.errors import UsageError
from tailrace.load.schedule.segments import Floats, check_length, check_rate, format_number


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
        check_rate(self.mean_per_s)
        if self.mean_per_s == 0:
            raise UsageError("a sine's mean must be more than 0")
        if not 0 <= self.amplitude_per_s <= self.mean_per_s:
            raise UsageError(
                f"a sine's amp, {format_number(self.amplitude_per_s)}, must not exceed its mean, "
                f"{format_number(self.mean_per_s)}, nor be negative: a rate cannot be"
            )
        check_length(self.period_s, "a sine's period")
        if not 0 <= self.phase < 1:
            raise UsageError(f"a sine's phase is a part of a period, 0 to 1, not {self.phase}")
        nodes = np.linspace(0.0, self.period_s, self._CELLS + 1)
        areas = np.maximum.accumulate(self._within(nodes))
        areas[-1] = self._area
        object.__setattr__(self, "_x_nodes", nodes)
        object.__setattr__(self, "_area_nodes", np.minimum(areas, self._area))

    @property
    def expression(self) -> str:
        """`sine(mean=300,amp=200,period=120s)`, with `,phase=0.25` if it is not 0."""
        phase = f",phase={format_number(self.phase)}" if self.phase else ""
        return (
            f"sine(mean={format_number(self.mean_per_s)},amp={format_number(self.amplitude_per_s)},"
            f"period={format_number(self.period_s)}s{phase})"
        )

    @property
    def peak_per_s(self) -> float:
        return self.mean_per_s + self.amplitude_per_s

    def rate(self, x_s: Floats) -> Floats:
        # Rounding must not turn a trough at 0 into a rate below it.
        return np.maximum(self._slope(np.fmod(x_s, self.period_s)), 0.0)

    def integral(self, x_s: Floats) -> Floats:
        periods = np.floor(x_s / self.period_s)
        x = np.clip(x_s - periods * self.period_s, 0.0, self.period_s)
        return periods * self._area + np.clip(self._within(x), 0.0, self._area)

    def inverse(self, v: Floats) -> Floats:
        periods = np.floor(v / self._area)
        area = np.clip(v - periods * self._area, 0.0, self._area)
        end = (periods + 1) * self.period_s
        return np.minimum(periods * self.period_s + self._solve(area), end)

    @property
    def _area(self) -> float:
        return self.mean_per_s * self.period_s

    def _slope(self, x: Floats) -> Floats:
        turn = 2 * math.pi
        angle = turn / self.period_s * x + turn * self.phase
        return self.mean_per_s + self.amplitude_per_s * np.sin(angle)

    def _within(self, x: Floats) -> Floats:
        turn = 2 * math.pi
        angle = turn / self.period_s * x + turn * self.phase
        swing = self.amplitude_per_s * self.period_s / turn
        return self.mean_per_s * x + swing * (math.cos(turn * self.phase) - np.cos(angle))

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
