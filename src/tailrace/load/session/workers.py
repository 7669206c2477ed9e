"""The load workers of a run: started together, told together, replaced one by one; and what each
machine of a fleet does with its own.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from tailrace.load.config import LoadConfig
from tailrace.load.measure.measurement import Measurement, added
from tailrace.load.measure.point import NodeFigures, cpu_percent, per_s
from tailrace.load.schedule.arrivals import parse_arrivals
from tailrace.load.schedule.profile import Profile
from tailrace.load.schedule.trace import Replay
from tailrace.load.session.plan import Plan
from tailrace.load.worker.launcher import Channel, GeneratorError, Launcher
from tailrace.load.worker.messages import (
    Broken,
    Change,
    Message,
    Reader,
    Ready,
    SampleBatch,
    Setup,
    Snapshot,
    Start,
)

_READY_TIMEOUT_S = 30.0


@dataclass(slots=True, eq=False)
class WorkerHandle:
    """What the session knows of one load worker."""

    number: int
    ready: asyncio.Future[None]
    """Done when it is set up, and waits for the start."""
    channel: Channel | None = None
    """None until it is launched."""
    unsent: list[Message] = field(default_factory=list)
    """What it was told before that."""
    begun_s: float | None = None
    """When its offering begins, seconds since the run's start; None until it is told."""
    reported: int = 0
    """Every interval of a lower number is reported."""
    counted_s: float = 0.0
    """Up to when its share is reported, seconds since the run's start."""
    unanswered: int = 0
    """Requests that it had offered by then, and that were neither answered nor failed."""
    over: bool = False
    """Nothing more comes from it, or is wanted."""
    gave_up: bool = False
    """It ended its part by itself, and said why."""
    lost: bool = False
    """It went before its time."""

    @property
    def node(self) -> str:
        """The machine it runs on; "" for this one."""
        return self.channel.node if self.channel is not None else ""

    @property
    def offering(self) -> bool:
        """Whether it has been started and reports are still to come."""
        return self.begun_s is not None and not self.over

    def drop(self) -> None:
        """Want nothing more of it, and end it at once."""
        self.over = True
        if self.channel is not None:
            self.channel.kill()


