"""One process of the service: uvicorn around the routes.

`python -m tailrace.service.process FD` is a worker. Its settings come on stdin, its reports go
to stdout, and by FD its parent deals it connections; its end means that the parent is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import math
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import cv2
import uvicorn
import uvloop

from tailrace.errors import TailraceError, UsageError
from tailrace.service import dealer
from tailrace.service.app import build
from tailrace.service.config import BACKLOG, ServiceConfig
from tailrace.service.messages import Failed, Loaded, Ready, Report, decode_config, encode
from tailrace.service.service import Service
from tailrace.service.slices import shorten_time_slice

# A client that keeps a connection idle should be the one who closes it: were it the server, a
# request sent at that moment would be lost.
_KEEP_ALIVE_S = 75


def run(config: ServiceConfig, listener: socket.socket, report: Callable[[Report], None]) -> None:
    """Serves on `listener` until SIGTERM or SIGINT; not ready until the models are warm.

    Raises:
        TailraceError: the models cannot be loaded.
    """
    _run(_Process(config, report).serve_on(listener))


def run_dealt(
    config: ServiceConfig, parent: socket.socket, report: Callable[[Report], None]
) -> None:
    """Serves the connections dealt by `parent` until SIGTERM or SIGINT, or its end.

    Raises:
        TailraceError: the models cannot be loaded.
    """
    _run(_Process(config, report).serve_dealt_by(parent))


def _run(serving: Coroutine[Any, Any, None]) -> None:
    # Each inference thread does its own picture; OpenCV's threads would add to theirs.
    cv2.setNumThreads(1)
    shorten_time_slice()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serving)


class _Process:
    def __init__(self, config: ServiceConfig, report: Callable[[Report], None]) -> None:
        self._report = report
        self._service = Service(config, lambda: self._server.should_exit)
        self._config = uvicorn.Config(
            build(self._service),
            loop="none",
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            # What clients get wrong is answered, not logged: they could fill the disk with it.
            log_level="error",
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=math.ceil(config.grace_s),
        )
        self._server = uvicorn.Server(self._config)

    async def serve_on(self, listener: socket.socket) -> None:
        with _stopped_by_signals(self._stop):
            warming = asyncio.create_task(self._warm_up())
            await self._server.serve(sockets=[listener])
            await self._end(warming)

    async def serve_dealt_by(self, parent: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        connecting: set[asyncio.Task[Any]] = set()
        self._config.load()

        # As uvicorn.Server does for the connections it accepts itself.
        http: Callable[..., asyncio.Protocol] = self._config.http_protocol_class
        protocol = functools.partial(
            http, config=self._config, server_state=self._server.server_state, app_state={}
        )

        def take(connection: socket.socket) -> None:
            connection.setblocking(False)
            task = loop.create_task(loop.connect_accepted_socket(protocol, connection))
            connecting.add(task)
            task.add_done_callback(connecting.discard)

        def read() -> None:
            if not dealer.receive(parent, take):
                loop.remove_reader(parent)
                self._stop()

        parent.setblocking(False)
        with _stopped_by_signals(self._stop):
            loop.add_reader(parent, read)
            warming = asyncio.create_task(self._warm_up())
            await self._server.serve(sockets=[])
            loop.remove_reader(parent)
            await self._end(warming)

    async def _warm_up(self) -> None:
        try:
            await asyncio.to_thread(self._service.load)
            self._report(Loaded())
            await asyncio.to_thread(self._service.warm_up)
            # What is loaded now stays. Searching it for garbage would hold every request up for
            # 20 ms from time to time.
            gc.collect()
            gc.freeze()
            self._report(Ready())
        finally:
            if not self._service.ready:
                self._stop()

    async def _end(self, warming: asyncio.Task[None]) -> None:
        await asyncio.to_thread(self._service.pool.close)
        if warming.done():
            warming.result()
        else:
            warming.cancel()

    def _stop(self) -> None:
        self._server.should_exit = True


@contextlib.contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    # uvicorn raises the signals it caught once more after it has stopped; these handlers stand
    # there then, so that the process ends with 0.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {
        number: signal.signal(number, lambda *_: stop())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def main() -> None:
    """Entry point of a worker process."""
    config = decode_config(sys.stdin.buffer.readline())
    parent = socket.socket(fileno=int(sys.argv[1]))

    def report(message: Report) -> None:
        # A parent that has gone reads no reports; the end of its socket tells of it.
        with contextlib.suppress(BrokenPipeError):
            os.write(sys.stdout.fileno(), encode(message))

    try:
        run_dealt(config, parent, report)
    except TailraceError as error:
        report(Failed(str(error), isinstance(error, UsageError)))
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
