"""`find` over one session: load that flows without a pause, at the rates that a search asks for."""

import asyncio
import importlib
import os
import threading
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TypeVar

import msgspec

from tailrace.errors import TailraceError
from tailrace.load.judge.ending import STOP
from tailrace.load.judge.slo import Slo, count_over
from tailrace.load.judge.verdict import connections_fault, generator_limits, late_above_s
from tailrace.load.measure.failures import describe_failures, kinds_of
from tailrace.load.measure.measurement import Measurement
from tailrace.load.measure.point import Interval, Percentiles
from tailrace.load.schedule.arrivals import parse_arrivals
from tailrace.load.schedule.profile import constant
from tailrace.load.search.answer import FindLimits
from tailrace.load.search.block import Ask, Block
from tailrace.load.search.search import Search
from tailrace.load.session.found import UNFINISHED, Decision, Found, SearchProgress, Step, conclude
from tailrace.load.session.gaps import gaps_of
from tailrace.load.session.outcomes import Outcomes
from tailrace.load.session.plan import Plan
from tailrace.load.session.session import Session
from tailrace.load.worker.launcher import Launcher

T = TypeVar("T")

INTERVAL_S = 0.25
"""Of a search: a block of load ends within so much of what was asked for."""
_LEAD_S = 0.05
"""A change of the rate is told so long ahead: where a worker hears of it too late, requests leave
that are not in the schedule, and the block is lost."""
_MOST_SAMPLES_PER_S = 4000.0
"""Above this rate a share of the requests is reported one by one."""
_SLOW = {"timeout", "aborted"}
"""Kinds of failures of a service that is too slow; others are of one that is not there."""
_HOPELESS = 5
"""So many requests that all failed, other than by being slow, and there is nothing to search for.
"""
_EASE = 0.3
"""Below this share of a core it is not the rate that makes a load worker late."""
_DEAD = 3
"""So many stretches in a row with failures alone, and the service has gone meanwhile."""
_MOST_LATE = 12
"""So many stretches in a row in which the generator was late, and it is given up."""
_NICE = 10
"""How much less urgent than the rest the thread that computes is: it still has a tenth of a core
beside busy ones."""
_RECORDED = 20.0
"""Requests that are to come, and if none does, the recording that they are of is over."""
_SILENT_S = 2.0
"""So long without even a connection, and nobody is there."""


class ServiceGoneError(TailraceError):
    """Nothing but failures comes back: no rate is to be found."""

    http_status = 502
    rpc_status = "UNAVAILABLE"


@dataclass(slots=True)
class _Stretch:
    """Load at one rate, told to the search or being offered."""

    ask: Ask
    begin_s: float
    end_s: float | None = None
    """When the next one begins; None before that is decided."""
    measured: Measurement = field(default_factory=Measurement)
    """Of whole intervals."""
    measured_s: float = 0.0
    problems: int = 0
    """Of the session, when it began."""
    limit: str | None = None
    """Why the generator was late, if it was."""
    is_settled: bool = False
    """It is known what came of each request."""


