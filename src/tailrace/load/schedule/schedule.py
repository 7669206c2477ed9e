"""When one worker's requests should leave: its share of the arrivals, bent by the profile, and held
back by a cap. The schedule may itself be one part of a larger one, which several runs share.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from tailrace.errors import UsageError
from tailrace.load.schedule.arrivals import Arrivals, share
from tailrace.load.schedule.profile import Profile
from tailrace.load.schedule.segments import MIN_RATE_PER_S, Floats

_PART = re.compile(r"(\d{1,6})/(\d{1,6})")


@dataclass(frozen=True, slots=True)
class Part:
    """Every arrival whose number is ≡ `index` (mod `parts`): all parts together are the schedule.

    Runs that share a schedule so need nothing of each other but the start, whatever their arrivals,
    and each may have as many workers as it likes.
    """

    index: int = 0
    parts: int = 1

    def share(self, worker: int, workers: int) -> tuple[int, int]:
        """Which share of the whole schedule worker `worker` of a part's `workers` sends."""
        return self.index + self.parts * worker, self.parts * workers

    def __str__(self) -> str:
        return f"{self.index}/{self.parts}"


def parse_part(text: str) -> Part:
    """The part in `0/8`, the first of eight, to `7/8`.

    Raises:
        UsageError: it is none.
    """
    match = _PART.fullmatch(text.strip())
    part = Part(int(match[1]), int(match[2])) if match else None
    if part is None or part.index >= part.parts:
        raise UsageError(f"{text!r} is no part: write 0/8 for the first of eight, 7/8 for the last")
    return part


def parse_start(text: str) -> float:
    """The instant in `2026-11-26T22:00:00Z`, as ISO 8601 with its zone, in seconds since 1970.

    Raises:
        UsageError: it is none.
    """
    try:
        start = datetime.fromisoformat(text.strip())
    except ValueError:
        start = None
    if start is None or start.tzinfo is None:
        raise UsageError(f"{text!r} is no time with its zone: write it as 2026-11-26T22:00:00Z")
    return start.timestamp()


_MOST = 10_000
"""Arrivals that are remembered at most: above so many a second the cap holds for less than one."""

_ROUNDING_S = 1e-6
"""What rounding may do to arrivals that come at the very rate."""
_MARGIN = 1.01
"""So that whoever counts seconds by another clock finds no more in them either."""


class Cap:
    """Holds arrivals back so that no second has more of them than a rate allows.

    Arrival n leaves no earlier than a window k/rate after arrival n − k; one that has to wait for
    that comes a little later still, and no earlier than 1/rate after the one before it:

        s′ₙ = sₙ                                          if that is ≥ s′ₙ₋ₖ + k/rate and ≥ s′ₙ₋₁
        s′ₙ = max(s′ₙ₋ₖ + m·k/rate, s′ₙ₋₁ + m/rate)        else, with a margin m of 1.01

    What comes less densely keeps its times, bit for bit. k is the rate rounded up, so that the
    window is a second, or a little more for a rate that is no whole number.

    Args:
        rate_per_s: at most so many a second, 0 for none at all.
        worker, workers: whose arrivals are wanted: all workers hold the whole schedule back.
    """

    def __init__(self, rate_per_s: float, worker: int = 0, workers: int = 1) -> None:
        count = max(1, min(math.ceil(rate_per_s), _MOST))
        self._gap_s = 1 / max(rate_per_s, MIN_RATE_PER_S)
        self._window_s = count * self._gap_s - _ROUNDING_S
        self._before: Floats = np.full(count, -math.inf)
        """When the last arrivals before the piece leave."""
        self._piece: Floats = np.empty(0)
        self._own = worker
        """Where in the piece the first of this worker's own stands."""
        self._workers = workers
        self.held = False
        """Whether arrivals were held back."""

    def hold(self, seconds: Floats) -> Floats:
        """When this worker's arrivals among the next ones leave, which are due at `seconds`."""
        self._piece = self._held_back(seconds)
        return self._piece[self._own :: self._workers]

    def pass_own(self, taken: int) -> int:
        """Pass over arrivals of the piece up to the `taken`-th of this worker's own: how many."""
        return self._pass(self._own + (taken - 1) * self._workers + 1 if taken else 0)

    def pass_all(self) -> None:
        """Pass over the piece."""
        self._pass(len(self._piece))

    def skip(self, count: int) -> int:
        """Leave out the next arrivals, before any are held back: how many of them are own ones."""
        own = len(range(self._own, count, self._workers))
        self._own = (self._own - count) % self._workers
        return own

    def first_from(self, t_s: float) -> int:
        """The first arrival of the piece that leaves at `t_s` or later; its length if none does."""
        return int(np.searchsorted(self._piece, t_s, side="left"))

    def _pass(self, count: int) -> int:
        passed = self._piece[:count]
        self._before = np.concatenate([self._before, passed])[-len(self._before) :]
        self._piece = self._piece[count:]
        self._own = (self._own - count) % self._workers
        return count

    def _held_back(self, seconds: Floats) -> Floats:
        count = len(self._before)
        line = np.concatenate([self._before, seconds])
        # Where nothing is too dense, nothing is held; a pause for ever (inf) is as it is.
        free = line[count:] >= line[: len(seconds)] + self._window_s
        if len(seconds) == 0 or (free.all() and seconds[0] >= line[count - 1]):
            return seconds
        self.held = True
        times = line.tolist()
        for place in range(count, len(times)):
            bound = times[place - count] + self._window_s
            if times[place] < max(bound, times[place - 1]):
                later = times[place - count] + _MARGIN * self._window_s
                times[place] = max(later, times[place - 1] + _MARGIN * self._gap_s)
        return np.array(times[count:])


