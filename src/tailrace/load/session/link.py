"""The session's side of its tie to one load worker: what it was told, what it has reported."""

import asyncio
from collections.abc import Callable

from tailrace.errors import TailraceError
from tailrace.load.session.crew import Crew, Line
from tailrace.load.worker.messages import Broken, Message, Reader, Ready, Setup, Snapshot, Start


class GeneratorError(TailraceError):
    """The load workers cannot be started."""


class WorkerLink:
    """The session's side of the tie to one load worker."""

    def __init__(
        self,
        number: int,
        received: Callable[["WorkerLink", Snapshot], None],
        lost: Callable[["WorkerLink", str], None],
    ) -> None:
        self.number = number
        self.reported = 0
        """Every interval of a lower number is reported."""
        self.begun_s: float | None = None
        """When its offering begins, seconds since the run's start; None until it is told."""
        self.counted_s = 0.0
        """Up to when its share is reported, seconds since the run's start."""
        self.unanswered = 0
        """Requests that it had offered by then, and that were neither answered nor failed."""
        self.over = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gave_up = False
        """It ended its part by itself, and said why."""
        self.lost = False
        """It went before its time."""
        self._line: Line | None = None
        self._held: list[Message] = []
        """Told before there is a line."""
        self._killed = False
        self._received = received
        self._on_lost = lost
        self._reader = Reader(self._receive)

    @property
    def node(self) -> str:
        """The machine it runs on; "" for this one."""
        return self._line.node if self._line is not None else ""

    @property
    def line(self) -> Line:
        """The way to the worker, once it is hired."""
        assert self._line is not None
        return self._line

    @property
    def offering(self) -> bool:
        """Whether it has been started and reports are still to come."""
        return self.begun_s is not None and not self.over

    async def hire(self, crew: Crew, setup: Setup) -> None:
        """Have the worker started and set up; `ready` is done when it is.

        Raises:
            OSError, GeneratorError: it cannot be started.
        """
        self._line = await crew.hire(setup, self._reader.feed, self._gone)
        if self._killed:
            self._line.kill()
        for message in self._held:
            self._line.tell(message)
        self._held.clear()

    def start(self, start_ns: int, begun_s: float, interval_s: float) -> None:
        """Let it offer its share from `begun_s` on; the run began at `start_ns` of our clock."""
        self.begun_s = self.counted_s = begun_s
        self.reported = int(begun_s / interval_s)
        self.tell(Start(start_ns + self.line.clock_offset_ns, begun_s))

    def tell(self, message: Message) -> None:
        """Send a message; to a worker that is gone, nothing."""
        if self._line is not None:
            self._line.tell(message)
        else:
            self._held.append(message)

    def kill(self) -> None:
        """End the worker at once."""
        self._killed = True
        if self._line is not None:
            self._line.kill()

    async def reap(self) -> None:
        """Return when the worker has ended."""
        if self._line is not None:
            await self._line.reap()

    def _gone(self, reason: str) -> None:
        if not self.ready.done():
            self.ready.set_exception(GeneratorError(f"worker {self.number} {reason} at once"))
        elif not self.over:
            self.over = self.lost = True
            self._on_lost(self, reason)

    def _receive(self, message: Message) -> None:
        match message:
            case Ready():
                self.ready.set_result(None)
            case Broken(reason) if not self.ready.done():
                self.ready.set_exception(GeneratorError(reason))
            case Broken(reason):
                # Its last snapshot is still to come.
                self.gave_up = self.lost = True
                self._on_lost(self, f"gave up ({reason})")
            case Snapshot():
                self.reported = message.index + 1
                self.counted_s = message.end_ns / 1e9
                self.unanswered = message.in_flight + message.backlog
                self.over = message.last
                self._received(self, message)
