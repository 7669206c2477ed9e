"""A run: starts the load workers, steers them, merges what they report interval by interval."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from functools import partial

import msgspec

from tailrace.cluster import require_ray
from tailrace.errors import UsageError
from tailrace.load.judge.dependence import SloDecision, decide
from tailrace.load.judge.ending import ABORT_ON, DURATION, FAULT, STOP, WORKERS, AbortWatch
from tailrace.load.judge.slo import kept
from tailrace.load.judge.stretches import Stretches
from tailrace.load.judge.verdict import MlperfAnswer, Verdict, judge, judge_mlperf
from tailrace.load.measure.measurement import Measurement, added
from tailrace.load.measure.point import (
    Event,
    EventKind,
    EventLog,
    Interval,
    NodeFigures,
    Point,
    close,
    cpu_percent,
    per_s,
)
from tailrace.load.measure.server_timing import StageNames
from tailrace.load.schedule.profile import Profile, constant
from tailrace.load.schedule.segments import ConstantRate
from tailrace.load.session.plan import Plan
from tailrace.load.session.workers import Nodes, WorkerHandle, Workers
from tailrace.load.worker.launcher import GeneratorError, Launcher, ProcessLauncher
from tailrace.load.worker.messages import Abandon, Change, SampleBatch, Snapshot, Stop
from tailrace.units import format_exact

_SETTLE_MARGIN_S = 5.0
_CLOCK_STEP_NS = 20_000_000
"""NTP slews a clock by at most 0.5 ms a second; more than this within an interval is a step."""
_NEVER_S = float("inf")
_TO_THE_END = "to the end"


class Session:
    """One run in progress. `start`, read `intervals` to their end, and then `total` is final.

    All methods belong to one event loop. Where a worker dies another takes its share over, if one
    can be had; the run goes on with the others in any case, and `problems` says what is missing.

    `launcher` starts the workers, in place of the one that the plan asks for. `sampled` is called
    with the raw samples that the plan asks for and the number of the worker they come from: with
    those of an interval before it is among `intervals`.
    """

    def __init__(
        self,
        plan: Plan,
        launcher: Launcher | None = None,
        sampled: Callable[[int, SampleBatch], object] = lambda *_: None,
    ) -> None:
        self.plan = plan
        self.profile = plan.profile
        self.total = Measurement()
        self.stretches = Stretches()
        """The same by stretches of time, which say how far requests depend on each other."""
        self.problems: list[str] = []
        self.start_wall_time = 0.0
        self.duration_s = 0.0
        self.ended_by = DURATION
        """What cut it short, if anything did: a word of `ending`, or the name of a signal."""
        self._start_ns = 0
        self._end_s = _NEVER_S if plan.config.duration_s is None else plan.config.duration_s
        self._launcher = launcher or _launcher_at(plan.config.ray)
        self._workers = Workers(plan, self._launcher, self._received, self._lost, sampled)
        self._nodes = Nodes(self._workers, self._launcher)
        self._stages = StageNames()
        self._reports: dict[int, list[tuple[WorkerHandle, Measurement]]] = {}
        """Not merged yet, by number of the interval."""
        self._held = False
        self._over = False
        self._aborted = 0
        """Requests that were under way at workers that are gone, not told of yet."""
        self._taking_over: set[asyncio.Task[str]] = set()
        self._queue: asyncio.Queue[Interval | Exception | None] = asyncio.Queue()
        self._next_index = 0
        self._merged_s = 0.0
        self._waiting = 0
        """Requests due and not answered, at the end of the last interval of all load."""
        self._events = EventLog()
        self._watches = [AbortWatch(bound) for bound in plan.abort_on]
        self._watchdog: asyncio.TimerHandle | None = None
        self._clock_offset_ns = 0
        self._when_started: list[Callable[[], object]] = []
        self._called_off = asyncio.Event()

    async def start(self) -> None:
        """Start the workers and, once all are ready, the run; returns as it begins, or is stopped
        before that.

        Raises:
            GeneratorError: a worker does not come up.
        """
        try:
            await self._workers.launch(self.profile)
            self._clock_offset_ns = _clock_offset_ns()
            self._start_ns = self._soonest_start_ns()
            self.start_wall_time = (self._start_ns + self._clock_offset_ns) / 1e9
            for worker in self._workers.all:
                self._workers.start(worker, self._start_ns, 0.0)
            self._watch_end()
            for act in self._when_started:
                act()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(-self.elapsed_s, 0)):
                    await self._called_off.wait()
        except (OSError, GeneratorError) as error:
            await self._disband()
            raise GeneratorError(f"the load workers cannot start: {error}") from error
        except (UsageError, asyncio.CancelledError):
            await self._disband()
            raise

    @property
    def verdict(self) -> Verdict:
        """The verdict on the measurement so far."""
        return judge(
            self.total,
            duration_s=self._offered_s,
            min_duration_s=self.plan.config.min_duration_s,
            slos=self.plan.slos,
            problems=self.problems,
            clock_errors_s=self._launcher.clock_errors_s,
            stretches=self.stretches,
            so_far=not self._over,
        )

    @property
    def kept(self) -> dict[str, bool]:
        """Whether each SLO is kept by what was measured so far; nothing is by a run that nobody
        answers."""
        return kept(self.total, self.plan.slos)

    @property
    def decisions(self) -> dict[str, SloDecision]:
        """Whether each SLO is kept, as far as the run decides it by now."""
        return {slo.expression: decide(self.stretches, slo) for slo in self.plan.slos}

    @property
    def mlperf(self) -> MlperfAnswer | None:
        """Whether the run is official by now, by MLPerf's conditions; None where nobody asked."""
        if not self.plan.asks_mlperf:
            return None
        return judge_mlperf(
            self.total, self.verdict, duration_s=self._offered_s, slos=self.plan.slos
        )

    @property
    def nodes(self) -> dict[str, NodeFigures]:
        """What each machine of a fleet did so far, by name; empty for a run on this one alone."""
        return self._nodes.total(self.duration_s or max(self.elapsed_s, 0.0))

    @property
    def end_s(self) -> float | None:
        """Up to when it offers load, seconds since the run's start; None: until it is stopped."""
        return self._end_s if self._end_s < _NEVER_S else None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run's start; negative before it."""
        now_ns = time.monotonic_ns()
        return (now_ns - (self._start_ns or now_ns + self._launcher.start_lead_ns)) / 1e9

    @property
    def rate_per_s(self) -> float:
        """The rate asked for, a change on its way to the workers included."""
        return self.profile.rate(max(self.elapsed_s, 0.0) + self._change_lead_s)

    def set_rate(self, rate_per_s: float) -> float:
        """Change the rate; returns when that takes effect, seconds since the start.

        Raises:
            UsageError: the rate is negative or not finite.
        """
        return self.follow(constant(rate_per_s))

    def follow(
        self, profile: Profile, samples_share: float | None = None, lead_s: float = 0.0
    ) -> float:
        """Follow another profile, `lead_s` from now or as soon as all workers can; returns when it
        begins, seconds since the start. From then on `samples_share` of all requests are sampled,
        in a run whose plan asks for samples.

        Raises:
            UsageError: `profile` was itself changed live.
        """
        t_s = max(self.elapsed_s + max(self._change_lead_s, lead_s), 0.0)
        changed = self.profile.changed(t_s, profile)
        if not self._start_ns:
            self._when_started.append(lambda: self.follow(profile, samples_share, lead_s))
            return t_s
        # The target of an interval not merged yet is still to be told.
        self.profile = changed.without_past(self._merged_s)
        self._workers.tell(Change(t_s, profile.expression, samples_share))
        match profile.segments:
            case (ConstantRate(rate_per_s),):
                self._note(t_s, "rate", f"{format_exact(rate_per_s)}/s")
            case _:
                self._note(t_s, "profile", profile.expression)
        return t_s

    def stop(self, by: str = STOP) -> None:
        """Offer nothing more, as `by` asks; the run ends when all is answered or timed out."""
        if not self._start_ns:
            self._when_started.append(lambda: self.stop(by))
            return
        if self.elapsed_s < 0:
            self._call_off(by)
            return
        now_s = self.elapsed_s
        if now_s < self._end_s:
            self._end_s = now_s
            self.ended_by = by
            self._note(now_s, "stop", by)
        self._workers.tell(Stop(self._end_s))
        for task in self._taking_over:
            task.cancel()
        self._watch_end()

    def abandon(self, by: str = STOP) -> None:
        """End at once, as `by` asks; requests without an answer count as failed, `aborted`."""
        if not self._start_ns:
            self._when_started.append(lambda: self.abandon(by))
            return
        self.stop(by)
        if self.ended_by == DURATION:
            # All was offered, but not all is answered.
            self.ended_by = by
        self._workers.tell(Abandon())

    def _call_off(self, by: str) -> None:
        """End a run before its start, for which nobody has to wait."""
        if self._called_off.is_set():
            return
        self._called_off.set()
        self._end_s = 0.0
        self.ended_by = by
        self._workers.drop()
        self._events = EventLog()
        self._merge()

    async def intervals(self) -> AsyncIterator[Interval]:
        """Each interval as it ends, until the run is over. To be read by one reader, who raises
        whatever went wrong in making one.
        """
        while (interval := await self._queue.get()) is not None:
            if isinstance(interval, Exception):
                raise interval
            yield interval
        await self._workers.end()

    async def give_up(self) -> None:
        """End at once, for a fault: what is still under way is not told of. Returns once no worker
        is left.
        """
        # First, so that nobody takes over from those that are ended now, nor misses them.
        self.stop(FAULT)
        await self._disband()

    @property
    def _offered_s(self) -> float:
        return min(max(self.elapsed_s, 0.0), self._end_s)

    @property
    def _change_lead_s(self) -> float:
        return self._launcher.change_lead_ns / 1e9

    def _soonest_start_ns(self) -> int:
        soonest_ns = time.monotonic_ns() + self._launcher.start_lead_ns
        if self.plan.start_at is None:
            return soonest_ns
        start_ns = round(self.plan.start_at * 1e9) - self._clock_offset_ns
        if start_ns < soonest_ns:
            raise GeneratorError("the time to start had passed when they were ready")
        return start_ns

    def _received(self, worker: WorkerHandle, snapshot: Snapshot) -> None:
        measured = snapshot.measured.with_stages(self._stages)
        self._reports.setdefault(measured.index, []).append((worker, measured))
        if snapshot.held and not self._held:
            self._held = True
            cap = format_exact(self.plan.cap_per_s or 0.0)
            self.problems.append(
                f"arrivals come denser than the cap of {cap}/s allows: they are held back to it"
            )
        self._merge()

    def _lost(self, worker: WorkerHandle, reason: str) -> None:
        if not self._start_ns:
            self._when_started.append(lambda: self._lost(worker, reason))
            return
        now_s = max(self.elapsed_s, 0.0)
        what = f"{_name(worker)} {reason}"
        problem = f"{what} {now_s:.1f} s into the run"
        if not worker.gave_up:
            self._aborted += worker.unanswered
        self._note(now_s, "worker", what)
        if self._is_replaceable(worker, now_s):
            task = asyncio.get_running_loop().create_task(self._take_over(worker, now_s))
            self._taking_over.add(task)
            task.add_done_callback(partial(self._took_over, worker))
        else:
            problem += ": what it had left to send was not offered"
        self.problems.append(problem)
        self._merge()

    def _is_replaceable(self, worker: WorkerHandle, now_s: float) -> bool:
        """Not one that would fail for the same reason, nor at the run's end."""
        at_once = worker.begun_s is None or (
            worker.begun_s > 0 and worker.counted_s == worker.begun_s
        )
        ended = now_s + self._change_lead_s >= self._end_s
        return not worker.gave_up and not at_once and not ended

    async def _take_over(self, lost: WorkerHandle, now_s: float) -> str:
        """Let another worker offer what `lost` had left to send; until when nobody did."""
        worker = await self._workers.replace(lost, self.profile, now_s)
        begun_s = max(self.elapsed_s, 0.0) + self._change_lead_s
        if worker.over or begun_s >= self._end_s:
            worker.drop()
            return _TO_THE_END
        self._workers.start(worker, self._start_ns, begun_s)
        what = f"load worker {lost.number} was replaced" + _on(worker)
        self._note(begun_s, "worker", what)
        by = f"{worker.node} took" if worker.node else "another took"
        return f"to {begun_s:.2f} s, when {by} it over"

    def _took_over(self, lost: WorkerHandle, task: "asyncio.Task[str]") -> None:
        # Not the task's own work: one that is cancelled before it begins does none at all.
        self._taking_over.remove(task)
        if task.cancelled():
            # The run was stopped meanwhile.
            outcome = _TO_THE_END
        elif error := task.exception():
            outcome = f"{_TO_THE_END}, as nobody could take it over ({error})"
        else:
            outcome = task.result()
        self.problems.append(
            f"the share of {_name(lost)} is missing from {lost.counted_s:.2f} s {outcome}"
        )
        self._merge()

    def _note(self, t_s: float, kind: EventKind, text: str) -> None:
        wall_time = round(self.start_wall_time + t_s, 6)
        self._events.note(Event(t_s=round(t_s, 6), wall_time=wall_time, kind=kind, text=text))

    def _merge(self) -> None:
        """Hand on every interval that no worker can add to any more, or what went wrong in that:
        raised here, it would be taken for the end of the worker that has reported.
        """
        try:
            self._hand_on()
        except Exception as error:  # noqa: BLE001
            self._queue.put_nowait(error)

    def _hand_on(self) -> None:
        offering = [worker.reported for worker in self._workers.all if worker.offering]
        complete = min(offering, default=None)
        over = complete is None and not self._taking_over
        while self._reports:
            index = min(self._reports)
            if complete is not None and index >= complete:
                return
            reports = self._reports.pop(index)
            self._emit(reports, last=over and not self._reports)
        if over:
            if self.ended_by == DURATION and all(worker.lost for worker in self._workers.all):
                self.ended_by = WORKERS
            if self._events:
                # Nobody was left to report the interval in which they happened.
                self._emit([], last=True)
            if self._watchdog is not None:
                self._watchdog.cancel()
            self.duration_s = self._offered_s
            self._over = True
            self._queue.put_nowait(None)

    def _emit(self, reports: list[tuple[WorkerHandle, Measurement]], last: bool) -> None:
        parts = [measured for _, measured in reports]
        aborted = {"aborted": self._aborted} if self._aborted else {}
        besides = Measurement(reasons=aborted, clock_steps_ns=self._clock_step_ns())
        self._aborted = 0
        measured = added([*parts, besides])
        self.total += measured
        t_s = measured.end_ns / 1e9 if parts else self.elapsed_s
        # Of one worker: of all together it would be the time that they had.
        length_s = max((part.worker_ns / 1e9 for part in parts), default=t_s - self._merged_s)
        end_s = self._end_s
        ended = t_s - length_s >= end_s
        point = close(
            Point,
            measured,
            slo=kept(measured, self.plan.slos) if measured.ended else {},
            index=self._next_index,
            t_s=round(t_s, 6),
            wall_time=round(self.start_wall_time + t_s, 6),
            interval_s=round(length_s, 6),
            rps=per_s(measured.sent, length_s),
            qps=per_s(measured.completed, length_s),
            cpu_percent=cpu_percent(measured, length_s),
            target_per_s=(
                0.0 if ended else self.profile.rate(min(t_s, end_s)) / self.plan.part.parts
            ),
            events=self._events.take(_NEVER_S if last else t_s),
            nodes=self._nodes.add(reports, length_s),
        )
        if t_s <= end_s:
            self._waiting = measured.outstanding
        # What is answered after the end takes nothing back of how the backlog grew up to it.
        until_end = msgspec.structs.replace(measured, in_flight=self._waiting, backlog=0)
        self.stretches.add(until_end, length_s, point.target_per_s)
        self._next_index += 1
        self._merged_s = t_s
        if t_s < end_s:
            self._give_up_if_hopeless(point)
        offering_s = min(max(end_s - (t_s - length_s), 0.0), length_s)
        self._queue.put_nowait(Interval(point, measured, offering_s))

    def _give_up_if_hopeless(self, point: Point) -> None:
        failed = sum(point.failed.values())
        ended = point.completed + failed
        for watch in self._watches:
            reason = watch.hopeless(point.t_s - point.interval_s, point.t_s, ended, failed)
            if reason is not None and self.ended_by == DURATION:
                self.problems.append(f"it was given up as hopeless: {reason}")
                self.stop(ABORT_ON)

    def _clock_step_ns(self) -> int:
        """By how much the time of day was set since the last call."""
        offset_ns = _clock_offset_ns()
        step_ns = abs(offset_ns - self._clock_offset_ns)
        self._clock_offset_ns = offset_ns
        return step_ns if step_ns > _CLOCK_STEP_NS else 0

    def _watch_end(self) -> None:
        """A worker that hangs must not keep the run from ending."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        if self._end_s < _NEVER_S:
            left_s = self._end_s - self.elapsed_s + self.plan.timeout_s + _SETTLE_MARGIN_S
            loop = asyncio.get_running_loop()
            self._watchdog = loop.call_later(max(left_s, 0), self._workers.kill)

    async def _disband(self) -> None:
        self._workers.drop()
        await self._workers.end()


def _launcher_at(ray: str | None) -> Launcher:
    """What starts load workers on the Ray cluster at an address, or here if there is none."""
    if ray is None:
        return ProcessLauncher()
    require_ray()
    from tailrace.load.on_ray.launcher import RayLauncher

    return RayLauncher(ray)


def _name(worker: WorkerHandle) -> str:
    return f"load worker {worker.number}" + _on(worker)


def _on(worker: WorkerHandle) -> str:
    return f" on {worker.node}" if worker.node else ""


def _clock_offset_ns() -> int:
    """Time of day minus monotonic time."""
    return time.time_ns() - time.monotonic_ns()