class Workers:
    """The load workers of one run, those that have been replaced included.

    Args:
        received: called with each snapshot and who sent it.
        lost: called with who is gone before its time, and why.
        sampled: called with raw samples and the number of the worker they come from.
    """

    def __init__(
        self,
        plan: Plan,
        launcher: Launcher,
        received: Callable[[WorkerHandle, Snapshot], None],
        lost: Callable[[WorkerHandle, str], None],
        sampled: Callable[[int, SampleBatch], object],
    ) -> None:
        self.all: list[WorkerHandle] = []
        self._plan = plan
        self._launcher = launcher
        self._received = received
        self._lost = lost
        self._sampled = sampled
        self._config = plan.config
        self._samples_share = plan.samples_share
        self._files: TemporaryDirectory[str] | None = None

    async def launch(self, profile: Profile) -> None:
        """Launch all, to follow `profile`; returns when they are ready.

        Raises:
            OSError, GeneratorError, UsageError: one does not come up.
        """
        # In a thread: it may be a long one.
        self._config = await asyncio.to_thread(self._compacted)
        await self._launcher.reserve(self._plan.config.workers)
        for number in range(self._plan.config.workers):
            await self._launch(self._add(number), profile, 0.0)
        await self._ready(self.all)

    async def replace(self, lost: WorkerHandle, profile: Profile, from_s: float) -> WorkerHandle:
        """A worker, ready, to go on in the place of `lost`: it has passed over all that is due
        before `from_s`, follows `profile` after that, and is told whatever the others are told.

        Raises:
            OSError, GeneratorError: none comes up.
        """
        # From here on it is told of changes: none may fall between them and its profile.
        worker = self._add(lost.number)
        try:
            await self._launch(worker, profile, from_s)
            await self._ready([worker])
        except BaseException:
            worker.drop()
            raise
        return worker

    def start(self, worker: WorkerHandle, start_ns: int, begun_s: float) -> None:
        """Let it offer its share from `begun_s` on; the run began at `start_ns` of our clock."""
        assert worker.channel is not None
        worker.begun_s = worker.counted_s = begun_s
        worker.reported = int(begun_s / self._plan.interval_s)
        worker.channel.send(Start(start_ns + worker.channel.clock_offset_ns, begun_s))

    def tell(self, message: Message) -> None:
        """Send a message to every worker."""
        if isinstance(message, Change) and message.samples_share is not None:
            self._samples_share = message.samples_share
        for worker in self.all:
            if worker.channel is not None:
                worker.channel.send(message)
            else:
                worker.unsent.append(message)

    def kill(self) -> None:
        """End every worker at once; those that were still at work count as lost."""
        for worker in self.all:
            if worker.channel is not None:
                worker.channel.kill()

    def drop(self) -> None:
        """Want nothing more of any worker, and end them at once."""
        for worker in self.all:
            worker.drop()

    async def end(self) -> None:
        """Return when every worker has ended and nothing is left of them."""
        for worker in self.all:
            if worker.channel is not None:
                await worker.channel.closed()
        if self._files is not None:
            self._files.cleanup()
        await self._launcher.close()

    def _compacted(self) -> LoadConfig:
        """The plan's settings, a recording in a form that every worker has without reading it."""
        config = self._plan.config
        arrivals = parse_arrivals(config.arrivals)
        if not isinstance(arrivals, Replay):
            return config
        self._files = TemporaryDirectory(prefix="tailrace-")
        compact = arrivals.compact(Path(self._files.name) / "arrivals.npy")
        return msgspec.structs.replace(config, arrivals=compact.expression)

    def _add(self, number: int) -> WorkerHandle:
        worker = WorkerHandle(number, asyncio.get_running_loop().create_future())
        self.all.append(worker)
        return worker

    async def _launch(self, worker: WorkerHandle, profile: Profile, from_s: float) -> None:
        heard = Reader(partial(self._receive, worker)).feed
        setup = self._setup(worker.number, profile, from_s)
        worker.channel = await self._launcher.launch(setup, heard, partial(self._gone, worker))
        for message in worker.unsent:
            worker.channel.send(message)

    async def _ready(self, workers: Iterable[WorkerHandle]) -> None:
        try:
            async with asyncio.timeout(_READY_TIMEOUT_S):
                await asyncio.gather(*(worker.ready for worker in workers))
        except TimeoutError:
            raise GeneratorError(f"not ready after {_READY_TIMEOUT_S:.0f} s") from None

    def _gone(self, worker: WorkerHandle, reason: str) -> None:
        if not worker.ready.done():
            worker.ready.set_exception(GeneratorError(f"worker {worker.number} {reason} at once"))
        elif not worker.over:
            worker.over = worker.lost = True
            self._lost(worker, reason)

    def _receive(self, worker: WorkerHandle, message: Message) -> None:
        match message:
            case Ready():
                worker.ready.set_result(None)
            case Broken(reason) if not worker.ready.done():
                worker.ready.set_exception(GeneratorError(reason))
            case Broken(reason):
                # Its last snapshot is still to come.
                worker.gave_up = worker.lost = True
                self._lost(worker, f"gave up ({reason})")
            case Snapshot():
                worker.reported = message.measured.index + 1
                worker.counted_s = message.measured.end_ns / 1e9
                worker.unanswered = message.measured.outstanding
                worker.over = message.last
                self._received(worker, message)
            case SampleBatch():
                self._sampled(worker.number, message)

    def _setup(self, number: int, profile: Profile, from_s: float) -> Setup:
        plan = self._plan
        share, shares = plan.part.share(number, plan.config.workers)
        return Setup(
            config=self._config,
            worker=share,
            workers=shares,
            traffic=plan.traffic,
            profile=profile.placed,
            cap_per_s=plan.cap_per_s,
            from_s=from_s,
            samples_share=self._samples_share,
        )


class Nodes:
    """Figures of each machine that has a name, which this one has not."""

    def __init__(self, workers: Workers, launcher: Launcher) -> None:
        self._workers = workers
        self._launcher = launcher
        self._total: dict[str, Measurement] = {}

    def add(
        self, reports: Iterable[tuple[WorkerHandle, Measurement]], length_s: float
    ) -> dict[str, NodeFigures]:
        """Take in one interval's reports; the figures of that interval."""
        # Those as well that never report.
        begun = (worker.node for worker in self._workers.all if worker.begun_s is not None)
        told: dict[str, list[Measurement]] = {node: [] for node in begun if node}
        for worker, measured in reports:
            if worker.node:
                told[worker.node].append(measured)
        interval = {node: added(parts) for node, parts in told.items()}
        self._total = {
            node: self._total.get(node, Measurement()) + measured
            for node, measured in interval.items()
        }
        return self._figures(interval, length_s)

    def total(self, duration_s: float) -> dict[str, NodeFigures]:
        """The figures of all that was taken in."""
        return self._figures(self._total, duration_s)

    def _figures(self, parts: Mapping[str, Measurement], length_s: float) -> dict[str, NodeFigures]:
        clock_errors_s = self._launcher.clock_errors_s
        at_work = Counter(
            worker.node
            for worker in self._workers.all
            if worker.begun_s is not None and not worker.lost
        )
        figures = {}
        for node, measured in parts.items():
            lag = measured.send_lag
            there_s = max(measured.end_ns - measured.begun_ns, 0) / 1e9
            # It may have come later, or gone sooner; and its CPU is of the answers' time, too.
            offering_s = min(length_s, there_s)
            figures[node] = NodeFigures(
                workers=at_work[node],
                rps=per_s(measured.sent, offering_s),
                send_lag_p99_us=round(lag.percentile_us(99)[0], 4) if lag.total else None,
                cpu_percent=cpu_percent(measured, there_s),
                seen_s=round(self._total[node].end_ns / 1e9, 6),
                clock_error_ms=round(clock_errors_s.get(node, 0.0) * 1e3, 4),
            )
        return figures
