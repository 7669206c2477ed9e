"""Serves the control room on the event loop that runs its controller."""

import asyncio
import contextlib
import logging
import socket
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, cast

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response

from tailrace.control.faces.rest import answer_error
from tailrace.control.faces.rpc.server import MOST_CONNECTIONS
from tailrace.errors import TailraceError
from tailrace.http.guard import Guard, Limits
from tailrace.net import Certificate
from tailrace.plain import plain

LIMITS = Limits(connections=2048, bodies_bytes=128 * 2**20, other_files=256 + MOST_CONNECTIONS)
"""What clients may take of a control room, before any of them has shown a token."""
_KEEP_ALIVE_S = 75
"""Longer than a program that asks now and then leaves its connection idle."""
_WEBSOCKET_BYTES = 2**20
"""The longest message of a browser that is taken."""

EVERY_S = 60.0
"""How often it is said that requests were refused, if any were, and what a library goes on saying.
"""
LOGGERS = (
    *("asyncio", "engineio.server", "nicegui", "python_multipart", "socketio.server"),
    "uvicorn.error",
)
"""Of the libraries that answer browsers."""

_log = logging.getLogger(__name__)


class HttpError(TailraceError):
    """A request is not HTTP, or goes beyond what one may take."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave SIGINT and SIGTERM alone: they mean a run's end first, the page's after that."""
        yield


@contextlib.asynccontextmanager
async def serving(
    app: Starlette,
    listener: socket.socket,
    tls: Certificate | None = None,
    *,
    limits: Limits = LIMITS,
    summary_s: float = EVERY_S,
) -> AsyncIterator[None]:
    """Answer on `listener`, a bound socket, for as long as the context lasts; over TLS if given.

    What breaks `limits`, or HTTP, is refused and counted: every `summary_s` a line says how many.

    At its end, streams end and whatever clients still hold a second later is cut off. Open pages
    are not waited for: they find the server again when it is back.

    Raises:
        UsageError: a file of `tls` cannot be used.
    """
    context = tls.context() if tls is not None else None

    def connect(**_: object) -> asyncio.Protocol:
        return guard.connect()

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
        # It asks for a class, and calls what it is given.
        http=cast(Any, connect),
    )
    app.state.stopping = asyncio.Event()
    server = _Server(config)
    guard = Guard(config, server.server_state, _refuse, limits, context)
    summary = asyncio.create_task(_sum_up(guard, summary_s))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        with said_seldom():
            yield
    finally:
        app.state.stopping.set()
        summary.cancel()
        # That a client is cut off at the end is no error.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        server.should_exit = True
        await task


def _refuse(status: int, message: str, headers: Mapping[str, str]) -> Response:
    answer = answer_error(HttpError(message), status)
    answer.headers.update(headers)
    return answer


async def _sum_up(guard: Guard, every_s: float) -> None:
    said = 0
    while True:
        await asyncio.sleep(every_s)
        if new := guard.refused - said:
            said = guard.refused
            _log.warning(
                "%s refused in the last %.0f s: broken, too long or too slow (%d in all)",
                "1 request was" if new == 1 else f"{new:,} requests were",
                every_s,
                said,
            )


class Seldom(logging.Filter):
    """Lets one record through every `every_s` for each place in the code that something is logged
    from, and says how many it has kept back since the last.
    """

    def __init__(self, every_s: float = EVERY_S, clock: Callable[[], float] = time.monotonic):
        super().__init__()
        self._every_s = every_s
        self._clock = clock
        self._places: dict[tuple[object, ...], tuple[float, int]] = {}
        """Until when each place is kept quiet, and how many records it has lost so far."""

    def filter(self, record: logging.LogRecord) -> bool:
        """See logging.Filter; what a record says is made fit to be shown."""
        error = record.exc_info[1] if record.exc_info else None
        raised = [
            (step.f_code.co_filename, line)
            for step, line in traceback.walk_tb(error.__traceback__ if error else None)
        ]
        place = record.pathname, record.lineno, type(error), *raised[-1:]
        until_s, lost = self._places.get(place, (0.0, 0))
        now_s = self._clock()
        if now_s < until_s:
            self._places[place] = until_s, lost + 1
            return False
        self._places[place] = now_s + self._every_s, 0
        more = f" ({lost:,} more like it were not shown)" if lost else ""
        record.msg, record.args = plain(record.getMessage()) + more, ()
        return True


@contextlib.contextmanager
def said_seldom() -> Iterator[None]:
    """Have LOGGERS say little for as long as the context lasts."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    seldom = Seldom()
    for logger in loggers:
        logger.addFilter(seldom)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(seldom)