class Finder:
    """Searches for the highest rate at which all SLOs of a plan hold.

    Args:
        plan: what to offer, but for the rate and the duration; with one SLO at least.
        on_interval: told of each interval as it ends.
        launcher: starts the load workers, in place of the one that the plan asks for.

    Raises:
        UsageError: no rate can be found for one of the SLOs.
    """

    def __init__(
        self,
        plan: Plan,
        limits: FindLimits,
        on_interval: Callable[[Interval], object] = lambda _: None,
        launcher: Launcher | None = None,
    ) -> None:
        self.cut_by: str | None = None
        """Who ended the search before its time, as `cancel` was told."""
        self._on_interval = on_interval
        self._search = Search(plan.slos, limits, gaps_of(parse_arrivals(plan.config.arrivals)))
        ask = self._search.ask()
        assert ask is not None
        self._stretches = [_Stretch(ask, 0.0)]
        config = msgspec.structs.replace(
            plan.config, duration_s=None, min_duration_s=0.0, interval_s=INTERVAL_S
        )
        self.plan = replace(plan, config=config, samples_share=_share(ask)).at(
            constant(ask.rate_per_s)
        )
        self._outcomes = Outcomes(self.plan)
        self.session = Session(self.plan, launcher, sampled=self._outcomes.add)
        self._steps: list[Step] = []
        self._left_s = self._search.left_s
        """When the last stretch began."""
        self._failing = 0
        """Stretches in a row in which nothing but failures came back."""
        self._done = False
        self._computing = ThreadPoolExecutor(1, "search", _give_way)
        self._found = self._conclude(UNFINISHED)

    @property
    def found(self) -> Found:
        """What is found so far."""
        return self._found

    @property
    def outcome(self) -> SearchProgress:
        """What is left once the search is over, whatever ended it."""
        return self._progress(is_over=True)

    def cancel(self, by: str = STOP) -> None:
        """End the search at once, as `by` asks; what was found so far stays."""
        self.cut_by = by
        self.session.abandon(by)

    async def progress(self) -> AsyncGenerator[SearchProgress]:
        """How far the search is, after each interval; the last one has the outcome.

        Raises:
            GeneratorError: the load workers cannot be started.
            ServiceGoneError: nothing but failures came back, and not for being slow.
        """
        session = self.session
        over = False
        try:
            # Not while load flows: it takes a core for a while.
            await self._compute(importlib.import_module, "scipy.special")
            await session.start()
            async for interval in session.intervals():
                if over or self.cut_by is not None:
                    continue
                self._on_interval(interval)
                over = not await self._take(interval)
                yield self._progress()
            over = True
            if self.cut_by is None and self._is_gone():
                raise ServiceGoneError(_describe_failures(self.plan.config.url, session.total))
            ended_by = None if self._done else self.cut_by or session.ended_by
            self._found = await self._compute(self._conclude, ended_by)
        except TailraceError as error:
            self._found = self._conclude(error=str(error))
            raise
        finally:
            self._computing.shutdown(wait=False)
            if not over:
                await session.give_up()
        yield self.outcome

    async def _take(self, interval: Interval) -> bool:
        """Take an interval in; whether the search goes on."""
        point, session, now = interval.point, self.session, self._stretches[-1]
        begun_s = point.t_s - point.interval_s
        if begun_s >= now.begin_s - _LEAD_S / 2:
            now.measured += interval.measured
            now.measured_s += point.interval_s
        if self._is_gone():
            session.abandon()
            return False
        # Answers before then are known from every worker; they may report a little after it.
        known_s = point.t_s - point.t_s % INTERVAL_S
        if known_s < now.begin_s + now.ask.for_s:
            return True
        self._judge(now)
        if now.ask.rate_per_s * now.ask.for_s > _RECORDED and not now.measured.offered:
            self.cancel("the end of the recording")
            return False
        blocks = [self._block(stretch) for stretch in self._stretches[:-1]]
        blocks.append(self._block(now, known_s))
        self._steps.append(self._step(now))
        sure = now.measured.failures - _slow(now.measured.reasons)
        self._failing = self._failing + 1 if sure and not now.measured.completed else 0
        latest = [step.decision for step in self._steps[-_MOST_LATE:]]
        if latest == ["late"] * _MOST_LATE:
            self.cancel(f"the generator, which was late {_MOST_LATE} times in a row")
            return False
        ask = await self._compute(self._next, blocks)
        if ask is None:
            self._done = True
            session.abandon()
            return False
        profile, share = constant(ask.rate_per_s), _share(ask)
        begin_s = session.follow(profile, share, _LEAD_S)
        self._outcomes.follow(begin_s, profile, share)
        now.end_s = begin_s
        self._stretches = [one for one in self._stretches if not one.is_settled]
        self._outcomes.forget(self._stretches[0].begin_s)
        self._stretches.append(_Stretch(ask, begin_s, problems=len(session.problems)))
        self._found = await self._compute(self._conclude, UNFINISHED)
        return True

    async def _compute(self, function: Callable[..., T], *given: object) -> T:
        """What `function` returns, in a thread that leaves the cores to the load."""
        return await asyncio.get_running_loop().run_in_executor(self._computing, function, *given)

    def _next(self, blocks: Sequence[Block]) -> Ask | None:
        """What the search asks for, once it is told of `blocks`."""
        for block in blocks:
            self._search.tell(block)
        ask = self._search.ask()
        self._left_s = self._search.left_s
        return ask

    def _block(self, stretch: _Stretch, known_s: float | None = None) -> Block:
        """What came of load by now: more than before where late answers have come in since."""
        end_s = known_s if known_s is not None else stretch.end_s
        assert end_s is not None
        seen = self._outcomes.between(stretch.begin_s, end_s)
        if seen.strays:
            stretch.limit = "a load worker heard of the rate too late"
        stretch.is_settled = stretch.end_s is not None and bool((seen.latency_s >= 0).all())
        return Block(
            rate_per_s=stretch.ask.rate_per_s,
            begin_s=stretch.begin_s,
            end_s=end_s,
            intended_s=seen.intended_s,
            latency_s=seen.latency_s,
            offered=seen.offered,
            late=stretch.limit is not None,
            disturbed=_is_at_ease(stretch.measured),
            share=seen.share,
            failed={reason: round(count / seen.share) for reason, count in seen.failed.items()},
            slow=_slow(seen.failed),
        )

    def _judge(self, stretch: _Stretch) -> None:
        """Look whether the generator was late."""
        bound_s = min(slo.bound_s for slo in self.plan.slos)
        measured = stretch.measured
        if len(self.session.problems) > stretch.problems:
            stretch.limit = self.session.problems[-1]
        elif limits := generator_limits(measured, bound_s):
            latency = measured.latency
            latency_s = latency.percentile_us(99)[0] / 1e6 if latency.total else 0.0
            late_s = late_above_s(max(latency_s, bound_s))
            # Of a few requests, a single one proves nothing.
            if measured.port_exhausted or count_over(measured.send_lag, late_s, True) > 1:
                stretch.limit = limits[0]

    def _step(self, stretch: _Stretch) -> Step:
        counted, slos = stretch.measured, self.plan.slos
        broken = [slo for slo in slos if not slo.holds(counted)]
        decision: Decision = "breaks" if broken else "holds"
        slo = next(iter(broken), slos[0])
        return Step(
            rate_per_s=stretch.ask.rate_per_s,
            decision=decision if stretch.limit is None else "late",
            reason=stretch.limit or stretch.ask.why,
            duration_s=round(stretch.measured_s, 3),
            offered=counted.offered,
            completed=counted.completed,
            failed=counted.failures,
            reasons=counted.reasons,
            over=slo.over(counted),
            percentile_ms=_statistic_ms(slo, counted),
            send_lag_p99_us=Percentiles.of(counted.send_lag, 1).p99,
            doubt=connections_fault(counted) if broken else None,
        )

    def _conclude(self, ended_by: str | None = None, error: str | None = None) -> Found:
        answer = self._search.answer()
        doubts = [step.doubt for step in self._steps if step.doubt is not None]
        late = [step.reason for step in self._steps if step.decision == "late"]
        problems = [one for one in self.session.problems if one not in late[-1:]]
        findings = (*answer.findings, *doubts[-1:], *late[-1:], *problems)
        answer = msgspec.structs.replace(answer, findings=findings)
        if all(step.decision != "breaks" for step in self._steps):
            # Nothing has been too much: how much more would be is not known.
            answer = msgspec.structs.replace(
                answer, estimate_per_s=None, interval_per_s=None, needed_s=None
            )
        return conclude(
            self.plan.config.url,
            self.plan.slos,
            answer,
            self._steps,
            ended_by=ended_by,
            error=error,
        )

    def _progress(self, is_over: bool = False) -> SearchProgress:
        ask, begin_s = self._stretches[-1].ask, self._stretches[-1].begin_s
        elapsed_s = max(self.session.elapsed_s, 0.0)
        left_s = max(self._left_s - max(elapsed_s - begin_s, 0.0), 0.0)
        return SearchProgress(
            doing=ask.why,
            rate_per_s=ask.rate_per_s,
            elapsed_s=round(elapsed_s, 3),
            left_s=0.0 if is_over else round(left_s, 3),
            is_over=is_over,
            found=self._found,
        )

    def _is_gone(self) -> bool:
        """Whether nothing but failures came back so far, other than for being slow, or nobody is
        there at all.
        """
        if self._failing >= _DEAD:
            return True
        total = self.session.total
        if total.completed or "timeout" in total.failed:
            return False
        if not total.connections and self.session.elapsed_s > _SILENT_S:
            return True
        return total.failures - _slow(total.reasons) >= _HOPELESS


