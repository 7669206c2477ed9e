"""A load worker: paces, sends its share of the schedule, measures, reports each interval."""

import asyncio
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from time import monotonic_ns

import msgspec
import numpy as np
from numpy.typing import NDArray

from tailrace.load.client.dialer import Dialer
from tailrace.load.client.expect import parse_expect
from tailrace.load.client.pool import Pool
from tailrace.load.client.request import Request
from tailrace.load.client.traffic import Share
from tailrace.load.config import DEFAULT_INTERVAL_S
from tailrace.load.measure.failures import count_failure
from tailrace.load.measure.recorder import ROWS, Recorder
from tailrace.load.measure.samples import Rows, SampleLog
from tailrace.load.schedule.arrivals import parse_arrivals
from tailrace.load.schedule.profile import Profile, parse_profile
from tailrace.load.schedule.schedule import NEVER_NS, Schedule
from tailrace.load.worker.messages import SampleBatch, Setup, Snapshot, frame
from tailrace.load.worker.pacer import TimerFd
from tailrace.machine.cgroup import CpuLimit

_BATCH = 64
"""The most requests sent before the loop may read answers again."""


_MOST_WAITING = 1_000_000
"""Requests that may wait for a connection: some 200 MB."""
_GIVING_UP_NS = 2_000_000
"""How long requests may be given up before the loop may read answers again."""
_PATIENCE_NS = 10_000_000
_QUIET_NS = 500_000
_CHANGE_MARGIN_NS = 3_000_000
"""A live change costs some 0.2 ms of work. It is done when nothing is due for `_QUIET_NS`, but this
long before the change takes effect at the latest."""

_Place = tuple[Callable[[int, bytes, int], None], bytes, int, Request | None]
"""How to send, what, in which manner, and what renders it if it has a counter."""


