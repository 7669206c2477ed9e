"""The highest rate that keeps SLOs, from one continuous run whose rate is changed live.

Three phases: a *ramp* doubles the rate until a backlog, or the share over the bound, shows that it
is too high; the backlog *drains* at a low rate; then *blocks* follow each other at the rates that
tell most: where one and a half times the allowed share is over the bound, and at the end at the
rate that is to be certified.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from tailrace.load.judge.confidence import chance_at_most
from tailrace.load.judge.slo import Slo
from tailrace.load.search import findings
from tailrace.load.search.answer import MOST_TIMES, Answer, CurvePoint, FindLimits
from tailrace.load.search.block import Ask, Block
from tailrace.load.search.curve import curve, describe_shape, find_dip
from tailrace.load.search.estimate import MODEL_ERROR, Estimate, estimate
from tailrace.load.search.goal import Goal
from tailrace.load.search.rows import Rows, join
from tailrace.load.search.service import Character, characterise
from tailrace.load.search.virtual import Gaps, exponential_gaps
from tailrace.units import format_figure

STEP_S = 1.5
"""Of the ramp."""
_AIM = 1.5
"""At so many times the allowed odds the blocks tell most: more over the bound, and yet near it."""
_DEPENDENT = 3.0
"""How many requests are worth one, where that is not known yet."""
_DIP = 0.75
"""Where the curve falls before it rises, rates from so much of the best one on count."""
_GAP, _SOME = 1.15, 50
"""While a rate that holds and one that does not are further apart, the middle is tried; of so many
requests at least."""
_NEARLY = 3.0
"""So many times the allowed share at most, and a rate is not blatantly broken."""
_CAUTIOUS = 0.2
"""By how much a block stays below the estimate at most."""
_BELOW = 0.97
"""Of the capacity: at it a queue grows without end."""
_ENOUGH = 40.0
"""Requests over the bound that a search is to expect to see at the rate that it finds."""
_HOPELESS = 5
"""So many requests that all failed, other than by being slow, and there is nothing to search."""
_RATES, _SPAN = 5, 4.0
"""So many rates, the highest so many times the lowest, that all break an SLO, and none is looked
for further."""
_TRIES = 3
"""Of a rate at which the generator is late."""
_PATIENT = 3
"""So many times as many where something else on its machine held it up."""
_CONFIRM = 0.2
"""The share of the time that is spent at the certified rate."""
_NARROW = 0.1
"""A spread, as a share of the rate, below which there is something to confirm."""
_SURE = 0.99
"""The probability with which the highest rate to be tried holds, and the search ends."""
_SUREST = 0.999
"""No answer is surer: what a model of the service leaves out is not in its own spread."""
_QUICK, _CAREFUL = 60_000, 300_000
"""Virtual requests to serve for the next rate, and for the last answer."""


class Search:
    """Says which load to offer next, from what came of the load so far.

    `ask`, offer that load, `tell` what came of it, until `ask` answers None; `answer` at any time.
    All three compute for up to some tenths of a second: an event loop calls them in a thread.

    Args:
        slos: all of them are to hold.
        limits: rates and time.
        gaps: draws unit gaps of the arrivals.

    Raises:
        UsageError: an SLO has no rate to search for.
    """

    def __init__(
        self, slos: Sequence[Slo], limits: FindLimits, gaps: Gaps = exponential_gaps
    ) -> None:
        self._goals = tuple(Goal(slo) for slo in slos)
        self._limits = limits
        self._gaps = gaps
        self._blocks: list[Block] = []
        self._phase: Literal["ramp", "drain", "blocks", "done"] = "ramp"
        self._rate = min(max(limits.start_per_s, limits.lowest_per_s), limits.highest_per_s)
        self._ceiling = limits.highest_per_s
        """No higher rate is tried: asked for, or the generator's own limit."""
        self._too_high: set[float] = set()
        """When blocks began whose requests came faster than their answers."""
        self._drained_s = 0.0
        self._stuck = False
        """It did not recover from too much load."""
        self._ramp_until_s = math.inf
        self._aim_per_s: float | None = None
        """Where the last block was put to learn most."""
        self._gone = False
        self._estimates: tuple[int, list[Estimate], Character] | None = None

    def ask(self) -> Ask | None:
        """The load to offer next; None once the search is done."""
        if self._phase == "done":
            return None
        if self._phase == "ramp":
            for_s = max(STEP_S, min(3 * self._base_s(), self._limits.for_s / 10))
            return Ask(self._rate, for_s, "doubling until it is too much")
        if self._phase == "drain":
            answers = self._most_answered(self._blocks)
            waiting = sum(int(np.isnan(block.latency_s).sum()) for block in self._blocks)
            for_s = min(max(1.0, 1.4 * waiting / answers), self._limits.for_s / 6)
            rate = max(answers / 4, self._limits.lowest_per_s)
            return Ask(min(rate, self._ceiling), for_s, "letting the backlog drain")
        return self._ask_block()

    def tell(self, block: Block) -> None:
        """Take in what came of a block. One that begins when an earlier one did replaces it: so
        answers that came after a block's end are told, which the estimates are better for."""
        self._estimates = None
        for index, earlier in enumerate(self._blocks):
            if earlier.begin_s == block.begin_s:
                self._blocks[index] = block
                return
        self._blocks.append(block)
        if self._is_gone():
            self._gone, self._phase = True, "done"
        elif block.late:
            self._tell_late(block)
        elif self._phase == "ramp":
            self._tell_ramp(block)
        elif self._phase == "drain":
            self._tell_drain(block)
        elif self._piles_up(block):
            self._too_high.add(block.begin_s)
            self._phase, self._drained_s = "drain", 0.0
        if self._phase == "blocks":
            self._ramp_until_s = min(self._ramp_until_s, block.end_s)
        if self._spent_s() >= self._time_s() - 0.5:
            self._phase = "done"

    @property
    def left_s(self) -> float:
        """How much more load it would offer, as it looks now."""
        return max(self._time_s() - self._spent_s(), 0.0)

    def answer(self) -> Answer:
        """What is known so far."""
        names = list(findings.describe_failures(self._blocks))
        if self._gone:
            return self._without("nothing but failures came back", names)
        if not any(np.isfinite(block.latency_s).any() for block in self._blocks):
            return self._without(f"nothing was answered in {self._spent_s():.1f} s", names)
        every, character = self._estimate(_CAREFUL if self._phase == "done" else _QUICK)
        deciding = min(every, key=lambda estimate: estimate.low)
        name = deciding.goal.slo.expression
        rows = self._rows(deciding.goal)
        points = curve(deciding.goal, self._blocks, rows, deciding.inflation)
        told = [
            *describe_shape(deciding.goal, points),
            *names,
            *findings.describe_collapse(self._blocks, self._too_high),
            *findings.describe_character(character, self._spent_s()),
            *findings.describe_estimates(deciding),
            *findings.describe_time(self._spent_s(), self._limits.for_s),
            *self._describe_ceiling(deciding),
            *self._describe_stuck(),
        ]
        failing, at_most = findings.failing_share(self._blocks)
        if not deciding.goal.is_mean and at_most > deciding.goal.allowed:
            word = "holds" if failing > deciding.goal.allowed else "surely holds"
            return self._without(
                f"no rate {word} {name}: {100 * failing:.2g} % of requests fail, whatever the rate",
                told,
                points,
            )
        tried = min((point.rate_per_s for point in points), default=self._rate)
        # What no block has come near to keeping is not certified, whatever a model says.
        seen = [
            point.rate_per_s
            for point in points
            if point.requests >= _SOME and point.share <= _NEARLY * deciding.goal.allowed
        ]
        certified = min(math.exp(deciding.low), self._ceiling, max(seen, default=0.0))
        if self._never_holds(deciding.goal, points):
            best = min(points, key=lambda point: point.share)
            return self._without(
                f"{name} holds at no rate: at {format_figure(best.rate_per_s)}/s, the best of "
                f"{len(points)}, {deciding.goal.describe(best.share)}",
                told,
                points,
            )
        if certified < max(tried / 2, self._limits.lowest_per_s):
            return self._without(
                f"no rate can be certified: at {format_figure(tried)}/s, the lowest that was "
                f"tried, {name} is not shown to hold",
                told,
                points,
            )
        doubt = sum(1 - self._holds_at(one, certified) for one in every)
        confidence = min(max(1 - doubt, 0.0), _SUREST)
        return Answer(
            rate_per_s=certified,
            estimate_per_s=min(math.exp(deciding.centre), self._ceiling),
            interval_per_s=(certified, max(math.exp(deciding.high), certified)),
            confidence=confidence,
            slo=name,
            reason=f"{format_figure(certified)} requests a second hold {name}, with a probability "
            f"of {100 * confidence:.1f} %",
            findings=tuple(told),
            curve=points,
            spent_s=self._spent_s(),
            needed_s=None if deciding.spread < 2 * MODEL_ERROR else 3 * self._spent_s(),
        )

    def _holds_at(self, one: Estimate, rate_per_s: float) -> float:
        """The probability that an SLO holds at a rate: where nothing has broken it yet, at most
        what the requests at that rate and above show by their number alone (exact binomial)."""
        points = curve(one.goal, self._blocks, self._rows(one.goal), one.inflation)
        tried = [point for point in points if point.rate_per_s >= _BELOW * rate_per_s]
        holds = one.holds_at(rate_per_s)
        if one.goal.is_mean or any(point.share > one.goal.allowed for point in tried):
            return holds
        n = sum(point.requests for point in tried) / one.inflation
        over = sum(point.requests * point.share for point in tried) / one.inflation
        return min(holds, 1 - chance_at_most(over, n, one.goal.allowed))

    def _never_holds(self, goal: Goal, points: Sequence[CurvePoint]) -> bool:
        """Whether every rate that was tried, over a wide span, surely breaks the SLO."""
        return (
            self._phase in ("blocks", "done")
            and len(points) >= _RATES
            and points[-1].rate_per_s > _SPAN * points[0].rate_per_s
            and all(point.low > goal.allowed for point in points)
        )

    def _without(
        self, reason: str, told: Sequence[str], points: tuple[CurvePoint, ...] = ()
    ) -> Answer:
        return Answer(
            rate_per_s=None,
            estimate_per_s=None,
            interval_per_s=None,
            confidence=None,
            slo=self._goals[0].slo.expression,
            reason=reason,
            findings=tuple(told),
            curve=points,
            spent_s=self._spent_s(),
            gone=self._gone,
        )

    def _tell_late(self, block: Block) -> None:
        tries = [one for one in self._blocks if one.late and one.rate_per_s >= block.rate_per_s]
        if block.disturbed and len(tries) < _PATIENT * _TRIES:
            # A lower rate would not help.
            return
        if self._phase == "ramp" and len(tries) < _TRIES:
            return
        kept = [one.rate_per_s for one in self._blocks if not one.late]
        below = max((rate for rate in kept if rate < block.rate_per_s), default=None)
        if below is None:
            below = max(block.rate_per_s / 2, self._limits.lowest_per_s)
        # A rate in the middle may yet be kept; how far that goes is tried once more.
        middle = math.sqrt(below * block.rate_per_s)
        self._ceiling = min(self._ceiling, below if len(tries) > 2 * _TRIES else middle)
        self._phase = "blocks"

    def _tell_ramp(self, block: Block) -> None:
        if not np.isfinite(block.latency_s).any() and self._spent_s() < self._limits.for_s / 6:
            return
        if self._is_too_high(block):
            self._too_high.add(block.begin_s)
            self._phase = "drain"
        elif block.rate_per_s >= self._ceiling:
            self._phase = "blocks"
        else:
            self._rate = min(2 * block.rate_per_s, self._ceiling)

    def _tell_drain(self, block: Block) -> None:
        self._drained_s += block.end_s - block.begin_s
        waiting = np.isnan(block.latency_s).sum()
        flying = block.rate_per_s * self._base_s()
        if waiting <= 2 * flying + 3:
            self._phase = "blocks"
        elif self._drained_s > self._limits.for_s / 3:
            self._stuck, self._phase = True, "done"

    def _is_too_high(self, block: Block) -> bool:
        if self._piles_up(block):
            return True
        for goal in self._goals:
            rows = join([block], goal.slo.bound_s)
            scores = goal.scores(rows.latency_s[rows.settled])
            if len(scores) >= 10 and goal.link(float(scores.mean())) - goal.link(
                goal.allowed
            ) > math.log(4 if goal.is_mean else 10):
                # Unless the very first requests were no better: then it is not the rate.
                first = self._rows(goal)
                idle = goal.scores(first.latency_s[(first.block == 0) & first.settled])
                return bool(len(idle)) and float(idle.mean()) < float(scores.mean()) / 2
        return False

    def _piles_up(self, block: Block) -> bool:
        """Whether requests came faster than answers, by more than chance."""
        waiting = float(np.isnan(block.latency_s).sum())
        flying = block.rate_per_s * self._base_s()
        chance = 2 * math.sqrt(block.rate_per_s * STEP_S) + 3
        return waiting > max(2 * flying + chance, 0.2 * block.offered)

    def _ask_block(self) -> Ask | None:
        left = self._time_s() - self._spent_s()
        every, character = self._estimate(_QUICK)
        deciding = min(every, key=lambda estimate: estimate.low)
        if (
            self._holds_at(deciding, self._ceiling) > _SURE
            and self._blocks[-1].rate_per_s >= self._ceiling
        ):
            self._phase = "done"
            return None
        points = curve(deciding.goal, self._blocks, self._rows(deciding.goal), deciding.inflation)
        if self._never_holds(deciding.goal, points):
            self._phase = "done"
            return None
        lower, upper = _bracket(deciding.goal, points)
        if left <= _CONFIRM * self._time_s() and deciding.spread < _NARROW:
            rate, why = math.exp(deciding.low), "confirming"
        else:
            # While little is known, rather below: a queue that builds up tells nothing more.
            beyond = math.log(_AIM) / max(deciding.steepness, 6.0)
            cautious = min(max(deciding.spread - beyond, 0.0), _CAUTIOUS)
            rate, why = math.exp(deciding.centre + beyond - cautious), "where most is to be learnt"
            if character.queue is not None:
                rate = min(rate, _BELOW * character.queue.capacity_per_s())
            if deciding.queue is None and upper > _GAP * lower:
                rate, why = (
                    math.sqrt(lower * upper),
                    "between a rate that holds and one that does not",
                )
            self._aim_per_s = rate
        rate = min(max(rate, self._limits.lowest_per_s), self._ceiling)
        early = self._spent_s() < 0.4 * self._time_s()
        for_s = max(2 * STEP_S, self._time_s() / (20 if early else 10))
        return Ask(rate, left if left < 1.5 * for_s else for_s, why)

    def _estimate(self, cells: int) -> tuple[list[Estimate], Character]:
        """One a goal; computed once for all that is asked between two blocks."""
        if self._estimates is not None and self._estimates[0] >= cells:
            return self._estimates[1:]
        about = self._aim_per_s or self._blocks[-1].rate_per_s
        rows = self._rows(self._goals[0])
        character = characterise(self._blocks, rows, about, self._ramp_until_s)
        since_s = character.since_s
        known = [block for block in self._blocks if block.end_s > since_s]
        rates = [block.rate_per_s for block in known]
        most = 4 * max(rates)
        if any(block.begin_s in self._too_high for block in known):
            most = min(most, self._most_answered(known))
        least = min(max(min(rates) / 8, self._limits.lowest_per_s / 2), most / 4)
        error = max(MODEL_ERROR, abs(character.change) / 2)
        every = []
        for goal in self._goals:
            rows = self._rows(goal)
            rows = replace(rows, settled=rows.settled & (rows.intended_s >= since_s))
            dip = find_dip(curve(goal, self._blocks, rows, _DEPENDENT))
            if dip is not None:
                # What is worse at lower rates says nothing of where higher ones break.
                rising = np.array([b.rate_per_s > _DIP * dip[1].rate_per_s for b in self._blocks])
                rows = replace(rows, settled=rows.settled & rising[rows.block])
            every.append(
                estimate(
                    goal,
                    self._blocks,
                    rows,
                    character.queue,
                    self._gaps,
                    (least if dip is None else dip[1].rate_per_s / 2, most),
                    cells,
                    error,
                )
            )
        self._estimates = cells, every, character
        return every, character

    def _rows(self, goal: Goal) -> Rows:
        return join(self._blocks, goal.slo.bound_s)

    def _base_s(self) -> float:
        """The median latency of the first requests that were answered; 0 before there are any."""
        for block in self._blocks:
            answered = block.latency_s[np.isfinite(block.latency_s)]
            if len(answered):
                return float(np.median(answered))
        return 0.0

    def _most_answered(self, blocks: Sequence[Block]) -> float:
        """More than it can answer a second: the most that it has, and three standard deviations."""
        most = self._limits.lowest_per_s
        for block in blocks:
            answered = np.isfinite(block.latency_s)
            done = int(answered.sum())
            if done:
                last = float(np.max(block.intended_s[answered] + block.latency_s[answered]))
                span_s = max(block.end_s, last) - block.begin_s
                most = max(most, (done + 3 * math.sqrt(done)) / span_s)
        return most

    def _spent_s(self) -> float:
        return self._blocks[-1].end_s - self._blocks[0].begin_s if self._blocks else 0.0

    def _time_s(self) -> float:
        for_s = self._limits.for_s
        if self._aim_per_s is None:
            return for_s
        needed = max(_ENOUGH / goal.allowed for goal in self._goals) / self._aim_per_s
        return min(max(needed, for_s), MOST_TIMES * for_s)

    def _is_gone(self) -> bool:
        failed = sum(int(np.isinf(block.latency_s).sum()) - block.slow for block in self._blocks)
        answered = any(np.isfinite(block.latency_s).any() for block in self._blocks)
        return failed >= _HOPELESS and not answered

    def _describe_stuck(self) -> Iterator[str]:
        if self._stuck:
            rate = format_figure(self._blocks[-1].rate_per_s)
            yield (
                f"a cliff: after more load than it takes it did not recover: {self._drained_s:.0f} "
                f"s later, at {rate}/s, requests still waited"
            )

    def _describe_ceiling(self, deciding: Estimate) -> Iterator[str]:
        late = [block.rate_per_s for block in self._blocks if block.late]
        if late:
            yield (
                f"the generator was late at {format_figure(min(late))}/s: such blocks decide "
                "nothing"
            )
        if math.exp(deciding.low) >= self._ceiling:
            reached = format_figure(self._ceiling)
            yield (
                f"faster than the generator: {reached}/s were reached, and hold"
                if late
                else f"{reached}/s, the highest rate that was to be tried, hold"
            )


def _bracket(goal: Goal, points: Sequence[CurvePoint]) -> tuple[float, float]:
    """The highest rate that seems to hold, and the lowest above it that does not; the same where
    there is none of either."""
    kept = [p.rate_per_s for p in points if p.share <= goal.allowed and p.requests >= _SOME]
    lower = max(kept, default=0.0)
    broken = [p.rate_per_s for p in points if p.share > 2 * goal.allowed and p.rate_per_s > lower]
    upper = min(broken, default=lower)
    return (lower, upper) if kept else (upper, upper)
