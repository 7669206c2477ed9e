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

import numpy as np

from tailrace.errors import UsageError
from tailrace.load.schedule.profile_text import Part, join_parts, parse_parts
from tailrace.load.schedule.segments import Constant, Floats, Segment


class Profile:
    """Segments one after another, the last one for ever; immutable. A rate of 0 is a pause.

    A double carries Λ to one part in 2⁵³, and with it a time to ulp(Λ)/λ: 0.02 ns at Λ = 10¹⁰ and
    10⁵ a second, 1 µs after the same 10¹⁰ arrivals at 1 a second.

    Args:
        starts_s: float seconds since the run's start at which each segment begins; the first is 0,
            none is earlier than the one before it.
        segments: what holds from each start on; a number is a constant rate a second.

    Raises:
        UsageError: the segments are not in order or a rate is unusable.
    """

    __slots__ = (
        "_areas",
        "_changed",
        "_curved",
        "_ends",
        "_expression",
        "_levels",
        "_segments",
        "_starts",
    )

    def __init__(self, starts_s: Sequence[float], segments: Sequence[Segment | float]) -> None:
        if not starts_s or len(starts_s) != len(segments) or starts_s[0] != 0:
            raise UsageError("a profile needs a segment at 0 s and one segment for each start")
        starts = np.asarray(starts_s, dtype=np.float64)
        lengths = np.diff(starts)
        if not np.all(np.isfinite(starts)) or np.any(lengths < 0):
            raise UsageError("the segments of a profile must follow one another in time")
        shapes = tuple(
            Constant(float(segment)) if isinstance(segment, int | float) else segment
            for segment in segments
        )
        areas = [0.0]
        for shape, length in zip(shapes, lengths, strict=False):
            areas.append(areas[-1] + float(shape.integral(np.asarray(length))))
        spans = zip(starts.tolist(), starts.tolist()[1:], strict=False)
        parts = [Part(s, _length(*span)) for s, span in zip(shapes, spans, strict=False)]
        self._expression = join_parts([*parts, Part(shapes[-1], None)])
        self._changed = False
        self._set(shapes, starts, np.array(areas), _levels(shapes))

    @classmethod
    def of_parts(cls, parts: Sequence[Part]) -> "Profile":
        """Segments that follow one another, each for its length; that of the last is of no effect.

        Raises:
            UsageError: the lengths add up to more than a double holds.
        """
        starts = [0.0]
        for part in parts[:-1]:
            assert part.length_s is not None
            starts.append(starts[-1] + part.length_s)
        profile = cls(starts, [part.segment for part in parts])
        profile._expression = join_parts(parts)
        return profile

    @classmethod
    def restored(cls, placed: Sequence[tuple[float, float, str]]) -> "Profile":
        """The profile that `placed` told of, bit for bit; it counts as changed live.

        Raises:
            UsageError: an expression cannot be read.
        """
        starts, areas, expressions = zip(*placed, strict=True)
        segments = tuple(parse_parts(expression)[0].segment for expression in expressions)
        profile = cls.__new__(cls)
        profile._expression = ",".join(expressions)
        profile._changed = True
        profile._set(segments, np.array(starts), np.array(areas), _levels(segments))
        return profile

    def _set(
        self, segments: tuple[Segment, ...], starts: Floats, areas: Floats, levels: Floats
    ) -> None:
        self._segments = segments
        self._starts = starts
        self._ends = np.append(starts[1:], np.inf)
        self._areas = areas
        # The rate of each segment; nan where it is not constant.
        self._levels = levels
        self._curved = np.flatnonzero(np.isnan(levels))

    def _like(
        self,
        segments: tuple[Segment, ...],
        starts: Floats,
        areas: Floats,
        levels: Floats,
        changed: bool,
    ) -> "Profile":
        profile = Profile.__new__(Profile)
        profile._expression = self._expression
        profile._changed = changed
        profile._set(segments, starts, areas, levels)
        return profile

    @property
    def expression(self) -> str:
        """What `parse_profile` reads as this profile without its live changes, bit for bit.

        One made from starts, not lengths, may come back with the last bit of a start changed: not
        every start is the sum of two doubles.
        """
        return self._expression

    @property
    def placed(self) -> list[tuple[float, float, str]]:
        """(start in s, Λ there, expression) of each segment, live changes included: what
        `restored` reads.
        """
        return [
            (start, area, segment.expression)
            for start, area, segment in zip(
                self._starts.tolist(), self._areas.tolist(), self._segments, strict=True
            )
        ]

    @property
    def peak_per_s(self) -> float:
        """No rate is above it at any time: the highest of the segments, each taken whole, even one
        that another cuts short before its peak.
        """
        return max(segment.peak_per_s for segment in self._segments)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The segments in order, those of live changes included."""
        return self._segments

    @property
    def steps(self) -> list[tuple[float, float]]:
        """(start in s, rate a second) of each step of a profile of constant rates.

        Raises:
            UsageError: a segment is not constant.
        """
        if len(self._curved):
            raise UsageError(f"profile {self._expression!r} is not made of constant rates alone")
        return list(zip(self._starts.tolist(), self._levels.tolist(), strict=True))

    def rate(self, t_s: float) -> float:
        """λ(t), arrivals a second."""
        number = self._at(t_s)
        return float(self._segments[number].rate(np.asarray(t_s - self._starts[number])))

    def integral(self, t_s: float) -> float:
        """Λ(t), the expected number of arrivals in [0, t)."""
        number = self._at(t_s)
        since = np.asarray(t_s - self._starts[number])
        return float(self._areas[number] + self._segments[number].integral(since))

    def inverse(self, u: Floats) -> Floats:
        """Λ⁻¹(u), float64 seconds of the shape of `u`; inf for what the profile never reaches.

        Never decreases with u, but for rounding below 1 ns within a sine; at a pause it is the
        pause's end.
        """
        number = np.searchsorted(self._areas, u, side="right") - 1
        levels = self._levels[number]
        with np.errstate(divide="ignore", invalid="ignore"):
            t: Floats = self._starts[number] + (u - self._areas[number]) / levels
        t = np.minimum(t, self._ends[number])
        # 0/0: an arrival exactly where the rate falls to 0 for ever.
        t = np.where(levels > 0, t, np.inf)
        if len(self._curved):
            first, last = number.min(initial=len(levels)), number.max(initial=-1)
            for curved in self._curved[(self._curved >= first) & (self._curved <= last)]:
                here = (number == curved) & np.isfinite(u)
                x = self._segments[curved].inverse(u[here] - self._areas[curved])
                t[here] = np.minimum(self._starts[curved] + x, self._ends[curved])
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
        if profile._changed or profile._starts[0] != 0:
            raise UsageError("a profile that was changed live cannot be what another changes to")
        kept = int(np.searchsorted(self._starts, t_s, side="left"))
        begin_s, area = t_s if kept else float(self._starts[0]), self.first_arrival_from(t_s)
        if u < area:
            # What begins beyond u is reached by none any more.
            kept = min(kept, max(int(np.searchsorted(self._areas, u, side="right")), 1))
            area = u
        return self._like(
            self._segments[:kept] + profile._segments,
            np.append(self._starts[:kept], begin_s + profile._starts),
            np.append(self._areas[:kept], area + profile._areas),
            np.append(self._levels[:kept], profile._levels),
            changed=True,
        )

    def without_past(self, t_s: float, u: float = math.inf) -> "Profile":
        """This profile without the segments that end before `t_s` and before operational time `u`.

        At or after both it answers, and can be changed, as before, bit for bit; of what lies
        earlier, its changes and its `expression` included, it knows nothing more. So a profile that
        is changed all the time does not grow.
        """
        first = int(np.searchsorted(self._areas, u, side="right")) - 1
        first = max(min(first, self._at(t_s)), 0)
        if not first:
            return self
        return self._like(
            self._segments[first:],
            self._starts[first:],
            self._areas[first:],
            self._levels[first:],
            self._changed,
        )

    def _at(self, t_s: float) -> int:
        return max(int(np.searchsorted(self._starts, t_s, side="right")) - 1, 0)

    def first_arrival_from(self, t_s: float) -> float:
        """The least u that `inverse` puts at `t_s` or later: Λ(t) but for its last bits.

        With Λ(t) itself, an arrival a rounding error beyond it would move to the change's side
        though its time lies before the change. Looks at nothing before the segment that `t_s` lies
        in, so that one who has forgotten that finds the same.
        """
        number = int(np.searchsorted(self._starts, t_s, side="left")) - 1
        if number < 0:
            return float(self._areas[0])
        segment, start = self._segments[number], float(self._starts[number])
        least = float(self._areas[number])
        next_area = float(self._areas[number + 1]) if number + 1 < len(self._areas) else math.inf

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
    return Profile([0.0], [rate_per_s])


def parse_profile(text: str) -> Profile:
    """The profile an expression describes: `200`, `100@30s,500`, `100..1000/60s,sine(…)`.

    The language is that of profile_text.py. The last part goes on for as long as the run does.

    Raises:
        UsageError: the expression cannot be read; the message says which part and where.
    """
    return Profile.of_parts(parse_parts(text))


def _levels(segments: Sequence[Segment]) -> Floats:
    return np.array([s.rate_per_s if isinstance(s, Constant) else np.nan for s in segments])


def _length(start: float, end: float) -> float:
    """The length that, added to `start`, gives `end`; a round number if one does."""
    exact = end - start
    rounded = round(exact, 9)
    return rounded if start + rounded == end else exact
