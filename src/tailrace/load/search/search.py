"""The highest rate that keeps SLOs, from one continuous run whose rate is changed live.

Three phases: a *ramp* doubles the rate until a backlog, or the share over the bound, shows that it
is too high; the backlog *drains* at a low rate; then *blocks* follow each other at the rates that
tell most: where one and a half times the allowed share is over the bound, and at the end at the
rate that is to be certified.
"""

from collections.abc import Sequence

import numpy as np

from tailrace.load.judge.slo import Slo
from tailrace.load.search.answer import Answer, CurvePoint, FindLimits
from tailrace.load.search.block import Ask, Block, Floats
from tailrace.load.search.estimate import Estimate, estimate, recognise_queue
from tailrace.load.search.goal import Goal
from tailrace.load.search.rows import Rows, join
from tailrace.units import format_figure

STEP_S = 1.5
"""Of the ramp."""
MOST_TIMES = 3.0
"""How many times the time to spend a search takes at most, where a service is too slow for it."""
_AIM = 1.5
"""At so many times the allowed odds the blocks tell most: more over the bound, and yet near it."""
_ENOUGH = 40.0
"""Requests over the bound that a search is to expect to see at the rate that it finds."""
_HOPELESS = 5
"""So many requests that all failed, other than by being slow, and there is nothing to search."""
_TRIES = 3
"""Of a rate at which the generator is late."""
_CONFIRM = 0.2
"""The share of the time that is spent at the certified rate."""
_QUICK, _CAREFUL = 60_000, 300_000
"""Virtual requests to serve for the next rate, and for an answer."""


