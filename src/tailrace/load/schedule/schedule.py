"""When one worker's requests should leave: its share of the arrivals, bent by the profile."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tailrace.load.schedule.arrivals import Arrivals, share
from tailrace.load.schedule.cap import Cap
from tailrace.load.schedule.profile import Profile

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
