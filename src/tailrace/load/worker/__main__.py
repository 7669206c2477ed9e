"""A load worker's process: its end of the channel to the session that started it, and its limits.

It has one descriptor to its session and no other tie: when the session is gone, so is the worker.
"""

import asyncio
import gc
import resource
import signal
import socket
import sys
from typing import cast

import uvloop

from tailrace.errors import TailraceError, UsageError
from tailrace.load.worker.messages import (
    Abandon,
    Broken,
    Change,
    Message,
    Reader,
    Ready,
    Setup,
    Start,
    Stop,
    frame,
)
from tailrace.load.worker.worker import Worker

_OTHER_FILES = 64
"""Descriptors a worker has beside its connections, generously."""


def allow_open_files(count: int) -> None:
    """Raise this process's limit on open files to `count`, if it is lower.

    Raises:
        UsageError: the hard limit forbids it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        if hard != resource.RLIM_INFINITY and hard < count:
            raise UsageError(
                f"this machine allows a process {hard:,} open files, and {count:,} are needed: "
                "lower --connections, use more --workers, or raise the limit (ulimit -Hn)"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


class _ChannelEnd(asyncio.Protocol):
    """The worker's end of the channel to its session."""

    def __init__(self) -> None:
        self._reader = Reader(self._receive)
        self._worker: Worker | None = None
        self._run: asyncio.Task[None] | None = None
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)

    def _receive(self, message: Message) -> None:
        match message, self._worker:
            case Setup(), None:
                try:
                    allow_open_files(message.limits.connections + _OTHER_FILES)
                    self._worker = Worker(message, self._transport)
                except (OSError, TailraceError) as error:
                    self._transport.write(frame(Broken(str(error))))
                else:
                    self._transport.write(frame(Ready()))
            case Start(start_ns, from_s), Worker() as worker:
                # What is alive now stays; collecting it again and again would only add lag.
                gc.collect()
                gc.freeze()
                self._run = asyncio.get_running_loop().create_task(worker.run(start_ns, from_s))
                self._run.add_done_callback(lambda _: self._transport.close())
            case Change(t_s, profile, samples_share), Worker() as worker:
                try:
                    worker.change(t_s, profile, samples_share)
                except TailraceError as error:
                    # Offering anything else than the others would be worse than nothing.
                    self._transport.write(frame(Broken(str(error))))
                    worker.abandon()
            case Stop(t_s), Worker() as worker:
                worker.stop(t_s)
            case Abandon(), Worker() as worker:
                worker.abandon()


async def _serve(fd: int) -> None:
    loop = asyncio.get_running_loop()
    _, channel = await loop.create_connection(_ChannelEnd, sock=socket.socket(fileno=fd))
    await channel.over


def main() -> None:
    """Work for the session at the other end of the descriptor named on the command line."""
    # Ctrl-C and a hang-up go to all in the terminal, and some send SIGTERM to a whole group: the
    # session decides what that means, and ends its workers itself.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    uvloop.run(_serve(int(sys.argv[1])))


if __name__ == "__main__":
    main()
