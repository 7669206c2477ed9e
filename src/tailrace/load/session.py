"""A run: starts the load workers, steers them, merges what they report interval by interval."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from tailrace.load.event_log import EventLog
from tailrace.load.link import GeneratorError, WorkerLink
from tailrace.load.messages import Abandon, Change, Setup, Snapshot, Start, Stop
from tailrace.load.plan import Plan
from tailrace.load.point import Event, EventKind
from tailrace.load.profile import Profile, constant
from tailrace.load.segments import Constant, format_number
from tailrace.load.tally import Interval, Tally, make_point
from tailrace.load.verdict import Verdict, judge, missing_for

_LEAD_NS = 100_000_000
"""How far ahead the common start lies: all workers must know of it by then."""
_CHANGE_LEAD_NS = 10_000_000
"""How far ahead a live change lies, so that every worker bends its schedule at one instant."""
_READY_TIMEOUT_S = 30.0
_SETTLE_MARGIN_S = 5.0
_CLOCK_STEP_NS = 20_000_000
"""NTP slews a clock by at most 0.5 ms a second; more than this within an interval is a step."""


class Session:
    """One run in progress. `start`, read `intervals` to their end, and then `total` is final.

    All methods belong to one event loop. A worker that dies is left behind: the run goes on with
    the others, and `problems` says what is missing.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.profile = plan.profile
        self.total = Tally()
        self.problems: list[str] = []
        self.start_wall_time = 0.0
        self.duration_s = 0.0
        self._start_ns = 0
        self._end_s = plan.duration_s
        self._workers: list[WorkerLink] = []
        self._snapshots: dict[int, list[Snapshot]] = {}
        self._queue: asyncio.Queue[Interval | None] = asyncio.Queue()
        self._next_index = 0
        self._merged_s = 0.0
        self._events = EventLog()
        self._watchdog: asyncio.TimerHandle | None = None
        self._clock_offset_ns = 0
        self._when_started: list[Callable[[], object]] = []

    async def start(self) -> None:
        """Start the workers and, once all are ready, the run; returns as it begins.

        Raises:
            GeneratorError: a worker does not come up.
        """
        try:
            await self._prepare_workers()
            self._clock_offset_ns = _clock_offset_ns()
            self._start_ns = self._soonest_start_ns()
            self.start_wall_time = (self._start_ns + self._clock_offset_ns) / 1e9
            for worker in self._workers:
                worker.tell(Start(self._start_ns))
            if self._end_s is not None:
                self._watch_end()
            for act in self._when_started:
                act()
            await asyncio.sleep(max(-self.elapsed_s, 0))
        except (OSError, TimeoutError, GeneratorError) as error:
            self._kill()
            reason = str(error) or f"not ready after {_READY_TIMEOUT_S:.0f} s"
            raise GeneratorError(f"the load workers cannot start: {reason}") from error
        except asyncio.CancelledError:
            self._kill()
            raise

    @property
    def verdict(self) -> Verdict:
        """The verdict on the run so far."""
        ended_s = self._end_s if self._end_s is not None else float("inf")
        return judge(
            self.total,
            duration_s=min(max(self.elapsed_s, 0.0), ended_s),
            min_duration_s=self.plan.min_duration_s,
            slos=self.plan.slos,
            problems=self.problems,
        )

    @property
    def missing(self) -> list[str]:
        """What each percentile SLO lacks so far to be proven."""
        slos = [slo for slo in self.plan.slos if slo.percent is not None]
        return [text for slo in slos if (text := missing_for(self.total, slo)) is not None]

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run's start; negative before it."""
        now_ns = time.monotonic_ns()
        return (now_ns - (self._start_ns or now_ns + _LEAD_NS)) / 1e9

    @property
    def rate_per_s(self) -> float:
        """The rate asked for, a change on its way to the workers included."""
        return self.profile.rate(max(self.elapsed_s, 0.0) + _CHANGE_LEAD_NS / 1e9)

    def set_rate(self, rate_per_s: float) -> float:
        """Change the rate; returns when that takes effect, seconds since the start.

        Raises:
            UsageError: the rate is negative or not finite.
        """
        return self.set_profile(constant(rate_per_s))

    def set_profile(self, profile: Profile) -> float:
        """Follow another profile; returns when it begins, seconds since the start.

        Raises:
            UsageError: `profile` was itself changed live.
        """
        t_s = max(self.elapsed_s + _CHANGE_LEAD_NS / 1e9, 0.0)
        changed = self.profile.changed(t_s, profile)
        if not self._start_ns:
            self._when_started.append(lambda: self.set_profile(profile))
            return t_s
        # The target of an interval not merged yet is still to be told.
        self.profile = changed.without_past(self._merged_s)
        for worker in self._workers:
            worker.tell(Change(t_s, profile.expression))
        match profile.segments:
            case (Constant(rate_per_s),):
                self._note(t_s, "rate", f"{format_number(rate_per_s)}/s", rate_per_s)
            case _:
                self._note(t_s, "profile", profile.expression, profile.rate(0))
        return t_s

    def stop(self) -> None:
        """Offer nothing more; the run ends when all is answered or timed out."""
        if not self._start_ns:
            self._when_started.append(self.stop)
            return
        now_s = max(self.elapsed_s, 0.0)
        if self._end_s is None or now_s < self._end_s:
            self._end_s = now_s
            self._note(now_s, "stop", "stop", 0.0)
        for worker in self._workers:
            worker.tell(Stop(self._end_s))
        self._watch_end()

    def abandon(self) -> None:
        """End at once; requests without an answer count as failed, `aborted`."""
        if not self._start_ns:
            self._when_started.append(self.abandon)
            return
        self.stop()
        for worker in self._workers:
            worker.tell(Abandon())

    async def intervals(self) -> AsyncIterator[Interval]:
        """Each interval as it ends, until the run is over. To be read by one reader."""
        while (interval := await self._queue.get()) is not None:
            yield interval
        for worker in self._workers:
            await worker.reap()

    def _soonest_start_ns(self) -> int:
        soonest_ns = time.monotonic_ns() + _LEAD_NS
        if self.plan.start_at is None:
            return soonest_ns
        start_ns = round(self.plan.start_at * 1e9) - self._clock_offset_ns
        if start_ns < soonest_ns:
            raise GeneratorError("the time to start had passed when they were ready")
        return start_ns

    async def _prepare_workers(self) -> None:
        plan = self.plan
        for number in range(plan.workers):
            worker = WorkerLink(number, self._received, self._lost)
            self._workers.append(worker)
            share, shares = plan.part.share(number, plan.workers)
            setup = Setup(
                worker=share,
                workers=shares,
                endpoints=plan.traffic.endpoints,
                requests=plan.traffic.requests,
                turn=plan.traffic.turn,
                arrivals=plan.arrivals,
                seed=plan.seed,
                profile=plan.profile.expression,
                changes=plan.profile.changes,
                duration_s=plan.duration_s,
                connections=-(-plan.connections // plan.workers),
                timeout_s=plan.timeout_s,
                connect_timeout_s=min(plan.connect_timeout_s, plan.timeout_s),
                first_byte_timeout_s=min(plan.first_byte_timeout_s, plan.timeout_s),
                interval_s=plan.interval_s,
                spin=plan.spin,
            )
            await worker.spawn(setup)
        async with asyncio.timeout(_READY_TIMEOUT_S):
            await asyncio.gather(*(worker.ready for worker in self._workers))

    def _received(self, snapshot: Snapshot) -> None:
        self._snapshots.setdefault(snapshot.index, []).append(snapshot)
        self._merge()

    def _lost(self, worker: WorkerLink, reason: str) -> None:
        if not self._start_ns:
            self._when_started.append(lambda: self._lost(worker, reason))
            return
        now_s = max(self.elapsed_s, 0.0)
        what = f"load worker {worker.number} {reason}"
        self.problems.append(
            f"{what} {now_s:.1f} s into the run: what it had left to send was not offered"
        )
        self._note(now_s, "worker", what, self._target_per_s(now_s))
        self._merge()

    def _note(self, t_s: float, kind: EventKind, text: str, rate_per_s: float) -> None:
        wall_time = round(self.start_wall_time + t_s, 6)
        t_s = round(t_s, 6)
        self._events.note(
            Event(t_s=t_s, wall_time=wall_time, kind=kind, text=text, rate_per_s=rate_per_s)
        )

    def _target_per_s(self, t_s: float) -> float:
        ended = self._end_s is not None and t_s >= self._end_s
        return 0.0 if ended else self.profile.rate(t_s) / self.plan.part.parts

    def _merge(self) -> None:
        """Hand on every interval that no worker can add to any more."""
        running = [worker.reported for worker in self._workers if not worker.over]
        complete = min(running, default=None)
        while self._next_index in self._snapshots and (
            complete is None or self._next_index < complete
        ):
            snapshots = self._snapshots.pop(self._next_index)
            self._emit(snapshots, last=complete is None and not self._snapshots)
        if complete is None and not self._snapshots:
            if self._events:
                # Nobody was left to report the interval in which they happened.
                self._emit([], last=True)
            if self._watchdog is not None:
                self._watchdog.cancel()
            self.duration_s = min(
                self._end_s if self._end_s is not None else float("inf"), max(self.elapsed_s, 0)
            )
            self._queue.put_nowait(None)

    def _emit(self, snapshots: list[Snapshot], last: bool) -> None:
        self._watch_clock()
        tally = Tally()
        for snapshot in snapshots:
            tally.add(snapshot)
            self.total.add(snapshot)
        t_s = max((snapshot.end_ns / 1e9 for snapshot in snapshots), default=self.elapsed_s)
        length_s = max(
            (snapshot.length_ns / 1e9 for snapshot in snapshots), default=t_s - self._merged_s
        )
        end_s = self._end_s if self._end_s is not None else float("inf")
        ended = t_s - length_s >= end_s
        point = make_point(
            tally,
            snapshots,
            index=self._next_index,
            t_s=t_s,
            wall_time=self.start_wall_time + t_s,
            length_s=length_s,
            target_per_s=(
                0.0 if ended else self.profile.rate(min(t_s, end_s)) / self.plan.part.parts
            ),
            events=self._events.take(float("inf") if last else t_s),
        )
        self._next_index += 1
        self._merged_s = t_s
        self._queue.put_nowait(Interval(point, tuple(snapshots)))

    def _watch_clock(self) -> None:
        offset_ns = _clock_offset_ns()
        step_ns = abs(offset_ns - self._clock_offset_ns)
        self._clock_offset_ns = offset_ns
        if step_ns > _CLOCK_STEP_NS:
            self.total.clock_steps_ns += step_ns

    def _watch_end(self) -> None:
        """A worker that hangs must not keep the run from ending."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        assert self._end_s is not None
        left_s = self._end_s - self.elapsed_s + self.plan.timeout_s + _SETTLE_MARGIN_S
        self._watchdog = asyncio.get_running_loop().call_later(max(left_s, 0), self._kill)

    def _kill(self) -> None:
        for worker in self._workers:
            worker.kill()


def _clock_offset_ns() -> int:
    """Time of day minus monotonic time."""
    return time.time_ns() - time.monotonic_ns()