def _slow(reasons: Mapping[str, int]) -> int:
    """How many failed for being slow."""
    return sum(count for kind, count in kinds_of(reasons).items() if kind in _SLOW)


def _give_way() -> None:
    """Let this thread, which computes for tenths of a second, take no core from load or service."""
    own = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(own + _NICE, 19))


def _is_at_ease(measured: Measurement) -> bool:
    """Whether the generator had time to spare."""
    return measured.cpu_ns <= _EASE * measured.worker_ns and not measured.port_exhausted


def _share(ask: Ask) -> float:
    return min(1.0, _MOST_SAMPLES_PER_S / ask.rate_per_s)


def _statistic_ms(slo: Slo, measured: Measurement) -> float | None:
    """What `slo` bounds, of what was answered."""
    latency = measured.latency
    if not latency.total:
        return None
    if slo.percent is not None:
        return round(latency.percentile_us(slo.percent)[0] / 1e3, 4)
    return round(
        (latency.sum_ns / latency.total if slo.statistic == "mean" else latency.max_ns) / 1e6, 4
    )


def _describe_failures(url: str, total: Measurement) -> str:
    known = {reason: n for reason, n in total.reasons.items() if reason != "aborted"}
    if not known:
        return f"nothing answers at {url}: no connection could be opened in {_SILENT_S:g} s"
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
