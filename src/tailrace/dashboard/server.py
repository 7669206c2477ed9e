"""Serves the control room on the event loop that runs its controller."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from fastapi import FastAPI

from tailrace.control.tls import Tls

_KEEP_ALIVE_S = 75
"""Longer than a program that asks now and then leaves its connection idle."""
_WEBSOCKET_BYTES = 2**20
"""The longest message of a browser that is taken."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave SIGINT and SIGTERM alone: they mean a run's end first, the page's after that."""
        yield


@contextlib.asynccontextmanager
async def serving(
    app: FastAPI, listener: socket.socket, tls: Tls | None = None
) -> AsyncIterator[None]:
    """Answer on `listener`, a bound socket, for as long as the context lasts; over TLS if given.

    At its end, streams end and whatever clients still hold a second later is cut off. Open pages
    are not waited for: they find the server again when it is back.

    Raises:
        UsageError: a file of `tls` cannot be used.
    """
    context = tls.context() if tls is not None else None
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=_KEEP_ALIVE_S,
        ws="websockets-sansio",
        ws_max_size=_WEBSOCKET_BYTES,
        ssl_context_factory=(lambda *_: context) if context is not None else None,
    )
    app.state.stopping = asyncio.Event()
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        app.state.stopping.set()
        # That a client is cut off at the end is no error.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        server.should_exit = True
        await task
