"""A load worker as a child process of this one: the process, and the socket to it."""

import asyncio
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

from tailrace.load.worker.messages import Message, frame


class ChildProcess(asyncio.Protocol):
    """The parent's side of the tie to one load worker.

    Args:
        heard: told of what the worker sends, as it comes.
        gone: told, with the reason, when the worker's end of the socket is closed.
    """

    node = ""
    clock_offset_ns = 0

    def __init__(self, heard: Callable[[bytes], None], gone: Callable[[str], None]) -> None:
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
                *(sys.executable, "-P", "-m", "tailrace.load.worker.process", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                cwd=directory,
            )
        await asyncio.get_running_loop().create_connection(lambda: self, sock=ours)

    def tell(self, message: Message) -> None:
        """See Line."""
        self.write(frame(message))

    def write(self, data: bytes) -> None:
        """Send frames."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def kill(self) -> None:
        """See Line."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        if self._transport is not None:
            self._transport.abort()

    async def reap(self) -> None:
        """See Line."""
        if self._process is not None:
            await self._process.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._heard(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone("died")
