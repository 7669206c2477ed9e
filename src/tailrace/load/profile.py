"""Profiles: the rate λ(t) as a function of time, with its integral Λ(t) and the inverse of it.

    λ │        ┌─────            Λ(t) = ∫₀ᵗ λ
      │  ┌─────┘                 arrivals at operational time u leave at Λ⁻¹(u)
      │──┘
      └──────────── t            a live change is one more step

Time-changing a unit-rate process by Λ⁻¹ gives a process of intensity λ(t): exactly so for Poisson
arrivals (Çınlar, Introduction to Stochastic Processes, 1975, §4.7), and with the same spacing in
operational time for the others.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tailrace.errors import UsageError
from tailrace.units import parse_duration_s, parse_rate_per_s


def check_rate(rate_per_s: float) -> float:
    """`rate_per_s` itself.

    Raises:
        UsageError: it is negative, infinite or not a number.
    """
    if not math.isfinite(rate_per_s) or rate_per_s < 0:
        raise UsageError(f"a rate must be a finite number, 0 or more, not {rate_per_s}")
    return rate_per_s


class Profile:
    """A piecewise constant rate; immutable. A rate of 0 is a pause.

    Args:
        starts_s: float seconds since the run's start at which each step begins; the first is 0,
            none is earlier than the one before it.
        rates_per_s: the rate of each step; the last one holds for ever.

    Raises:
        UsageError: the steps are not in order or a rate is unusable.
    """

    __slots__ = ("_integral", "_rates", "_starts")

    def __init__(self, starts_s: Sequence[float], rates_per_s: Sequence[float]) -> None:
        if not starts_s or len(starts_s) != len(rates_per_s) or starts_s[0] != 0:
            raise UsageError("a profile needs a step at 0 s and one rate for each step")
        for rate in rates_per_s:
            check_rate(rate)
        self._starts = np.asarray(starts_s, dtype=np.float64)
        self._rates = np.asarray(rates_per_s, dtype=np.float64)
        lengths = np.diff(self._starts)
        if np.any(lengths < 0):
            raise UsageError("the steps of a profile must follow one another in time")
        self._integral = np.concatenate([[0.0], np.cumsum(self._rates[:-1] * lengths)])

    @property
    def steps(self) -> list[tuple[float, float]]:
        """(start in s, rate a second) of each step."""
        return list(zip(self._starts.tolist(), self._rates.tolist(), strict=True))

    def rate(self, t_s: float) -> float:
        """λ(t), arrivals a second."""
        return float(self._rates[np.searchsorted(self._starts, t_s, side="right") - 1])

    def integral(self, t_s: float) -> float:
        """Λ(t), the expected number of arrivals in [0, t)."""
        step = int(np.searchsorted(self._starts, t_s, side="right")) - 1
        return float(self._integral[step] + self._rates[step] * (t_s - self._starts[step]))

    def inverse(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Λ⁻¹(u), float64 seconds of the shape of `u`; inf for what the profile never reaches."""
        step = np.searchsorted(self._integral, u, side="right") - 1
        with np.errstate(divide="ignore", invalid="ignore"):
            t: NDArray[np.float64] = (
                self._starts[step] + (u - self._integral[step]) / self._rates[step]
            )
        # 0/0: an arrival exactly where the rate falls to 0 for ever.
        return np.where(self._rates[step] > 0, t, np.inf)

    def changed(self, t_s: float, rate_per_s: float) -> "Profile":
        """This profile up to `t_s`, and `rate_per_s` from then on: a live change.

        Raises:
            UsageError: the rate is negative or not finite.
        """
        kept = [step for step in self.steps if step[0] < t_s] or [(0.0, rate_per_s)]
        if t_s > 0:
            kept.append((t_s, rate_per_s))
        return Profile([start for start, _ in kept], [rate for _, rate in kept])


def parse_profile(text: str) -> Profile:
    """A profile from its expression: `200`, `12k/min`, or steps `100@30s,500@30s`.

    The rate of the last step holds for as long as the run goes on.

    Raises:
        UsageError: the expression cannot be read; the message says which part.
    """
    starts: list[float] = []
    rates: list[float] = []
    at_s = 0.0
    parts = [part.strip() for part in text.split(",")]
    for number, part in enumerate(parts, start=1):
        rate, separator, length = part.partition("@")
        if not separator and number < len(parts):
            raise UsageError(f"profile {text!r}: step {part!r} needs a length, as in {part}@30s")
        try:
            rates.append(parse_rate_per_s(rate))
            starts.append(at_s)
            at_s += parse_duration_s(length) if separator else 0.0
        except UsageError as error:
            raise UsageError(f"profile {text!r}: {error}") from None
    return Profile(starts, rates)
