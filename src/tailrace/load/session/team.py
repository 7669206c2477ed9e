"""The load workers of a run: started together, told together, and replaced one by one."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from tailrace.load.schedule.arrivals import parse_arrivals
from tailrace.load.schedule.profile import Profile
from tailrace.load.schedule.trace import Replay
from tailrace.load.session.crew import Crew
from tailrace.load.session.link import GeneratorError, WorkerLink
from tailrace.load.session.plan import Plan
from tailrace.load.worker.messages import Message, Setup, Snapshot

_READY_TIMEOUT_S = 30.0


class Team:
    """The load workers of one run, those that have been replaced included.

    Args:
        received: told of each snapshot and who sent it.
        lost: told who is gone before its time, and why.
    """

    def __init__(
        self,
        plan: Plan,
        crew: Crew,
        received: Callable[[WorkerLink, Snapshot], None],
        lost: Callable[[WorkerLink, str], None],
    ) -> None:
        self.crew = crew
        self.links: list[WorkerLink] = []
        self._plan = plan
        self._arrivals = plan.arrivals
        self._files: TemporaryDirectory[str] | None = None
        self._received = received
        self._lost = lost

    async def assemble(self, profile: Profile) -> None:
        """Start all workers, to follow `profile`; returns when they are ready.

        Raises:
            OSError, GeneratorError, UsageError: one does not come up.
        """
        # In a thread: it may be a long one.
        self._arrivals = await asyncio.to_thread(self._compacted)
        await self.crew.gather(self._plan.workers)
        self.links = [
            WorkerLink(number, self._received, self._lost) for number in range(self._plan.workers)
        ]
        for link in self.links:
            await link.hire(self.crew, self._setup(link.number, profile, 0.0))
        await self._ready(self.links)

    async def replace(self, lost: WorkerLink, profile: Profile, from_s: float) -> WorkerLink:
        """A worker, ready, to go on in the place of `lost`: it has passed over all that is due
        before `from_s`, follows `profile` after that, and is told whatever the others are told.

        Raises:
            OSError, GeneratorError: none comes up.
        """
        link = WorkerLink(lost.number, self._received, self._lost)
        # From here on it is told of changes: none may fall between them and its profile.
        self.links.append(link)
        try:
            await link.hire(self.crew, self._setup(link.number, profile, from_s))
            await self._ready([link])
        except BaseException:
            link.over = True
            link.kill()
            raise
        return link

    def tell(self, message: Message) -> None:
        """Send a message to every worker."""
        for link in self.links:
            link.tell(message)

    def kill(self) -> None:
        """End every worker at once."""
        for link in self.links:
            link.kill()

    async def dismiss(self) -> None:
        """Return when every worker has ended and nothing is left of them."""
        for link in self.links:
            await link.reap()
        await self.close()

    async def close(self) -> None:
        """Give back what the workers were given."""
        if self._files is not None:
            self._files.cleanup()
        await self.crew.close()

    def _compacted(self) -> str:
        """The plan's arrivals, a recording in a form that every worker has without reading it."""
        arrivals = parse_arrivals(self._plan.arrivals)
        if not isinstance(arrivals, Replay):
            return self._plan.arrivals
        self._files = TemporaryDirectory(prefix="tailrace-")
        return arrivals.compact(Path(self._files.name) / "arrivals.npy").expression

    async def _ready(self, links: list[WorkerLink]) -> None:
        try:
            async with asyncio.timeout(_READY_TIMEOUT_S):
                await asyncio.gather(*(link.ready for link in links))
        except TimeoutError:
            raise GeneratorError(f"not ready after {_READY_TIMEOUT_S:.0f} s") from None

    def _setup(self, number: int, profile: Profile, from_s: float) -> Setup:
        plan = self._plan
        share, shares = plan.part.share(number, plan.workers)
        return Setup(
            worker=share,
            workers=shares,
            endpoints=plan.traffic.endpoints,
            requests=plan.traffic.requests,
            turns=plan.traffic.turns,
            arrivals=self._arrivals,
            seed=plan.seed,
            profile=profile.placed,
            duration_s=plan.duration_s,
            connections=-(-plan.connections // plan.workers),
            reuse=plan.reuse,
            timeout_s=plan.timeout_s,
            connect_timeout_s=min(plan.connect_timeout_s or plan.timeout_s, plan.timeout_s),
            first_byte_timeout_s=min(plan.first_byte_timeout_s or plan.timeout_s, plan.timeout_s),
            expect=plan.expect,
            interval_s=plan.interval_s,
            spin=plan.spin,
            cap_per_s=plan.cap_per_s,
            from_s=from_s,
        )
