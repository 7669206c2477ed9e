"""How load workers are started, and reached: a `Launcher` starts them, a `Channel` carries messages
to and from one. Here are those for processes of this machine.
"""

import asyncio
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, cast

from tailrace.errors import TailraceError
from tailrace.load.worker.messages import Message, Setup, frame

Heard = Callable[[bytes], None]
"""Takes each piece of the byte stream of frames that a worker sends."""
Gone = Callable[[str], None]
"""Called once, with the reason, when nothing more will come from a worker: `died`."""


class GeneratorError(TailraceError):
    """The load workers cannot be started."""


class Channel(Protocol):
    """Frames to and from one load worker, wherever it runs."""

    @property
    def node(self) -> str:
        """The machine it runs on; "" for this one."""

    @property
    def clock_offset_ns(self) -> int:
        """The worker's CLOCK_MONOTONIC minus this process's."""

    def send(self, message: Message) -> None:
        """Send a message, after all that were sent before; to a worker that is gone, nothing."""

    def kill(self) -> None:
        """End the worker at once."""

    async def closed(self) -> None:
        """Return when the worker has ended and nothing is left of it."""


class Launcher(Protocol):
    """Starts load workers, for one run."""

    @property
    def start_lead_ns(self) -> int:
        """How far ahead the common start must lie for all workers to know of it by then."""

    @property
    def change_lead_ns(self) -> int:
        """How far ahead a live change must lie for all workers to bend their schedules in time."""

    @property
    def clock_errors_s(self) -> Mapping[str, float]:
        """Of each node that has a clock of its own, by its name: no instant told to it is off by
        more, drift included, as last measured.
        """

    async def reserve(self, workers: int) -> None:
        """Make room for so many workers. Called once, first.

        Raises:
            UsageError, GeneratorError: there is none.
        """

    async def launch(self, setup: Setup, heard: Heard, gone: Gone) -> Channel:
        """Start a worker and send it `setup`; one whose `from_s` is not 0 takes another's place.

        Raises:
            OSError, GeneratorError: it cannot be started.
        """

    async def close(self) -> None:
        """Give back what `reserve` took. The workers have ended by then, or are ended by it."""


class WorkerProcess(asyncio.Protocol):
    """A load worker as a child process of this one, and the channel to it."""

    node = ""
    clock_offset_ns = 0

    def __init__(self, heard: Heard, gone: Gone) -> None:
        self._heard = heard
        self._gone = gone
        self._transport: asyncio.Transport | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Of the process, once it is spawned."""
        assert self._process is not None
        return self._process.pid

    async def spawn(self, directory: Path | None = None) -> None:
        """Start the process, in `directory` if there is one.

        Raises:
            OSError: it cannot be started.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "tailrace.load.worker", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                cwd=directory,
            )
        await asyncio.get_running_loop().create_connection(lambda: self, sock=ours)

    def send(self, message: Message) -> None:
        self.write(frame(message))

    def write(self, frames: bytes) -> None:
        """Send what is framed already."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frames)

    def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        if self._transport is not None:
            self._transport.abort()

    async def closed(self) -> None:
        if self._process is not None:
            await self._process.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._heard(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone("died")


class ProcessLauncher:
    """Workers are processes of this machine."""

    start_lead_ns = 100_000_000
    change_lead_ns = 10_000_000
    clock_errors_s: Mapping[str, float] = {}

    async def reserve(self, workers: int) -> None:
        """A process needs no room made beforehand."""

    async def launch(self, setup: Setup, heard: Heard, gone: Gone) -> Channel:
        process = WorkerProcess(heard, gone)
        await process.spawn()
        process.send(setup)
        return process

    async def close(self) -> None:
        """Nothing was reserved."""
