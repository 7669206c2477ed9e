"""The highest rate at which a service keeps an SLO: double until it breaks, then bisect.

Each step is a run of its own, as long as early stopping needs to decide: it *holds* once the
percentile is proven to lie within the bound (99 % confidence), and *breaks* once the opposite is.
Requests that have been outstanding for longer than the bound are over it whatever comes of them,
so a growing backlog decides a step long before its answers come in. A step ends when all of its
requests have their answers: the next one finds the service's queue empty.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from tailrace.errors import TailraceError, UsageError
from tailrace.load.crew import Crew
from tailrace.load.early_stopping import CONFIDENCE, chance_at_most, share_above, still_needed
from tailrace.load.plan import Plan
from tailrace.load.profile import constant
from tailrace.load.session import Session
from tailrace.load.slo import Slo
from tailrace.load.tally import Interval, Tally

Decision = Literal["holds", "breaks"]

_CONFIRMATIONS = 5
"""Long runs tried at the end, each at a lower rate than the one before."""


class ServiceGoneError(TailraceError):
    """Nothing answers any more: no rate is to be found."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One rate, tried."""

    rate_per_s: float
    decision: Decision
    reason: str
    duration_s: float
    offered: int
    completed: int
    failed: int
    over: int
    """Requests over the bound: answered too late, failed, or outstanding for longer than it."""
    percentile_ms: float | None
    """The SLO's percentile of what was answered."""
    send_lag_p99_us: float | None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a search."""

    target: str
    slo: str
    rate_per_s: float | None
    """The highest rate found within the SLO; None if not even the lowest tried holds."""
    confirmed: bool
    """Whether a last, longer run at that rate held too."""
    reason: str
    ended_by: str | None = None
    """What cut it short before it came to its own end, if anything did: the name of a signal, or
    `error`."""
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """How a search goes about it.

    A step lasts at least `step_s` and at most `longest_s`, the first `warmup_s` of it uncounted;
    the rate found is within `precision` (a share) of one that breaks; rates stay between `lowest`
    and `highest`; the confirmation lasts `confirm_s`.
    """

    start: float = 10.0
    lowest: float = 0.1
    highest: float = 1e6
    precision: float = 0.02
    step_s: float = 10.0
    longest_s: float = 60.0
    warmup_s: float = 1.0
    confirm_s: float = 30.0


Measure = Callable[[float, float], Awaitable[Step]]
"""Tries a rate (per second) for at least so many seconds."""


async def search(measure: Measure, limits: SearchLimits) -> AsyncIterator[Step]:
    """Steps of a search for the highest rate that holds, as they are done; the last of them that
    holds has the rate found, and is the confirmation.
    """
    holds, breaks = 0.0, math.inf
    rate = min(max(limits.start, limits.lowest), limits.highest)
    while breaks - holds > limits.precision * holds:
        step = await measure(rate, limits.step_s)
        yield step
        if step.decision == "holds":
            holds = rate
            if rate >= limits.highest:
                break
        else:
            breaks = rate
            if rate <= limits.lowest:
                return
        rate = _next_rate(holds, breaks, limits)
    for attempt in range(_CONFIRMATIONS):
        if holds < limits.lowest:
            return
        step = await measure(holds, limits.confirm_s)
        yield step
        if step.decision == "holds":
            return
        holds *= 1 - limits.precision * 2**attempt


def _next_rate(holds: float, breaks: float, limits: SearchLimits) -> float:
    if math.isinf(breaks):
        return min(2 * holds, limits.highest)
    if holds == 0:
        return max(breaks / 2, limits.lowest)
    # The middle by ratio: what counts is how many per cent the answer is off.
    return math.sqrt(holds * breaks)


def outlook(steps: Sequence[Step], limits: SearchLimits) -> str:
    """How far a search is that has done `steps`: `doubling`, `halving`, the number of steps `to
    go` before it is confirmed, or `confirming`.
    """
    holds = max((step.rate_per_s for step in steps if step.decision == "holds"), default=0.0)
    breaks = min((step.rate_per_s for step in steps if step.decision == "breaks"), default=math.inf)
    if holds >= limits.highest or breaks - holds <= limits.precision * holds:
        return "confirming"
    if math.isinf(breaks):
        return "doubling"
    if holds == 0:
        return "halving"
    # Each step halves the ratio's logarithm.
    left = math.log2(math.log(breaks / holds) / math.log1p(limits.precision))
    return f"{max(1, math.ceil(left))} to go"


def judge_step(total: Tally, outstanding: int, rate_per_s: float, slo: Slo) -> Decision | None:
    """Whether what is known so far decides a step, with 99 % confidence either way.

    `outstanding` requests have no answer yet. If all were within the bound, no more than those
    that arrived within the last `bound_s` could be; Poisson arrivals exceed their mean by five
    standard deviations once in a million.
    """
    assert slo.percent is not None
    recent = rate_per_s * slo.bound_s
    stuck = max(0, math.floor(outstanding - recent - 5 * math.sqrt(recent) - 10))
    over = slo.count_over(total.latency) + total.failures + stuck
    known = total.completed + total.failures + stuck
    if known and still_needed(slo.percent, known, over) == 0:
        return "holds"
    # The same test the other way: would so many be over the bound if the SLO held, if barely?
    if over and 1 - chance_at_most(over - 1, known, share_above(slo.percent)) < 1 - CONFIDENCE:
        return "breaks"
    return None


class Searcher:
    """Measures steps with real load.

    Args:
        plan: what to offer, but for the rate and the duration.
        slo: the percentile SLO to search under.
        on_interval: told of the rate and each interval as it ends.
        make_crew: where the load workers of each step come from; None: processes of this machine.

    Raises:
        UsageError: the SLO is not on a percentile.
    """

    def __init__(
        self,
        plan: Plan,
        slo: Slo,
        limits: SearchLimits,
        on_interval: Callable[[float, Interval], None],
        make_crew: Callable[[], Crew | None] = lambda: None,
    ) -> None:
        if slo.percent is None:
            raise UsageError(f"{slo.expression!r}: a search needs a percentile, as in p99<100ms")
        self._plan = plan
        self._slo = slo
        self._limits = limits
        self._on_interval = on_interval
        self._make_crew = make_crew
        self._session: Session | None = None
        self.cut_by: str | None = None
        """Who ended the search before its time, as `cancel` was told."""

    def cancel(self, by: str) -> None:
        """End the step in progress, as `by` asks; `measure` raises CancelledError."""
        self.cut_by = by
        if self._session is not None:
            self._session.abandon(by)

    async def measure(self, rate_per_s: float, at_least_s: float) -> Step:
        """Try a rate for at least so many seconds.

        Raises:
            GeneratorError: the load workers cannot be started.
            ServiceGoneError: not one connection could be opened.
            asyncio.CancelledError: `cancel` was called.
        """
        if self.cut_by is not None:
            raise asyncio.CancelledError
        limits, slo = self._limits, self._slo
        plan = replace(
            self._plan,
            profile=constant(rate_per_s),
            duration_s=limits.warmup_s + max(limits.longest_s, at_least_s),
            slos=(slo,),
            min_duration_s=0.0,
        )
        session = self._session = Session(plan, self._make_crew())
        counted = Tally()
        decision: Decision | None = None
        reason = ""
        await session.start()
        async for interval in session.intervals():
            point = interval.point
            self._on_interval(rate_per_s, interval)
            if decision is not None or point.t_s <= limits.warmup_s:
                continue
            for snapshot in interval.snapshots:
                counted.add(snapshot)
            decision = judge_step(counted, point.in_flight + point.backlog, rate_per_s, slo)
            if decision == "holds" and point.t_s < limits.warmup_s + at_least_s:
                decision = None
            if decision is not None:
                reason = "proven with 99 % confidence"
                session.stop()
        self._session = None
        if self.cut_by is not None:
            raise asyncio.CancelledError
        if decision is None:
            decision = "holds" if slo.holds(counted.latency, counted.failures) else "breaks"
            reason = "undecided at the end of the step: by the percentile as measured"
        if counted.failed and set(session.total.failed) == {"connect"} and not counted.completed:
            raise ServiceGoneError(
                f"nothing answers at {plan.url}: {session.total.failures:,} connections failed"
            )
        lag = counted.send_lag.percentiles(1)
        percentile_us = (
            counted.latency.percentile_us(slo.percent or 0)[0] if counted.latency.total else None
        )
        return Step(
            rate_per_s=rate_per_s,
            decision=decision,
            reason=reason,
            duration_s=round(session.duration_s, 3),
            offered=counted.offered,
            completed=counted.completed,
            failed=counted.failures,
            over=slo.count_over(counted.latency) + counted.failures,
            percentile_ms=round(percentile_us / 1000, 4) if percentile_us is not None else None,
            send_lag_p99_us=lag.p99,
        )


def conclude(
    url: str, slo: Slo, limits: SearchLimits, steps: list[Step], ended_by: str | None = None
) -> Found:
    """What a search that is over, or was cut short as `ended_by` says, has found."""
    held = [step for step in steps if step.decision == "holds"]
    broke = [step for step in steps if step.decision == "breaks"]
    rate = min((step.rate_per_s for step in held[-1:]), default=None)
    confirmed = (
        ended_by is None
        and bool(steps)
        and steps[-1] is (held[-1] if held else None)
        and (steps[-1].duration_s >= limits.confirm_s)
    )
    if rate is None:
        reason = (
            f"not even {broke[-1].rate_per_s:,.4g} requests a second hold {slo.expression}"
            if broke
            else "nothing was measured"
        )
    elif not broke:
        most = ", the most that was allowed," if rate >= limits.highest else ""
        reason = f"{rate:,.4g} requests a second{most} hold {slo.expression}; none above was tried"
    else:
        lowest = min(step.rate_per_s for step in broke)
        reason = f"{rate:,.4g} requests a second hold {slo.expression}, {lowest:,.4g} do not"
    if ended_by is not None:
        reason += f"; the search was cut short ({ended_by})"
    return Found(
        target=url,
        slo=slo.expression,
        rate_per_s=rate,
        confirmed=confirmed,
        reason=reason,
        ended_by=ended_by,
        steps=tuple(steps),
    )
