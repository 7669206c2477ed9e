"""When one worker's requests should leave: its share of the arrivals, bent by the profile."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tailrace.load.arrivals import Arrivals, share
from tailrace.load.profile import Profile

NEVER_NS = 2**62
"""An intended time that no run reaches: what a pause without end gives."""


class Schedule:
    """Intended times of worker `worker` of `workers`, in chunks that a live change can bend.

    A function of arrivals, profile, changes and seed alone: nothing that happens while sending
    alters it.
    """

    def __init__(
        self, arrivals: Arrivals, profile: Profile, seed: int, worker: int = 0, workers: int = 1
    ) -> None:
        self.profile = profile
        self._chunks: Iterator[NDArray[np.float64]] = share(arrivals.chunks(seed), worker, workers)
        self._current: NDArray[np.float64] = np.empty(0)

    def next_chunk(self) -> NDArray[np.int64]:
        """Intended times of the next arrivals, int64 [n], ns since the run's start, rising."""
        self._current = next(self._chunks)
        return self._times(self._current)

    def change(self, t_s: float, rate_per_s: float, taken: int) -> NDArray[np.int64]:
        """Bend the profile from `t_s` on; the chunk's times from its `taken`-th arrival on, anew.

        Arrivals before `t_s` keep their intended times, bit for bit.
        """
        self.profile = self.profile.changed(t_s, rate_per_s)
        self._current = self._current[taken:]
        return self._times(self._current)

    def _times(self, operational: NDArray[np.float64]) -> NDArray[np.int64]:
        seconds = self.profile.inverse(operational)
        return np.rint(np.minimum(seconds * 1e9, NEVER_NS)).astype(np.int64)
