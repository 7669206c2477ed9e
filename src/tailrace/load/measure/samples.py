"""Raw samples: what is written down of a request by itself, besides the histograms.

A worker that is asked for none has no SampleLog, and pays nothing.
"""

from array import array
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailrace.load.measure.histogram import IntArray

SAMPLE = np.dtype(
    [
        ("intended_ns", "<i8"),
        ("sent_ns", "<i8"),
        ("first_byte_ns", "<i8"),
        ("done_ns", "<i8"),
        ("bytes", "<i8"),
        ("status", "<i2"),
        ("failure", "<i2"),
        ("target", "<i4"),
    ]
)
"""One request. Times are ns since the run's start, by CLOCK_MONOTONIC of the worker's machine; one
that there is not is ABSENT. `bytes` are those of the answer, its head included, as far as it came;
`status` is 0 without one; `failure` is the number of its reason, ABSENT for a good answer;
`target` is the number of the URL.
"""
ABSENT = -1
TIMES = ("intended_ns", "sent_ns", "first_byte_ns", "done_ns")

_LARGEST = 2.0**64 - 2048
"""The largest double below 2⁶⁴."""

Rows = NDArray[np.void]
"""Of SAMPLE."""


class SampleLog:
    """The raw samples of one worker, handed on a few thousand at a time.

    A connection writes what the recorder's rows do not have into `first_bytes` (ns), `statuses`,
    `sizes` (bytes) and `targets`, under the recorder's own row.

    Args:
        rows: how many the recorder has.
        share: of all requests, so many; which ones depends on `seed` and the schedule alone.
        hand_on: called with samples, which it may not keep, and the reasons that they number.
    """

    def __init__(
        self, rows: int, share: float, seed: int, hand_on: Callable[[Rows, list[str]], None]
    ) -> None:
        self.start_ns = 0
        """The run's start, CLOCK_MONOTONIC; to be set before the first request."""
        self.first_bytes = array("q", bytes(8 * rows))
        self.statuses = array("h", bytes(2 * rows))
        self.sizes = array("q", bytes(8 * rows))
        self.targets = array("i", bytes(4 * rows))
        self._columns: dict[str, NDArray[Any]] = {
            "first_byte_ns": np.frombuffer(self.first_bytes, np.int64),
            "status": np.frombuffer(self.statuses, np.int16),
            "bytes": np.frombuffer(self.sizes, np.int64),
            "target": np.frombuffer(self.targets, np.int32),
        }
        self.sampling = Sampling(share, seed)
        self._hand_on = hand_on
        self._answered = np.zeros(rows, SAMPLE)
        self._failed = np.zeros(rows, SAMPLE)
        self._failed_rows = 0
        self._reasons: dict[str, int] = {}

    def keep(self, intended: IntArray, sent: IntArray, done: IntArray) -> None:
        """The answered requests of the recorder's rows, all of them."""
        count = len(intended)
        columns = {name: column[:count] for name, column in self._columns.items()}
        columns |= {"intended_ns": intended, "sent_ns": sent, "done_ns": done}
        if self.sampling.leaves_out:
            picked = np.flatnonzero(self.sampling.chosen(intended - self.start_ns))
            columns = {name: column[picked] for name, column in columns.items()}
            count = len(picked)
        rows = self._answered[:count]
        for name, column in columns.items():
            if name in TIMES:
                np.subtract(column, self.start_ns, out=rows[name])
            else:
                rows[name] = column
        rows["failure"] = ABSENT
        if count:
            self._hand_on(rows, [])

    def fail(
        self,
        reason: str,
        intended_ns: int,
        done_ns: int,
        target: int,
        sent_ns: int = 0,
        first_byte_ns: int = 0,
        size: int = 0,
        status: int = 0,
    ) -> None:
        """One failed request; `sent_ns` and what follows are 0 where it did not come so far."""
        number = self._reasons.setdefault(reason, len(self._reasons))
        row = self._failed_rows
        times = (intended_ns, sent_ns, first_byte_ns, done_ns)
        self._failed[row] = (*times, size, status, number, target)
        self._failed_rows = row + 1
        if self._failed_rows == len(self._failed):
            self.flush()

    def miss(
        self, reason: str, intended_ns: Sequence[int], done_ns: int, targets: Sequence[int]
    ) -> None:
        """Failed requests that were not even set about."""
        rows = np.zeros(len(intended_ns), SAMPLE)
        rows["intended_ns"], rows["done_ns"], rows["target"] = intended_ns, done_ns, targets
        self._pass_on(rows, [reason])

    def flush(self) -> None:
        """Hand on the failed requests that are still here."""
        rows, self._failed_rows = self._failed_rows, 0
        reasons, self._reasons = list(self._reasons), {}
        self._pass_on(self._failed[:rows].copy(), reasons)

    def _pass_on(self, rows: Rows, reasons: list[str]) -> None:
        for name in TIMES:
            times = rows[name]
            rows[name] = np.where(times == 0, ABSENT, times - self.start_ns)
        if self.sampling.leaves_out:
            rows = rows[self.sampling.chosen(rows["intended_ns"])]
        if len(rows):
            self._hand_on(rows, reasons)


class Sampling:
    """Which requests are among those reported one by one: a share of all, which may change while a
    run goes on.
    """

    def __init__(self, share: float, seed: int) -> None:
        self._seed = seed
        self._from_ns = np.zeros(1, np.int64)
        self._shares = np.array([share])

    def change(self, from_s: float, share: float) -> None:
        """Another share of the requests intended from `from_s` on, seconds since the run's start;
        changes are made in the order of their times.
        """
        from_ns = round(from_s * 1e9)
        kept = int(np.searchsorted(self._from_ns, from_ns))
        self._from_ns = np.append(self._from_ns[:kept], from_ns)
        self._shares = np.append(self._shares[:kept], share)

    @property
    def leaves_out(self) -> bool:
        """Whether it has ever left any out."""
        return bool(self._shares.min() < 1)

    def share_at(self, t_s: float) -> float:
        """How many of the requests intended then."""
        return float(self._share_of(np.array([round(t_s * 1e9)]))[0])

    def chosen(self, intended_ns: IntArray) -> NDArray[np.bool_]:
        """Which ones of those intended then, ns since the run's start."""
        return chosen(intended_ns, self._share_of(intended_ns), self._seed)

    def _share_of(self, intended_ns: IntArray) -> NDArray[np.float64]:
        number = np.searchsorted(self._from_ns, intended_ns, side="right") - 1
        return self._shares[np.maximum(number, 0)]


def chosen(
    intended_ns: IntArray, share: float | NDArray[np.float64], seed: int
) -> NDArray[np.bool_]:
    """Which requests are among a share of them, by their intended times since the run's start: as
    good as drawn, and the same ones however many workers send them and whatever comes of them.

    The hash is the finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
    """
    with np.errstate(over="ignore"):
        mixed = intended_ns.astype(np.uint64)
        # The seed is mixed by itself first: two that are close choose nothing alike.
        mixed ^= _mix(np.full(1, seed, np.uint64) + np.uint64(0x9E3779B97F4A7C15))
        bound = np.minimum(np.asarray(share) * 2.0**64, _LARGEST).astype(np.uint64)
        return (_mix(mixed) < bound) | (np.asarray(share) >= 1)


def _mix(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        numbers = (numbers ^ (numbers >> np.uint64(shift))) * np.uint64(factor)
    return numbers ^ (numbers >> np.uint64(31))
