"""One process of the service: uvicorn around the routes.

`python -m tailrace.service.process WORKER DEALT COUNTERS` is worker number WORKER. Its settings
come on stdin, its reports go to stdout. By the socket DEALT its parent deals it connections; its
end means that no more will come, as the service stops or the parent is gone. COUNTERS is the memory
of the service's sheet.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import uvicorn
import uvloop

from tailrace.errors import TailraceError, UsageError
from tailrace.http.guard import Guard, Limits
from tailrace.service import dealer
from tailrace.service.app import build
from tailrace.service.config import ServiceConfig
from tailrace.service.errors import refuse
from tailrace.service.messages import (
    Failed,
    Leaving,
    Listening,
    Loaded,
    Ready,
    Report,
    decode_config,
    encode,
)
from tailrace.service.meter import Meter, new_sheet
from tailrace.service.service import Service
from tailrace.service.slices import shorten_time_slice

# A client that keeps a connection idle should be the one who closes it: were it the server, a
# request sent at that moment would be lost.
_KEEP_ALIVE_S = 75
_BEAT_S = 0.25
# A parent that is told that this worker leaves ends the dealing at once.
_DEALT_WITHIN_S = 1.0
# A computation cannot be interrupted; what still runs when the grace is over ends with the process.
_LAST_WAIT_S = 0.1


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # They are the worker's, which has connections to be dealt yet.
        yield


class Worker:
    """A worker process's service, and the server around it."""

    def __init__(
        self, config: ServiceConfig, meter: Meter, report: Callable[[Report], None]
    ) -> None:
        """Loads nothing yet."""
        self._report = report
        self._meter = meter
        self._service = Service(config, meter)
        self._body_limit_bytes = config.body_limit_bytes
        self._config = uvicorn.Config(
            build(self._service),
            loop="none",
            ws="none",
            lifespan="off",
            log_config=None,
            # What clients get wrong is answered, not logged: they could fill the disk with it.
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            # It waits with asyncio, which takes fractions as well.
            timeout_graceful_shutdown=config.grace_s,  # type: ignore[arg-type]
        )
        self._server = _Server(self._config)
        self._stopping = asyncio.Event()
        self._dealt = asyncio.Event()

    async def serve(self, parent: socket.socket) -> None:
        """Serves the connections dealt by `parent` until SIGTERM or SIGINT, or its end.

        Raises:
            TailraceError: the models cannot be loaded.
        """
        loop = asyncio.get_running_loop()
        connecting: set[asyncio.Task[Any]] = set()
        self._config.load()
        # One body of the length that is taken always has room.
        limits = Limits(bodies_bytes=max(Limits().bodies_bytes, self._body_limit_bytes))
        guard = Guard(self._config, self._server.server_state, refuse, limits)

        def take(connection: socket.socket) -> None:
            connection.setblocking(False)
            task = loop.create_task(loop.connect_accepted_socket(guard.connect, connection))
            connecting.add(task)
            task.add_done_callback(connecting.discard)

        def read() -> None:
            if not dealer.receive(parent, take):
                loop.remove_reader(parent)
                self._dealt.set()
                self._stop()

        async def leave() -> None:
            await self._stopping.wait()
            guard.drain()
            self._report(Leaving())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._dealt.wait(), _DEALT_WITHIN_S)
            if connecting:
                await asyncio.wait(connecting)
            self._server.should_exit = True

        parent.setblocking(False)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)

        def beat() -> None:
            self._meter.beat()
            loop.call_later(_BEAT_S, beat)

        beat()
        loop.add_reader(parent, read)
        self._report(Listening())
        warming = asyncio.create_task(self._warm_up())
        leaving = asyncio.create_task(leave())
        await self._server.serve(sockets=[])
        leaving.cancel()
        loop.remove_reader(parent)
        await asyncio.to_thread(self._service.batcher.close, _LAST_WAIT_S)
        if warming.done():
            warming.result()
        else:
            warming.cancel()

    async def _warm_up(self) -> None:
        warm = False
        try:
            await asyncio.to_thread(self._service.load)
            self._report(Loaded())
            await asyncio.to_thread(self._service.warm_up)
            # What is loaded now stays. Searching it for garbage would hold every request up for
            # 20 ms from time to time.
            gc.collect()
            gc.freeze()
            warm = True
            self._meter.set_ready(True)
            self._report(Ready(self._service.slowest_s))
        finally:
            if not warm:
                self._stop()

    def _stop(self) -> None:
        self._meter.set_ready(False)
        self._service.stopping = True
        self._stopping.set()


def main() -> None:
    """Entry point of a worker process."""
    config = decode_config(sys.stdin.buffer.readline())
    worker, dealt, counters = map(int, sys.argv[1:])
    meter = Meter(new_sheet(config.workers, config.models, counters), worker, config.models)

    def report(message: Report) -> None:
        # A parent that has gone reads no reports; the end of its socket tells of it.
        with contextlib.suppress(BrokenPipeError):
            os.write(sys.stdout.fileno(), encode(message))

    # It warns of forms that clients broke: as with uvicorn's log, they could fill the disk.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    # Each inference thread does its own picture; OpenCV's threads would add to theirs.
    cv2.setNumThreads(1)
    shorten_time_slice()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(Worker(config, meter, report).serve(socket.socket(fileno=dealt)))
    except TailraceError as error:
        report(Failed(str(error), isinstance(error, UsageError)))
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