PIECE = 512
"""Arrivals whose times are computed at once: few, as a live change computes them anew while
requests wait, yet so many that an arrival's share of numpy's overhead is some hundredths of a µs.
"""
NEVER_NS = 2**62
"""An intended time that no run reaches: what a pause without end gives."""


class Schedule:
    """Intended times of worker `worker` of `workers`, in pieces that a live change can bend.

    A function of arrivals, profile, changes and seed alone: nothing that happens while sending
    alters it. With a cap, denser arrivals are held back to that rate, and a change begins with the
    first that has not left: what is held back does not come after it.
    """

    def __init__(
        self,
        arrivals: Arrivals,
        profile: Profile,
        seed: int,
        worker: int = 0,
        workers: int = 1,
        cap_per_s: float | None = None,
    ) -> None:
        self.profile = profile
        self._cap = Cap(cap_per_s, worker, workers) if cap_per_s is not None else None
        # Whether an arrival is held back depends on those of all workers.
        own = (worker, workers) if self._cap is None else (0, 1)
        self._chunks: Iterator[NDArray[np.float64]] = share(arrivals.chunks(seed), *own)
        self._chunk: NDArray[np.float64] = np.empty(0)
        self._begin = self._end = 0
        self._reached = 0.0

    def skip(self, t_s: float) -> int:
        """Pass over the arrivals due before `t_s`, as one that takes another's place does: how many
        they were. To be called before any piece is taken.
        """
        first = self.profile.first_arrival_from(t_s)
        skipped = 0
        while True:
            here = int(np.searchsorted(self._chunk[self._end :], first, side="left"))
            skipped += here
            self._begin = self._end = self._end + here
            if self._end < len(self._chunk):
                return skipped if self._cap is None else self._cap.skip(skipped)
            self._chunk = next(self._chunks)
            self._begin = self._end = 0

    def next_piece(self) -> NDArray[np.int64]:
        """Intended times of the next arrivals, int64 [n], ns since the run's start, rising.

        n is at most PIECE, and may be 0: with many workers a chunk may hold nothing for this one.
        """
        if self._cap is not None:
            self._cap.pass_all()
        if self._end == len(self._chunk):
            self._chunk = next(self._chunks)
            self._end = 0
        self._begin, self._end = self._end, min(self._end + PIECE, len(self._chunk))
        return self._times()

    def change(self, t_s: float, profile: Profile, taken: int) -> NDArray[np.int64]:
        """Follow `profile` from `t_s` on; the piece's times from its `taken`-th arrival on, anew.

        Arrivals before `t_s` keep their intended times, bit for bit. Changes are to be made in the
        order of their times: what no arrival still to come can fall into is forgotten.
        """
        self._begin += taken if self._cap is None else self._cap.pass_own(taken)
        if self._begin < len(self._chunk):
            self._reached = float(self._chunk[self._begin])
        reached = self._first_unsent(t_s)
        self.profile = self.profile.changed(t_s, profile, reached)
        self.profile = self.profile.without_past(t_s, self._reached)
        return self._times()

    @property
    def held(self) -> bool:
        """Whether the cap has held an arrival back."""
        return self._cap is not None and self._cap.held

    def _first_unsent(self, t_s: float) -> float:
        """The first arrival that leaves at `t_s` or later, in operational time, where a cap holds
        arrivals back; inf where none does.
        """
        if self._cap is None:
            return math.inf
        while (first := self._cap.first_from(t_s)) == self._end - self._begin:
            # A change further ahead than the piece: a longer one.
            rest = self._chunk[self._begin :]
            if self._end == len(self._chunk):
                rest = np.concatenate([rest, next(self._chunks)])
            self._end += PIECE - self._begin
            self._begin, self._chunk = 0, rest
            self._end = min(self._end, len(rest))
            self._times()
        return float(self._chunk[self._begin + first])

    def _times(self) -> NDArray[np.int64]:
        seconds = self.profile.inverse(self._chunk[self._begin : self._end])
        if self._cap is not None:
            seconds = self._cap.hold(seconds)
        return np.rint(np.minimum(seconds * 1e9, NEVER_NS)).astype(np.int64)
