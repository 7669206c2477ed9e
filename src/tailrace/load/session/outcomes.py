"""What became of each request of a run, while it goes on: its schedule, and the samples of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailrace.load.measure.histogram import IntArray
from tailrace.load.measure.samples import ABSENT, SAMPLE, Sampling
from tailrace.load.schedule.arrivals import parse_arrivals
from tailrace.load.schedule.profile import Profile
from tailrace.load.schedule.schedule import Schedule
from tailrace.load.session.plan import Plan
from tailrace.load.worker.messages import SampleBatch

_ENDED = np.dtype([("intended_ns", "<i8"), ("latency_s", "<f8"), ("reason", "<i4")])
_Ended = NDArray[np.void]
"""Of _ENDED."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Requests that were intended within a stretch of a run, of those that are sampled."""

    intended_s: NDArray[np.float64]
    """Seconds since the run's start, rising."""
    latency_s: NDArray[np.float64]
    """inf for one that failed, nan for one of which nothing is known yet."""
    offered: int
    """How many were intended in all."""
    share: float
    """How many of all are sampled."""
    failed: dict[str, int]
    """How many of the sampled failed, by reason."""
    strays: int
    """Samples that no request of the schedule is behind: a worker was too late for a change."""


class Outcomes:
    """Of the requests of `plan`, which asks for samples; told of every change and every sample.

    The schedule is worked out here once more, as each worker does for itself. So a request without
    an answer is known as well, and when it was intended, which no sample says before it ends.
    """

    def __init__(self, plan: Plan) -> None:
        config = plan.config
        self._schedule = Schedule(
            parse_arrivals(config.arrivals),
            plan.profile,
            config.seed,
            *plan.part.share(0, 1),
            plan.cap_per_s,
        )
        self._sampling = Sampling(plan.samples_share, config.seed)
        self._piece: IntArray = np.empty(0, np.int64)
        self._taken = 0
        """Of the piece."""
        self._intended: list[IntArray] = []
        self._ended: list[_Ended] = []
        self._reasons: dict[str, int] = {}
        """Of failures, with the numbers that samples have here."""

    def follow(self, t_s: float, profile: Profile, samples_share: float) -> None:
        """The run follows `profile` from `t_s` on, and takes another share in samples."""
        self._advance(t_s)
        self._piece, self._taken = self._schedule.change(t_s, profile, self._taken), 0
        self._sampling.change(t_s, samples_share)

    def add(self, _worker: int, batch: SampleBatch) -> None:
        """Samples of a worker."""
        rows = np.frombuffer(batch.rows, SAMPLE)
        numbers = [self._reasons.setdefault(one, len(self._reasons)) for one in batch.reasons]
        ended = np.empty(len(rows), _ENDED)
        ended["intended_ns"] = rows["intended_ns"]
        ended["latency_s"] = (rows["done_ns"] - rows["intended_ns"]) / 1e9
        # The last one is that of ABSENT.
        ended["reason"] = np.array([*numbers, ABSENT])[rows["failure"]]
        ended["latency_s"][ended["reason"] != ABSENT] = np.inf
        self._ended.append(ended)

    def between(self, begin_s: float, end_s: float) -> Stretch:
        """What is known of the requests that were intended from `begin_s` until before `end_s`, a
        stretch without a change of the share in samples."""
        self._advance(end_s)
        ends_ns = (round(begin_s * 1e9), round(end_s * 1e9))
        intended = _within(self._all_intended(), *ends_ns)
        sampled = intended[self._sampling.chosen(intended)]
        ended = self._all_ended()
        ended = ended[slice(*np.searchsorted(ended["intended_ns"], ends_ns))]
        times = ended["intended_ns"]
        # Of requests intended in the same ns, each has a place of its own.
        place = np.searchsorted(sampled, times)
        place += np.arange(len(times)) - np.searchsorted(times, times)
        known = place < len(sampled)
        known[known] = sampled[place[known]] == times[known]
        latency = np.full(len(sampled), np.nan)
        latency[place[known]] = ended["latency_s"][known]
        numbers = ended["reason"][known]
        failed = np.bincount(numbers[numbers != ABSENT], minlength=len(self._reasons))
        return Stretch(
            intended_s=sampled / 1e9,
            latency_s=latency,
            offered=len(intended),
            share=self._sampling.share_at(begin_s),
            failed={
                reason: count
                for reason, count in zip(self._reasons, failed.tolist(), strict=True)
                if count
            },
            strays=int((~known).sum()),
        )

    def forget(self, before_s: float) -> None:
        """Nobody will ask for what was intended before that."""
        self._advance(before_s)
        before_ns = round(before_s * 1e9)
        intended = self._all_intended()
        self._intended = [intended[np.searchsorted(intended, before_ns) :]]
        ended = self._all_ended()
        self._ended = [ended[np.searchsorted(ended["intended_ns"], before_ns) :]]

    def _advance(self, to_s: float) -> None:
        """Work the schedule out up to `to_s`."""
        to_ns = round(to_s * 1e9)
        while True:
            here = int(np.searchsorted(self._piece[self._taken :], to_ns))
            self._intended.append(self._piece[self._taken : self._taken + here])
            self._taken += here
            if self._taken < len(self._piece):
                return
            self._piece, self._taken = self._schedule.next_piece(), 0

    def _all_intended(self) -> IntArray:
        self._intended = [np.concatenate([np.empty(0, np.int64), *self._intended])]
        return self._intended[0]

    def _all_ended(self) -> _Ended:
        """Samples by their intended times."""
        ended = np.concatenate([np.empty(0, _ENDED), *self._ended])
        self._ended = [ended[np.argsort(ended["intended_ns"], kind="stable")]]
        return self._ended[0]


def _within(times: IntArray, begin_ns: int, end_ns: int) -> IntArray:
    first, last = np.searchsorted(times, (begin_ns, end_ns))
    return times[first:last]
