"""A cap on what is sent: the arrivals of a schedule, held back to a rate where they are denser."""

import math

import numpy as np

from tailrace.load.schedule.segments import MIN_RATE_PER_S, Floats

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
