"""The highest rate at which a service keeps an SLO: double until it breaks, then bisect.

Each step is a run of its own, as long as early stopping needs to decide: it *holds* once the
percentile is proven to lie within the bound (99 % confidence), and *breaks* once the opposite is.
Requests that have been outstanding for longer than the bound are over it whatever comes of them,
so a growing queue decides a step long before its answers come in. A step ends when all of its
requests have their answers: the next one finds the service's queue empty.

A step in which the load was not what it should have been, as the generator was late, decides
nothing: it is tried again, and then its rate is the generator's limit, not the service's.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from tailrace.errors import TailraceError, UsageError
from tailrace.load.judge.confidence import CONFIDENCE, chance_at_most, share_above, still_needed
from tailrace.load.judge.slo import Slo, count_over
from tailrace.load.judge.verdict import connections_fault, generator_limits, late_above_s
from tailrace.load.measure.failures import describe_failures
from tailrace.load.measure.measurement import Measurement
from tailrace.load.measure.point import Interval, Percentiles
from tailrace.load.schedule.profile import constant
from tailrace.load.session.plan import Plan
from tailrace.load.session.session import Session
from tailrace.units import format_duration, format_figure, format_latency

Decision = Literal["holds", "breaks", "late"]
"""`late`: nothing about the service, for want of the generator."""

_CONFIRMATIONS = 5
"""Long runs tried at the end, each at a lower rate than the one before."""


UNFINISHED = "unfinished"
"""What a search was ended by whose process was killed, or broke."""
_TRIES = 3
"""Of a rate at which the generator is late."""
_LATE_RATES = 3
"""So many of them, from the first on, and none is looked for below."""
_HOPELESS = 5
"""So many requests that all failed, other than by being slow, and there is nothing to search for.
"""


class ServiceGoneError(TailraceError):
    """Nothing but failures comes back: no rate is to be found."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One rate, tried."""

    rate_per_s: float
    decision: Decision
    reason: str
    duration_s: float
    """How long it was counted: without its warm-up."""
    offered: int
    completed: int
    failed: int
    reasons: dict[str, int] = {}
    """Of the failures."""
    over: int
    """Requests over the bound: answered too late, failed, or outstanding for longer than it."""
    percentile_ms: float | None
    """The SLO's percentile of what was answered."""
    send_lag_p99_us: float | None
    doubt: str | None = None
    """What else than the service may have broken the SLO: the cap on connections."""

    def __str__(self) -> str:
        return (
            f"{format_figure(self.rate_per_s)}/s {self.decision}: "
            f"{format_latency(self.percentile_ms)}, {self.over:,} of "
            f"{self.completed + self.failed:,} over, {self.duration_s:.1f} s"
        )


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a search."""

    def __repr__(self) -> str:
        confirmed = "confirmed" if self.confirmed else "not confirmed"
        return f"{self.target}: {self.reason} ({confirmed}, {len(self.steps)} steps)"

    target: str
    slo: str
    rate_per_s: float | None
    """The highest rate found within the SLO; None if not even the lowest tried holds."""
    confirmed: bool
    """Whether a last, longer run at that rate held too."""
    reason: str
    ended_by: str | None = None
    """What cut it short before it came to its own end, if anything did: the name of a signal,
    `error`, or `unfinished` if it was killed."""
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """How a search goes about it.

    A step lasts at least `step_s` and at most `longest_s`, the first `warmup_s` of it uncounted;
    the rate found is within `precision` (a share) of one that breaks; rates stay between `lowest`
    and `highest`; the confirmation lasts `confirm_s`.

    Raises:
        UsageError: there is no rate, or no time, between them.
    """

    start: float = 10.0
    lowest: float = 0.1
    highest: float = 1e6
    precision: float = 0.02
    step_s: float = 10.0
    longest_s: float = 60.0
    warmup_s: float = 1.0
    confirm_s: float = 30.0

    def __post_init__(self) -> None:
        for what, rate in (("start", self.start), ("highest", self.highest)):
            if rate < self.lowest:
                raise UsageError(
                    f"the {what} rate must be at least {self.lowest:g} a second, not {rate:g}"
                )
        if self.longest_s < self.step_s:
            raise UsageError(
                f"the most time for a rate, {format_duration(self.longest_s)}, is shorter than the "
                f"least, {format_duration(self.step_s)}"
            )


Measure = Callable[[float, float], Awaitable[Step]]
"""Tries a rate (per second) for at least so many seconds."""


async def search(measure: Measure, limits: SearchLimits) -> AsyncIterator[Step]:
    """Steps of a search for the highest rate that holds, as they are done; the last of them that
    holds has the rate found, and is the confirmation.
    """
    holds, breaks = 0.0, math.inf
    rate = min(max(limits.start, limits.lowest), limits.highest)
    late_rates = 0
    while breaks - holds > limits.precision * holds:
        async for step in _try(measure, rate, limits.step_s):
            yield step
        if step.decision == "holds":
            holds = rate
            if rate >= limits.highest:
                break
        else:
            breaks = rate
            late_rates = late_rates + 1 if step.decision == "late" else 0
            if rate <= limits.lowest or (holds == 0 and late_rates == _LATE_RATES):
                return
        rate = _next_rate(holds, breaks, limits)
    for attempt in range(_CONFIRMATIONS):
        if holds < limits.lowest:
            return
        async for step in _try(measure, holds, limits.confirm_s):
            yield step
        if step.decision != "breaks":
            return
        holds *= 1 - limits.precision * 2**attempt


async def _try(measure: Measure, rate: float, at_least_s: float) -> AsyncIterator[Step]:
    """The tries of one rate, of which the last one counts."""
    for _ in range(_TRIES):
        step = await measure(rate, at_least_s)
        yield step
        if step.decision != "late":
            return


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
    above = (step.rate_per_s for step in steps if step.rate_per_s > holds)
    breaks = min(above, default=math.inf)
    if holds >= limits.highest or breaks - holds <= limits.precision * holds:
        return "confirming"
    if math.isinf(breaks):
        return "doubling"
    if holds == 0:
        return "halving"
    # Each step halves the ratio's logarithm.
    left = math.log2(math.log(breaks / holds) / math.log1p(limits.precision))
    return f"{max(1, math.ceil(left))} to go"


def judge_step(total: Measurement, rate_per_s: float, slo: Slo) -> Decision | None:
    """Whether what is known so far decides a step, with 99 % confidence either way.

    Some requests have no answer yet. If all were within the bound, no more than those that arrived
    within the last `bound_s` could be; Poisson arrivals exceed their mean by five standard
    deviations once in a million.
    """
    assert slo.percent is not None
    recent = rate_per_s * slo.bound_s
    stuck = max(0, math.floor(total.outstanding - recent - 5 * math.sqrt(recent) - 10))
    over = slo.over(total) + stuck
    known = total.ended + stuck
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

    Raises:
        UsageError: the SLO is not on a percentile.
    """

    def __init__(
        self,
        plan: Plan,
        slo: Slo,
        limits: SearchLimits,
        on_interval: Callable[[float, Interval], object] = lambda *_: None,
    ) -> None:
        if slo.percent is None:
            raise UsageError(f"{slo.expression!r}: a search needs a percentile, as in p99<100ms")
        self.plan = plan
        self.slo = slo
        self.limits = limits
        self._on_interval = on_interval
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
            ServiceGoneError: every request failed, and not for being slow.
            asyncio.CancelledError: `cancel` was called.
        """
        if self.cut_by is not None:
            raise asyncio.CancelledError
        limits, slo = self.limits, self.slo
        config = msgspec.structs.replace(
            self.plan.config,
            duration_s=limits.warmup_s + max(limits.longest_s, at_least_s),
            min_duration_s=0.0,
        )
        plan = replace(self.plan, config=config, slos=(slo,)).at(constant(rate_per_s))
        session = self._session = Session(plan)
        counted = Measurement()
        decision: Decision | None = None
        reason = ""
        await session.start()
        async for interval in session.intervals():
            point = interval.point
            if self.cut_by is None:
                self._on_interval(rate_per_s, interval)
            if _is_hopeless(session.total, _HOPELESS):
                session.abandon()
            # Intervals end a little late: the one that ends with the warm-up is part of it.
            if decision is not None or point.t_s - point.interval_s / 2 < limits.warmup_s:
                continue
            counted += interval.measured
            decision = judge_step(counted, rate_per_s, slo)
            is_long = point.t_s >= limits.warmup_s + at_least_s
            if decision == "holds" and not is_long:
                decision = None
            if is_long and decision is None and _is_surely_late(counted, slo):
                decision = "late"
            if decision is not None:
                session.stop()
                reason = "proven with 99 % confidence"
        self._session = None
        if self.cut_by is not None:
            raise asyncio.CancelledError
        if _is_hopeless(session.total, 1):
            raise ServiceGoneError(_describe_failures(plan.config.url, session.total))
        if found := generator_limits(counted, slo.bound_s):
            decision, reason = "late", found[0]
        elif decision is None:
            decision = "holds" if slo.holds(counted) else "breaks"
            reason = "undecided at the end of the step: by the percentile as measured"
        percentile_us = (
            counted.latency.percentile_us(slo.percent or 0)[0] if counted.latency.total else None
        )
        return Step(
            rate_per_s=rate_per_s,
            decision=decision,
            reason=reason,
            duration_s=round(max(session.duration_s - limits.warmup_s, 0.0), 3),
            offered=counted.offered,
            completed=counted.completed,
            failed=counted.failures,
            reasons=counted.reasons,
            over=slo.over(counted),
            percentile_ms=round(percentile_us / 1000, 4) if percentile_us is not None else None,
            send_lag_p99_us=Percentiles.of(counted.send_lag, 1).p99,
            doubt=connections_fault(session.total) if decision == "breaks" else None,
        )


async def find_rate(searcher: Searcher, keep: Callable[[Found], object]) -> Found:
    """Search to the end, or until `searcher` is told to `cancel`. `keep` is called with what is
    found so far after each step, since a search may take hours and its process be killed; and with
    the outcome, whatever ended the search.

    Raises:
        TailraceError: see `Searcher.measure`.
    """
    steps: list[Step] = []
    ended_by: str | None = UNFINISHED
    error: str | None = None

    def found() -> Found:
        url = searcher.plan.config.url
        return conclude(url, searcher.slo, searcher.limits, steps, ended_by, error)

    try:
        async for step in search(searcher.measure, searcher.limits):
            steps.append(step)
            keep(found())
        ended_by = None
    except asyncio.CancelledError:
        ended_by = searcher.cut_by
    except TailraceError as raised:
        error = str(raised)
        raise
    finally:
        keep(found())
    return found()


def _is_surely_late(total: Measurement, slo: Slo) -> bool:
    """Whether the generator's p99 lag is proven to be too long, so that waiting will not help."""
    if not generator_limits(total, slo.bound_s):
        return False
    latency_s = total.latency.percentile_us(99)[0] / 1e6
    late_s = late_above_s(max(latency_s, slo.bound_s))
    late = count_over(total.send_lag, late_s, inclusive=True)
    return 1 - chance_at_most(late - 1, total.send_lag.total, 0.01) < 1 - CONFIDENCE