class Worker:
    """Paces, sends, measures and reports; one run, then it is done."""

    def __init__(self, setup: Setup, report: asyncio.Transport) -> None:
        self._setup = setup
        self._report = report
        config = self._config = setup.config
        self._samples = (
            SampleLog(ROWS, setup.samples_share, config.seed, self._hand_on)
            if setup.samples_share
            else None
        )
        self._recorder = Recorder(self._samples)
        limits = self._limits = setup.limits
        expect = parse_expect(config.expect_status, config.expect_size, config.expect_body)
        self._pools = [
            Pool(Dialer(endpoint), self._recorder, limits, expect, config.reuse, target)
            for target, endpoint in enumerate(setup.traffic.endpoints)
        ]
        self._turns = Share(
            setup.traffic.turns,
            [self._place_of(request) for request in setup.traffic.requests],
            config.seed,
            setup.worker,
            setup.workers,
        )
        self._targets: dict[object, int] = {pool.send: pool.target for pool in self._pools}
        self._turn: list[_Place] = []
        self._place = 0
        self._timeout_ns = int(limits.timeout_s * 1e9)
        self._full = False
        """Whether as many requests wait for a connection as may."""
        self._schedule = Schedule(
            parse_arrivals(config.arrivals),
            Profile.restored(setup.profile),
            config.seed,
            setup.worker,
            setup.workers,
            setup.cap_per_s,
        )
        self._timer = TimerFd()
        self._end_s = float("inf") if config.duration_s is None else config.duration_s
        self._start_ns = 0
        self._end_ns = NEVER_NS
        self._due: list[int] = []
        self._position = 0
        self._changes: list[tuple[float, Profile]] = []
        """Announced, and not worked into the schedule yet."""
        self._offered = 0
        """Arrivals of its share that are past: those it skipped included."""
        self._skip(setup.from_s)
        self._cpu_limit = CpuLimit()
        self._reported = self._totals()
        self._sent: Counter[str] = Counter()
        """Requests by address that were reported."""
        self._tick_lag_ns = 0
        self._interval_s = config.interval_s or DEFAULT_INTERVAL_S
        self._interval_ns = int(self._interval_s * 1e9)
        self._index = 0
        self._since_ns = 0
        self._cpu_ns = 0
        self._finished = asyncio.get_running_loop().create_future()

    async def run(self, start_ns: int, from_s: float = 0.0) -> None:
        """Send from `from_s` after `start_ns` on until the end of the run, then until all is
        answered.
        """
        loop = asyncio.get_running_loop()
        self._skip(from_s)
        self._reported = self._totals()
        self._index = int(from_s / self._interval_s)
        self._start_ns = start_ns
        if self._samples is not None:
            self._samples.start_ns = start_ns
        self._since_ns = start_ns + int(from_s * 1e9)
        self._stop_at(self._end_s)
        self._refill()
        self._cpu_ns = time.process_time_ns()
        if self._config.spin:
            loop.call_soon(self._spin)
        else:
            loop.add_reader(self._timer.fd, self._wake)
            self._timer.arm(self._since_ns)
        ticker = loop.create_task(self._tick())
        try:
            await self._finished
        finally:
            ticker.cancel()
            loop.remove_reader(self._timer.fd)
            self._timer.close()
            for pool in self._pools:
                pool.close()
            if not self._report.is_closing():
                self._snapshot(last=True)

    def change(self, t_s: float, profile: str, samples_share: float | None = None) -> None:
        """Follow another profile, an expression, from `t_s` on; and report another share of the
        requests from then on one by one.

        Raises:
            UsageError: the expression names a file that cannot be read any more.
        """
        if self._finished.done():
            return
        following = parse_profile(profile)
        if self._samples is not None and samples_share is not None:
            self._samples.sampling.change(t_s, samples_share)
        if self._start_ns:
            self._changes.append((t_s, following))
            self._settle()
        else:
            self._schedule.change(t_s, following, 0)

    def stop(self, t_s: float) -> None:
        """Offer nothing from `t_s` on; finish when all is answered."""
        self._stop_at(min(t_s, self._end_s))
        if self._start_ns:
            self._arm()

    def abandon(self) -> None:
        """Finish now."""
        if not self._finished.done():
            self._finished.set_result(None)

    def _stop_at(self, t_s: float) -> None:
        self._end_s = t_s
        self._end_ns = self._start_ns + round(min(t_s * 1e9, NEVER_NS - self._start_ns))

    def _skip(self, t_s: float) -> None:
        skipped = self._schedule.skip(t_s)
        self._turns.skip(skipped)
        self._offered += skipped

    def _load(self, times_ns: NDArray[np.int64]) -> None:
        self._due = (times_ns + self._start_ns).tolist()
        self._position = 0

    def _place_of(self, request: Request) -> _Place:
        template = request if request.pieces else None
        return self._pools[request.endpoint].send, request.head, request.manner, template

    def _wake(self) -> None:
        """Send what is due, then sleep until the next intended time."""
        self._timer.acknowledge()
        if self._changes:
            # A stall may have passed the last moment for them.
            self._settle()
        self._send_due()
        self._arm()
        if self._changes:
            self._settle()

    def _spin(self) -> None:
        """The same without sleeping: look again each time the loop comes round."""
        if self._changes:
            self._settle()
        self._send_due()
        self._refill()
        if not self._finished.done():
            asyncio.get_running_loop().call_soon(self._spin)

    def _send_due(self) -> None:
        turn = self._turn
        place = self._place
        due = self._due
        position = self._position
        last = min(len(due), position + min(_BATCH, len(turn) - place))
        now = monotonic_ns()
        if self._full or due[position] < now - self._timeout_ns:
            self._fall_behind()
            return
        now = min(now, self._end_ns - 1)
        while position < last and due[position] <= now:
            send, content, manner, template = turn[place]
            if template is not None:
                setup = self._setup
                content = template.render(setup.worker + setup.workers * self._offered)
            send(due[position], content, manner)
            position += 1
            self._offered += 1
            place += 1
        self._place = place
        self._position = position

    def _fall_behind(self) -> None:
        """Give up on what is due for longer than its timeout: there is no use in sending it. Where
        too many requests wait already, what is due waits in the schedule, which takes no memory.
        """
        began = monotonic_ns()
        overdue_ns = min(began - self._timeout_ns, self._end_ns)
        while monotonic_ns() - began < _GIVING_UP_NS:
            due, position = self._due, self._position
            most = min(len(due), position + len(self._turn) - self._place)
            last = bisect_left(due, overdue_ns, position, most)
            if last == position:
                return
            if self._full:
                # It is not the generator that was slow.
                reason = "timeout: too many waited before it"
                count_failure(self._recorder.reasons, reason, last - position)
            else:
                reason = "timeout: the generator came too late to it"
                self._recorder.miss(reason, began - np.array(due[position:last]))
            if self._samples is not None:
                turn = self._turn[self._place : self._place + last - position]
                targets = [self._targets[send] for send, *_ in turn]
                self._samples.miss(reason, due[position:last], began, targets)
            self._offered += last - position
            self._place += last - position
            self._position = last
            self._refill()

    def _settle(self) -> None:
        """Bend the schedule as the announced changes say, while nothing is due for a while, or else
        when the first of them is about to take effect.
        """
        now = monotonic_ns()
        last_ns = self._start_ns + int(self._changes[0][0] * 1e9) - _CHANGE_MARGIN_NS
        if self._due[self._position] - now < _QUIET_NS and now < last_ns:
            return
        for t_s, following in self._changes:
            self._load(self._schedule.change(t_s, following, self._position))
        self._changes.clear()
        self._arm()

    def _refill(self) -> None:
        while self._position == len(self._due):
            # With many workers a piece may hold nothing for this one.
            self._load(self._schedule.next_piece())
        if self._place == len(self._turn):
            self._turn, self._place = self._turns.next_piece(), 0

    def _arm(self) -> None:
        self._refill()
        if self._config.spin:
            return
        next_ns = self._due[self._position]
        if next_ns < self._end_ns:
            self._timer.arm(monotonic_ns() + _PATIENCE_NS if self._full else next_ns)
        else:
            self._timer.disarm()

    async def _tick(self) -> None:
        """Expire, report each interval, and notice the end."""
        loop = asyncio.get_running_loop()
        step_s = min(0.1, self._interval_s, self._limits.shortest_s / 4)
        boundary = self._start_ns + self._interval_ns * (self._index + 1)
        while True:
            now = monotonic_ns()
            ended = now >= self._end_ns and self._caught_up()
            pause_ns = min(boundary - now, int(step_s * 1e9))
            if ended:
                if all(not pool.waiting and not pool.in_flight for pool in self._pools):
                    self.abandon()
                    return
                pause_ns = min(pause_ns, 2_000_000)
            else:
                pause_ns = min(pause_ns, max(self._end_ns - now, 0) + 1_000_000)
            await asyncio.sleep(pause_ns / 1e9)
            asked = now + pause_ns
            now = monotonic_ns()
            self._tick_lag_ns = max(self._tick_lag_ns, now - asked)
            for pool in self._pools:
                pool.expire(now)
            waiting = sum(len(pool.waiting) for pool in self._pools)
            if self._full != (waiting >= _MOST_WAITING):
                self._full = not self._full
                self._arm()
            if now >= boundary:
                passed = 1 + (now - boundary) // self._interval_ns
                # The interval in which the run ends also takes in the answers still to come.
                if not boundary - self._interval_ns < self._end_ns <= boundary:
                    self._index += passed - 1
                    self._snapshot(last=False)
                boundary += self._interval_ns * passed
            if self._report.is_closing():
                loop.stop()

    def _caught_up(self) -> bool:
        return self._position < len(self._due) and self._due[self._position] >= self._end_ns

    def _hand_on(self, rows: Rows, reasons: list[str]) -> None:
        self._report.write(frame(SampleBatch(rows.view("u1").data, reasons)))

    def _totals(self) -> Counter[str]:
        periods, throttled = self._cpu_limit.periods()
        counts = Counter(offered=self._offered, cpu_periods=periods, cpu_throttled=throttled)
        for pool in self._pools:
            counts.update(pool.counts)
        return counts

    def _snapshot(self, last: bool) -> None:
        now = monotonic_ns()
        cpu = time.process_time_ns()
        totals = self._totals()
        sent = sum((pool.sent for pool in self._pools), Counter()) - self._sent
        self._sent += sent
        measured = msgspec.structs.replace(
            self._recorder.take(self._start_ns),
            index=self._index,
            begun_ns=self._since_ns - self._start_ns,
            end_ns=now - self._start_ns,
            worker_ns=now - self._since_ns,
            cpu_ns=cpu - self._cpu_ns,
            sent=sent.total(),
            addresses=dict(sent),
            **{name: totals[name] - self._reported[name] for name in totals},
            in_flight=sum(pool.in_flight for pool in self._pools),
            backlog=sum(len(pool.waiting) for pool in self._pools),
            connections=sum(len(pool.open) for pool in self._pools),
            tick_lag_ns=self._tick_lag_ns,
        )
        self._report.write(frame(Snapshot(last=last, measured=measured, held=self._schedule.held)))
        self._reported = totals
        self._tick_lag_ns = 0
        self._index += 1
        self._since_ns = now
        self._cpu_ns = cpu
