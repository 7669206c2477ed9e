"""The session's side of its tie to one load worker: the process and the socket to it."""

import asyncio
import socket
import sys
from collections.abc import Callable
from typing import cast

from tailrace.errors import TailraceError
from tailrace.load.messages import Broken, Message, Reader, Ready, Setup, Snapshot, frame


class GeneratorError(TailraceError):
    """The load workers cannot be started."""


class WorkerLink(asyncio.Protocol):
    """The session's side of the tie to one load worker."""

    def __init__(
        self,
        number: int,
        received: Callable[[Snapshot], None],
        lost: Callable[["WorkerLink", str], None],
    ) -> None:
        self.number = number
        self.reported = 0
        self.over = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._received = received
        self._on_lost = lost
        self._reader = Reader(self._receive)
        self._transport: asyncio.Transport | None = None
        self._process: asyncio.subprocess.Process | None = None

    async def spawn(self, setup: Setup) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "tailrace.load.process", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
            )
        await asyncio.get_running_loop().create_connection(lambda: self, sock=ours)
        self.tell(setup)

    def tell(self, message: Message) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(message))

    def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        if self._transport is not None:
            self._transport.abort()

    async def reap(self) -> None:
        if self._process is not None:
            await self._process.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(GeneratorError(f"worker {self.number} ended at once"))
        elif not self.over:
            self.over = True
            self._on_lost(self, "died")

    def _receive(self, message: Message) -> None:
        match message:
            case Ready():
                self.ready.set_result(None)
            case Broken(reason) if not self.ready.done():
                self.ready.set_exception(GeneratorError(reason))
            case Broken(reason):
                # Its last snapshot is still to come.
                self._on_lost(self, f"gave up ({reason})")
            case Snapshot(index=index, last=last):
                self.reported = index + 1
                self.over = last
                self._received(message)