def _is_hopeless(total: Measurement, least: int) -> bool:
    """Whether so many requests failed, not for being slow, and none was answered."""
    slow = {"timeout", "aborted"}
    sure = sum(count for kind, count in total.failed.items() if kind not in slow)
    return not total.completed and sure >= least and "timeout" not in total.failed


def _describe_failures(url: str, total: Measurement) -> str:
    known = {reason: n for reason, n in total.reasons.items() if reason != "aborted"}
    examples = (
        total.examples[reason].splitlines()[0] for reason in known if total.examples.get(reason)
    )
    seen = next((f" ({line})" for line in examples), "")
    what = (
        "nothing answers at"
        if set(total.failed) <= {"connect", "aborted"}
        else "every request failed at"
    )
    return f"{what} {url}: {describe_failures(known)}{seen}"


def conclude(
    url: str,
    slo: Slo,
    limits: SearchLimits,
    steps: list[Step],
    ended_by: str | None = None,
    error: str | None = None,
) -> Found:
    """What a search that is over has found, or one that was cut short as `ended_by` says, or that
    an `error` ended.
    """
    held = [step for step in steps if step.decision == "holds"]
    rate = held[-1].rate_per_s if held else None
    confirmed = (
        ended_by is None
        and error is None
        and bool(held)
        and steps[-1] is held[-1]
        and steps[-1].duration_s >= limits.confirm_s
    )
    highest = _highest(slo, limits, steps, rate) if steps or error is None else None
    cut = "it did not come to its end" if ended_by == UNFINISHED else f"cut short by {ended_by}"
    reasons = [highest, error or (cut if ended_by is not None else None)]
    return Found(
        target=url,
        slo=slo.expression,
        rate_per_s=rate,
        confirmed=confirmed,
        reason="; ".join(filter(None, reasons)),
        ended_by="error" if error is not None else ended_by,
        steps=tuple(steps),
    )