class Search:
    """Says which load to offer next, from what came of the load so far.

    Args:
        slos: all of them are to hold.
        limits: rates and time.
        gaps: unit gaps of the arrivals, float64 [r, n] for (r, n); exponential if None.

    Raises:
        UsageError: an SLO has no rate to search for.
    """

    def __init__(self, slos: Sequence[Slo], limits: FindLimits, gaps: object | None = None) -> None:
        self._goals = tuple(Goal(slo) for slo in slos)
        self._limits = limits
        self._blocks: list[Block] = []
        self._phase = "ramp"
        self._rate = min(max(limits.start_per_s, limits.lowest_per_s), limits.highest_per_s)
        self._late = 0
        self._ceiling = limits.highest_per_s
        """No higher rate is tried: asked for, or the generator's own limit."""
        self._too_high = np.inf
        """The lowest rate that the ramp has shown to be too high."""
        self._base_s: float | None = None
        """The median latency of the first requests that were answered."""
        self._gone = False
        self._drained = 0.0

    def ask(self) -> Ask | None:
        """The load to offer next; None once the search is done."""
        if self._phase == "done":
            return None
        if self._phase == "ramp":
            longest = STEP_S if self._base_s is None else max(STEP_S, 3 * self._base_s)
            return Ask(self._rate, longest, "doubling until it is too much")
        if self._phase == "drain":
            last = self._blocks[-1]
            rate = max(self._capacity() / 4, self._limits.lowest_per_s)
            waiting = int(np.isnan(last.latency_s).sum())
            for_s = min(max(1.0, 1.4 * waiting / self._capacity()), self._limits.for_s / 4)
            return Ask(rate, for_s, "letting the backlog drain")
        return self._ask_block()

    def tell(self, block: Block) -> None:
        """Take in what came of a block: one that begins when an earlier one did replaces it, its
        late answers included."""
        for index, earlier in enumerate(self._blocks):
            if earlier.begin_s == block.begin_s:
                self._blocks[index] = block
                return
        self._blocks.append(block)
        if self._is_gone():
            self._gone, self._phase = True, "done"
        elif self._phase == "ramp":
            self._tell_ramp(block)
        elif self._phase == "drain":
            self._tell_drain(block)
        elif block.late:
            self._ceiling = min(self._ceiling, block.rate_per_s / 1.05)
        if self._spent_s() >= self._time_s() - 0.5:
            self._phase = "done"

    def answer(self) -> Answer:
        """What is known so far."""
        if self._gone:
            return self._without("nothing but failures came back")
        if (
            not self._blocks
            or not np.isfinite(np.concatenate([block.latency_s for block in self._blocks])).any()
        ):
            return self._without("nothing was answered yet")
        deciding = self._estimate(_CAREFUL)
        rate, centre = float(np.exp(deciding.low)), float(np.exp(deciding.centre))
        name = deciding.goal.slo.expression
        capped = min(rate, self._ceiling)
        if rate < self._limits.lowest_per_s:
            return self._without(
                f"not even {format_figure(self._limits.lowest_per_s)}/s hold {name}"
            )
        return Answer(
            rate_per_s=capped,
            estimate_per_s=centre,
            interval_per_s=(rate, float(np.exp(deciding.high))),
            confidence=deciding.holds_at(capped),
            slo=name,
            reason=f"{format_figure(capped)} requests a second hold {name}",
            curve=self._curve(deciding.goal),
            spent_s=self._spent_s(),
        )

    def _without(self, reason: str) -> Answer:
        return Answer(
            rate_per_s=None,
            estimate_per_s=None,
            interval_per_s=None,
            confidence=None,
            slo=self._goals[0].slo.expression,
            reason=reason,
            spent_s=self._spent_s(),
            gone=self._gone,
        )

    def _tell_ramp(self, block: Block) -> None:
        if block.late:
            self._late += 1
            if self._late == _TRIES:
                self._ceiling = block.rate_per_s / 2
                self._phase = "blocks"
            return
        self._late = 0
        answered = block.latency_s[np.isfinite(block.latency_s)]
        if self._base_s is None:
            if not len(answered) and self._spent_s() < self._limits.for_s / 4:
                return
            self._base_s = float(np.median(answered)) if len(answered) else self._limits.for_s
        if self._is_too_high(block):
            self._too_high = block.rate_per_s
            self._phase = "drain"
        elif block.rate_per_s >= self._ceiling:
            self._phase = "blocks"
        else:
            self._rate = min(2 * block.rate_per_s, self._ceiling)

    def _is_too_high(self, block: Block) -> bool:
        assert self._base_s is not None
        waiting = np.isnan(block.latency_s).sum()
        before = self._blocks[-2] if len(self._blocks) > 1 else None
        carried = np.isnan(before.latency_s).sum() if before is not None else 0
        flying = block.rate_per_s * self._base_s
        if waiting - carried > 2 * flying + 2 * np.sqrt(block.offered) + 3:
            return True
        for goal in self._goals:
            rows = self._rows([block], goal)
            scores = goal.scores(rows.latency_s[rows.settled])
            if len(scores) >= 10 and before is not None:
                level = float(np.mean(scores))
                if goal.is_mean and level > 4:
                    return True
                odds = level / max(1 - level, 1e-9)
                if not goal.is_mean and odds > 10 * goal.allowed / (1 - goal.allowed):
                    return True
        return False

    def _tell_drain(self, block: Block) -> None:
        assert self._base_s is not None
        self._drained += block.end_s - block.begin_s
        waiting = np.isnan(block.latency_s).sum()
        flying = block.rate_per_s * self._base_s
        if waiting <= 3 * flying + 3 or self._drained > self._limits.for_s / 2:
            self._phase = "blocks"

    def _ask_block(self) -> Ask:
        left = self._time_s() - self._spent_s()
        deciding = self._estimate(_QUICK)
        done = sum(1 for block in self._blocks if block.rate_per_s > 0)
        confirm = left <= _CONFIRM * self._time_s()
        if confirm:
            rate, why = np.exp(deciding.low), "confirming"
        else:
            rate = np.exp(deciding.centre + np.log(_AIM) / max(deciding.steepness, 3.0))
            why = "where most is to be learnt"
        rate = float(np.clip(rate, self._limits.lowest_per_s, self._ceiling))
        length = max(STEP_S * 2, self._time_s() / (20 if done < 12 else 10))
        if left < 1.5 * length:
            length = left
        return Ask(rate, length, why)

    def _estimate(self, cells: int) -> Estimate:
        lowest = min(block.rate_per_s for block in self._blocks)
        highest = max(block.rate_per_s for block in self._blocks)
        bounds = (max(lowest / 8, self._limits.lowest_per_s / 2), 4 * highest)
        found = []
        for goal in self._goals:
            rows = self._rows(self._blocks, goal)
            found.append(
                estimate(
                    goal, self._blocks, rows, recognise_queue(rows), _exponential, bounds, cells
                )
            )
        return min(found, key=lambda estimate: estimate.low)

    def _rows(self, blocks: Sequence[Block], goal: Goal) -> Rows:
        return join(blocks, goal.slo.bound_s)

    def _capacity(self) -> float:
        """How many a second it answered when it was asked for most."""
        for block in reversed(self._blocks):
            if block.rate_per_s >= self._too_high:
                done = block.intended_s + block.latency_s
                rate = np.sum(done <= block.end_s) / (block.end_s - block.begin_s)
                return float(max(rate, block.rate_per_s / 50, 1e-3))
        return self._rate

    def _spent_s(self) -> float:
        return self._blocks[-1].end_s - self._blocks[0].begin_s if self._blocks else 0.0

    def _time_s(self) -> float:
        for_s = self._limits.for_s
        if self._phase in ("ramp", "drain") or not self._blocks:
            return for_s
        needed = max(_ENOUGH / goal.allowed for goal in self._goals) / self._blocks[-1].rate_per_s
        return float(np.clip(needed, for_s, MOST_TIMES * for_s))

    def _is_gone(self) -> bool:
        latency = np.concatenate([block.latency_s for block in self._blocks])
        failed = int(np.isinf(latency).sum()) - sum(block.slow for block in self._blocks)
        return failed >= _HOPELESS and not np.isfinite(latency).any()

    def _curve(self, goal: Goal) -> tuple[CurvePoint, ...]:
        rows = self._rows(self._blocks, goal)
        points = []
        for index, block in enumerate(self._blocks):
            latency = rows.latency_s[(rows.block == index) & rows.settled]
            if not len(latency):
                continue
            statistic = goal.statistic_s(latency)
            share = float(goal.scores(latency).mean())
            points.append(
                CurvePoint(
                    rate_per_s=block.rate_per_s,
                    seconds=block.end_s - block.begin_s,
                    requests=len(latency),
                    statistic_ms=None if statistic is None else statistic * 1000,
                    share=share,
                    low=share,
                    high=share,
                )
            )
        return tuple(sorted(points, key=lambda point: point.rate_per_s))


def _exponential(replicas: int, count: int) -> Floats:
    return np.random.default_rng(1).exponential(size=(replicas, count))
