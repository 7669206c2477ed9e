"""Profiles: the rate λ(t) as a function of time, with its integral Λ(t) and the inverse of it.

    λ │        ┌─────            Λ(t) = ∫₀ᵗ λ
      │   ╱────┘                 arrivals at operational time u leave at Λ⁻¹(u)
      │──╱
      └──────────── t            a live change is another profile's segments from there on

Time-changing a unit-rate process by Λ⁻¹ gives a process of intensity λ(t): exactly so for Poisson
arrivals (Çınlar, Introduction to Stochastic Processes, 1975, §4.7), and with the same spacing in
operational time for the others.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tailrace.errors import UsageError
from tailrace.load.schedule.profile_text import TimedSegment, join_parts, parse_parts
from tailrace.load.schedule.segments import ConstantRate, Floats, Segment
from tailrace.load.schedule.trace_file import ANY_FILE, Files


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Segments one after another, the last one for ever. A rate of 0 is a pause.

    A double carries Λ to one part in 2⁵³, and with it a time to ulp(Λ)/λ: 0.02 ns at Λ = 10¹⁰ and
    10⁵ a second, 1 µs after the same 10¹⁰ arrivals at 1 a second.
    """

    segments: tuple[Segment, ...]
    """In order, those of live changes included."""
    starts_s: Floats
    """When each begins, since the run's start."""
    areas: Floats
    """Λ at each start."""
    expression: str
    """What `parse_profile` reads as this profile without its live changes, bit for bit."""
    is_changed: bool = False
    """Whether it was changed live."""
    _ends_s: Floats = field(init=False, repr=False)
    _levels: Floats = field(init=False, repr=False)
    """The rate of each segment; nan where it is not constant."""
    _curved: NDArray[np.intp] = field(init=False, repr=False)
    """Which segments are not constant."""

    def __post_init__(self) -> None:
        levels = np.array(
            [s.rate_per_s if isinstance(s, ConstantRate) else np.nan for s in self.segments]
        )
        object.__setattr__(self, "_ends_s", np.append(self.starts_s[1:], np.inf))
        object.__setattr__(self, "_levels", levels)
        object.__setattr__(self, "_curved", np.flatnonzero(np.isnan(levels)))

    @classmethod
    def of_parts(cls, parts: Sequence[TimedSegment]) -> "Profile":
        """Segments one after another, each for its length; that of the last is of no effect."""
        starts, areas = [0.0], [0.0]
        for part in parts[:-1]:
            assert part.length_s is not None
            starts.append(starts[-1] + part.length_s)
            length = np.asarray(starts[-1] - starts[-2])
            areas.append(areas[-1] + float(part.segment.integral(length)))
        segments = tuple(part.segment for part in parts)
        return cls(segments, np.array(starts), np.array(areas), join_parts(parts))

    @classmethod
    def restored(cls, placed: Sequence[tuple[float, float, str]]) -> "Profile":
        """The profile that `placed` told of, bit for bit; it counts as changed live.

        Raises:
            UsageError: an expression cannot be read.
        """
        starts, areas, expressions = zip(*placed, strict=True)
        segments = tuple(parse_parts(expression)[0].segment for expression in expressions)
        return cls(segments, np.array(starts), np.array(areas), ",".join(expressions), True)

    @property
    def placed(self) -> list[tuple[float, float, str]]:
        """(start in s, Λ there, expression) of each segment, live changes included: what
        `restored` reads.
        """
        return [
            (start, area, segment.expression)
            for start, area, segment in zip(
                self.starts_s.tolist(), self.areas.tolist(), self.segments, strict=True
            )
        ]

    @property
    def peak_per_s(self) -> float:
        """No rate is above it at any time: the highest of the segments, each taken whole, even one
        that another cuts short before its peak.
        """
        return max(segment.peak_per_s for segment in self.segments)

    def rate(self, t_s: float) -> float:
        """λ(t), arrivals a second."""
        number = self._at(t_s)
        return float(self.segments[number].rate(np.asarray(t_s - self.starts_s[number])))

    def integral(self, t_s: float) -> float:
        """Λ(t), the expected number of arrivals in [0, t)."""
        number = self._at(t_s)
        since = np.asarray(t_s - self.starts_s[number])
        return float(self.areas[number] + self.segments[number].integral(since))

    def inverse(self, u: Floats) -> Floats:
        """Λ⁻¹(u), float64 seconds of the shape of `u`; inf for what the profile never reaches.

        Never decreases with u, but for rounding below 1 ns within a sine; at a pause it is the
        pause's end.
        """
        number = np.searchsorted(self.areas, u, side="right") - 1
        levels = self._levels[number]
        with np.errstate(divide="ignore", invalid="ignore"):
            t: Floats = self.starts_s[number] + (u - self.areas[number]) / levels
        t = np.minimum(t, self._ends_s[number])
        # 0/0: an arrival exactly where the rate falls to 0 for ever.
        t = np.where(levels > 0, t, np.inf)
        if len(self._curved):
            first, last = number.min(initial=len(levels)), number.max(initial=-1)
            for curved in self._curved[(self._curved >= first) & (self._curved <= last)]:
                here = (number == curved) & np.isfinite(u)
                x = self.segments[curved].inverse(u[here] - self.areas[curved])
                t[here] = np.minimum(self.starts_s[curved] + x, self._ends_s[curved])
        return t

    def changed(self, t_s: float, profile: "Profile", u: float = math.inf) -> "Profile":
        """This profile up to `t_s`, and from then on `profile`, begun there: a live change.

        What `inverse` puts before `t_s` stays there, bit for bit, where it lies below operational
        time `u`: from there on, or else from `t_s` on, arrivals follow `profile`.

        Raises:
            UsageError: the instant is not finite, or `profile` was itself changed live: only what
                an expression says can be given.
        """
        if not math.isfinite(t_s):
            raise UsageError(f"a change of profile needs a finite instant, not {t_s} s")
        if profile.is_changed or profile.starts_s[0] != 0:
            raise UsageError("a profile that was changed live cannot be what another changes to")
        kept = int(np.searchsorted(self.starts_s, t_s, side="left"))
        begin_s, area = t_s if kept else float(self.starts_s[0]), self.first_arrival_from(t_s)
        if u < area:
            # What begins beyond u is reached by none any more.
            kept = min(kept, max(int(np.searchsorted(self.areas, u, side="right")), 1))
            area = u
        return replace(
            self,
            segments=self.segments[:kept] + profile.segments,
            starts_s=np.append(self.starts_s[:kept], begin_s + profile.starts_s),
            areas=np.append(self.areas[:kept], area + profile.areas),
            is_changed=True,
        )

    def without_past(self, t_s: float, u: float = math.inf) -> "Profile":
        """This profile without the segments that end before `t_s` and before operational time `u`.

        At or after both it answers, and can be changed, as before, bit for bit; of what lies
        earlier, its changes and its `expression` included, it knows nothing more. So a profile that
        is changed all the time does not grow.
        """
        first = int(np.searchsorted(self.areas, u, side="right")) - 1
        first = max(min(first, self._at(t_s)), 0)
        if not first:
            return self
        return replace(
            self,
            segments=self.segments[first:],
            starts_s=self.starts_s[first:],
            areas=self.areas[first:],
        )

    def _at(self, t_s: float) -> int:
        return max(int(np.searchsorted(self.starts_s, t_s, side="right")) - 1, 0)

    def first_arrival_from(self, t_s: float) -> float:
        """The least u that `inverse` puts at `t_s` or later: Λ(t) but for its last bits.

        With Λ(t) itself, an arrival a rounding error beyond it would move to the change's side
        though its time lies before the change. Looks at nothing before the segment that `t_s` lies
        in, so that one who has forgotten that finds the same.
        """
        number = int(np.searchsorted(self.starts_s, t_s, side="left")) - 1
        if number < 0:
            return float(self.areas[0])
        segment, start = self.segments[number], float(self.starts_s[number])
        least = float(self.areas[number])
        next_area = float(self.areas[number + 1]) if number + 1 < len(self.areas) else math.inf

        def is_late(u: float) -> bool:
            return u >= next_area or bool(start + segment.inverse(np.array([u - least]))[0] >= t_s)

        if is_late(least):
            return least
        middle = self.integral(t_s)
        reach = math.ulp(middle)
        early, late = middle, middle
        while is_late(early):
            early, reach = max(early - reach, least), 2 * reach
        while not is_late(late):
            late, reach = late + reach, 2 * reach
        while early < (middle := early + (late - early) / 2) < late:
            early, late = (early, middle) if is_late(middle) else (middle, late)
        return late


def constant(rate_per_s: float) -> Profile:
    """The same rate for ever.

    Raises:
        UsageError: the rate is negative or not finite.
    """
    return Profile.of_parts([TimedSegment(ConstantRate(float(rate_per_s)), None)])


def parse_profile(text: str, files: Files = ANY_FILE) -> Profile:
    """The profile an expression describes: `200`, `100@30s,500`, `100..1000/60s,sine(…)`.

    The language is that of profile_text.py. The last part goes on for as long as the run does.
    `files` says which files may be read, and how the profile is to name them.

    Raises:
        UsageError: the expression cannot be read; the message says which part and where.
    """
    return Profile.of_parts(parse_parts(text, files))
