"""Two services loaded in turns: rounds in each of which both get the very same schedule.

What drifts (a machine that grows warm, a cache, a neighbour) meets both alike, as the order changes
from round to round; what both were asked cancels, as the rounds are compared as pairs. Each turn is
a run of its own, in `a/` or `b/` of one directory, so that `runs.compare` reads them as any others.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from tailrace.errors import TailraceError, UsageError
from tailrace.load.judge.ending import DURATION, FAULT
from tailrace.load.measure.failures import describe_failures
from tailrace.load.measure.point import Interval
from tailrace.load.session.plan import Plan
from tailrace.runs.compare.compare import Comparable, Comparison, compare_runs, read_comparable
from tailrace.runs.compare.regression import Outcome, RegressionBound, judge_bound
from tailrace.runs.directory import delete, write_document
from tailrace.runs.run import Run
from tailrace.units import MAX_SEED

SIDES = ("a", "b")

_TURN_S = 5.0
_LEAST_REQUESTS = 100
"""In a turn: with fewer its percentiles would be those of very few."""
_ROUNDS = 5, 60
"""At least, and at most, unless asked for."""


class NoAnswerError(TailraceError):
    """One of the services answered nothing in a turn."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What rounds of two services came to: the document of `tailrace ab --json`, and ab.json."""

    a: str
    """URL; the comparison's base."""
    b: str
    rounds: int
    """Finished ones."""
    asked: int
    """Rounds that were asked for."""
    turn_s: float
    """Each service's share of a round."""
    seed: int
    """Of the first round; each round has the next one."""
    ended_by: str
    """As of a run: `duration` where all rounds were finished."""
    comparison: Comparison | None
    """None where no round was finished."""
    doubts: tuple[str, ...] = ()
    """Turns whose measurement is not sound, the generator being late for one, and why."""
    regressions: tuple[Outcome, ...] = ()
    run: str
    """The directory of all turns."""


def rounds_for(each_s: float, rate_per_s: float) -> int:
    """Into how many rounds `each_s` of load on each service are best cut.

    Where runs differ by more than they vary within, many short ones find more than few long ones;
    see docs/truth.md. A turn has 5 s and 100 requests or more, but there are 5 rounds at least.
    """
    least, most = _ROUNDS
    return min(max(int(each_s / max(_TURN_S, _LEAST_REQUESTS / rate_per_s)), least), most)


@dataclass(frozen=True, slots=True)
class Turn:
    """One service's part of a round."""

    round: int
    """From 1; 0 is the warm-up, which is not kept."""
    side: str
    plan: Plan


class Turns:
    """Rounds of two services, whose turns are kept in directories of their own.

    Args:
        plans: of the services, by side; each turn lasts as long as they say.
        directory: where the turns' directories go.
        warmup_s: so much load before the first round, on each; none of it is counted.
        show: called with each interval as it ends.

    Raises:
        UsageError: there are turns in the directory already.
    """

    def __init__(
        self,
        plans: dict[str, Plan],
        directory: Path,
        rounds: int,
        warmup_s: float,
        show: Callable[[Turn, Interval], object],
    ) -> None:
        self.directory = directory
        self.rounds = rounds
        self.comparison: Comparison | None = None
        """Of the rounds that are finished; None before the first is."""
        self.ended_by = DURATION
        self.problems: list[str] = []
        self._doubts: list[str] = []
        self._plans = plans
        self._warmup_s = warmup_s
        self._show = show
        self._finished: dict[str, list[Comparable]] = {side: [] for side in SIDES}
        self._run: Run | None = None
        if any((directory / side).exists() for side in SIDES):
            raise UsageError(f"{directory} has turns already: give a directory of its own")

    async def take(self) -> None:
        """Take all turns. A round that does not come to its end is not kept.

        Raises:
            NoAnswerError: a service answered nothing in a whole turn.
            GeneratorError: the load workers cannot be started.
        """
        for number in range(0 if self._warmup_s else 1, self.rounds + 1):
            paths: dict[str, Path] = {}
            try:
                # The order changes from round to round.
                for side in SIDES if number % 2 else SIDES[::-1]:
                    if self.ended_by != DURATION:
                        return
                    turn = Turn(number, side, self._plan(side, number))
                    paths[side] = self.directory / side / f"{number:02}"
                    await self._take(turn, paths[side] if number else None)
                if number and self.ended_by == DURATION:
                    for side, path in paths.items():
                        self._finished[side].append(read_comparable(path))
                    self.comparison = compare_runs(*(self._finished[side] for side in SIDES))
                    paths = {}
            finally:
                for path in paths.values():
                    if path.exists():
                        delete(path)
                    for empty in (path.parent, self.directory):
                        with contextlib.suppress(OSError):
                            empty.rmdir()

    def stop(self, by: str) -> None:
        """End with the rounds that there are, once what is in flight is answered."""
        self.ended_by = by
        if self._run is not None:
            self._run.session.stop(by)

    def abandon(self, by: str) -> None:
        """The same, without waiting for answers."""
        self.ended_by = by
        if self._run is not None:
            self._run.session.abandon(by)

    def answer(self, bounds: Sequence[RegressionBound]) -> Answer:
        """What the rounds that are finished say, and of `bounds` on B; kept as ab.json."""
        first, second = (self._plans[side].config for side in SIDES)
        found = Answer(
            a=first.url,
            b=second.url,
            rounds=self.comparison.runs[0] if self.comparison is not None else 0,
            asked=self.rounds,
            turn_s=first.duration_s or 0.0,
            seed=first.seed,
            ended_by=self.ended_by,
            comparison=self.comparison,
            doubts=tuple(self._doubts),
            regressions=tuple(
                judge_bound(self.comparison, bound)
                for bound in bounds
                if self.comparison is not None
            ),
            run=str(self.directory),
        )
        if found.comparison is not None:
            write_document(self.directory / "ab.json", found)
        return found

    def _plan(self, side: str, number: int) -> Plan:
        plan = self._plans[side]
        config = msgspec.structs.replace(
            plan.config,
            seed=(plan.config.seed + max(number - 1, 0)) % (MAX_SEED + 1),
            duration_s=plan.config.duration_s if number else self._warmup_s,
        )
        return replace(plan, config=config)

    async def _take(self, turn: Turn, path: Path | None) -> None:
        run = self._run = Run(turn.plan, path)
        await run.start()
        async for interval in run.intervals():
            self._show(turn, interval)
        self._run = None
        self.problems += run.problems
        result = run.result
        if not run.is_kept or result.ended_by != DURATION:
            self.ended_by = FAULT if result.ended_by == DURATION else result.ended_by or FAULT
        elif result.offered and not result.completed:
            failures = describe_failures(result.reasons)
            raise NoAnswerError(f"{turn.plan.config.url} answered nothing: {failures}")
        elif turn.round and not result.verdict.valid:
            reasons = "; ".join(result.verdict.reasons)
            self._doubts.append(f"round {turn.round}, {turn.side.upper()}: {reasons}")