def _highest(slo: Slo, limits: SearchLimits, steps: Sequence[Step], rate: float | None) -> str:
    """The outcome in words: what holds, and what is above it."""
    above = [step for step in steps if step.decision != "holds" and step.rate_per_s > (rate or 0)]
    lowest = min(above, key=lambda step: step.rate_per_s, default=None)
    # Tried again, it may have been decided after all.
    decided = [step for step in above if step.decision == "breaks"]
    if lowest is not None and lowest.decision == "late":
        lowest = next((step for step in decided if step.rate_per_s == lowest.rate_per_s), lowest)
    if rate is None and lowest is None:
        return "nothing was measured"
    if lowest is not None and lowest.decision == "late":
        at = f"at {format_figure(lowest.rate_per_s)}"
        limit = f"{at} it is not the service that is measured: {lowest.reason}"
        return limit if rate is None else f"{_hold(rate)} hold {slo.expression}; {limit}"
    doubt = f" ({lowest.doubt})" if lowest is not None and lowest.doubt else ""
    if rate is None:
        assert lowest is not None
        if lowest.reasons and not lowest.completed:
            doubt = f": every request failed ({describe_failures(lowest.reasons)})"
        return f"not even {_hold(lowest.rate_per_s)} hold {slo.expression}{doubt}"
    if lowest is None:
        most = ", the most that was allowed," if rate >= limits.highest else ""
        return f"{_hold(rate)}{most} hold {slo.expression}; none above was tried"
    return f"{_hold(rate)} hold {slo.expression}, {format_figure(lowest.rate_per_s)} do not{doubt}"


def _hold(rate_per_s: float) -> str:
    return f"{format_figure(rate_per_s)} requests a second"
