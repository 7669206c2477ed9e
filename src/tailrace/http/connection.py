"""One client's connection: uvicorn's HTTP/1.1, with an end to what it takes without one.

uvicorn takes heads of any length from clients of any slowness, and parses pipelined requests as
fast as they come.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from tailrace.http import heads

if TYPE_CHECKING:
    from tailrace.http.guard import Guard

CLIENT = "tailrace.client"
"""Key of the scope, for the `Client` that a request came from."""


class Client(Protocol):
    """Whoever sent a request, as far as an application may want to know."""

    def on_gone(self, what: Callable[[], None] | None) -> None:
        """Takes what to call if it leaves from now on; None takes that back."""

    def hold(self, count: int) -> bool:
        """Notes that its request takes `count` bytes more, until it is answered; whether there is
        room for them."""


# Data is parsed in slices, so that no read holds thousands of requests.
_SLICE_BYTES = 16 * 2**10
_BODY_HEADERS = frozenset({b"content-length", b"transfer-encoding"})

_BUSY = 503
_NOWHERE: Any = deque(maxlen=0)

# What a connection can wait for: the end of a request's head, more of its body, the client to take
# the answer, the client to close, a next request; or for nothing of the client's.
_HEAD, _BODY, _TAKING, _CLOSING, _NEXT, _NOTHING = range(6)


class Connection(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 within limits. What breaks these, or HTTP, is refused."""

    def __init__(self, guard: Guard, config: uvicorn.Config, state: ServerState) -> None:
        """See Guard.connect."""
        super().__init__(config, state, app_state={})
        self._guard = guard
        self._deaf = False
        self._ended = False
        self._last: RequestResponseCycle | None = None
        self._without_body_bytes = 0
        self._body_bytes = 0
        self._taken_bytes = 0
        self._held = b""
        self._answered: RequestResponseCycle | None = None
        self._when_gone: Callable[[], None] | None = None
        self._awaited: tuple[int, object, int] = (_NOTHING, None, 0)
        self.looks = 0
        """At how many looks in a row it has waited for the same."""

    @property
    def is_spare(self) -> bool:
        """Whether no request is at hand that deserves an answer."""
        return self._awaits()[0] in (_HEAD, _CLOSING, _NEXT)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio.Protocol."""
        admitted = self._guard.admit()
        super().connection_made(transport)
        if not admitted:
            self._refuse(
                _ClientError(_BUSY, "too many connections are open: try again in a second")
            )

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._deaf:
            return
        if self.pipeline:
            self._hold(data)
            return
        if len(data) > _SLICE_BYTES:
            for begin in range(0, len(data), _SLICE_BYTES):
                self.data_received(data[begin : begin + _SLICE_BYTES])
            return
        self._without_body_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, _ClientError) else _malformed(error))
        else:
            if self._without_body_bytes > self._guard.limits.head_bytes:
                self._refuse(self._too_long())
            elif self._guard.draining:
                self._take_leave()

    def on_headers_complete(self) -> None:
        """See httptools."""
        self._without_body_bytes = 0
        if len(self.headers) > self._guard.limits.headers:
            raise self._too_long()
        if fault := heads.fault(self.parser.get_http_version(), self.url, self.headers):
            raise _ClientError(*fault)
        if self.ws_protocol_class is not None and self._becomes_websocket():
            return
        self.scope[CLIENT] = self  # type: ignore[literal-required]
        super().on_headers_complete()
        # Trailers would be appended to the headers, without an end.
        self.headers = _NOWHERE
        if not self.pipeline:
            self._answered = self.cycle
        if not self.cycle.keep_alive:
            self._end_with(self.cycle)

    def _becomes_websocket(self) -> bool:
        if not (self.parser.should_upgrade() and self._should_upgrade()):
            return False
        if any(name in _BODY_HEADERS for name, _ in self.headers):
            raise _ClientError(400, "Upgrade is not for a request with a body")
        if self.cycle is not None and not self.cycle.response_complete:
            raise _ClientError(400, "Upgrade is not for a request that comes before an answer")
        super().on_headers_complete()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        super().connection_lost(exc)
        if self._answered is not None:
            # uvicorn tells this to the request that came last alone.
            self._answered.disconnected = True
            self._answered.message_event.set()
        self._give_back()
        if self._when_gone is not None:
            self._when_gone()

    def on_body(self, body: bytes) -> None:
        """See httptools."""
        self._without_body_bytes = 0
        self._body_bytes += len(body)
        if not self.cycle.response_complete and not self.hold(len(body)):
            raise _ClientError(_BUSY, "too many bodies are at hand: try again in a second")
        super().on_body(body)

    def on_response_complete(self) -> None:
        """See HttpToolsProtocol, which would start a timer here to stop it at the next request."""
        self.server_state.total_requests += 1
        if self._taken_bytes:
            self._give_back()
        if self._ended or self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._answered, app = self.pipeline.pop()
            self._start_asgi_task(self._answered, app)
            if self._held and not self.pipeline:
                self._release()

    def shutdown(self) -> None:
        """See HttpToolsProtocol, and Guard.drain."""
        if self._guard.draining:
            self.looks = 0
            self._take_leave()
        else:
            super().shutdown()

    def _take_leave(self) -> None:
        # The last request that has come is to have the last answer.
        last = self.cycle
        if self._held or last is None or last is self._last or last.response_started:
            return
        if self._last is not None and not self._last.response_started:
            self._last.keep_alive, self._last.transport = True, self.transport
        elif self._last is not None or not last.keep_alive:
            # The last one has been answered, or will be with no help of this.
            return
        self._last = last
        self._end_with(last)

    def _end_with(self, cycle: RequestResponseCycle) -> None:
        cycle.keep_alive = False
        cycle.transport = _Farewell(self)  # type: ignore[assignment]

    def on_gone(self, what: Callable[[], None] | None) -> None:
        """See Client."""
        self._when_gone = what

    def hold(self, count: int) -> bool:
        """See Client."""
        self._taken_bytes += count
        self._guard.bodies_bytes += count
        return self._guard.bodies_bytes <= self._guard.limits.bodies_bytes

    def _give_back(self) -> None:
        self._guard.bodies_bytes -= self._taken_bytes
        self._taken_bytes = 0

    def handle_websocket_upgrade(self) -> None:
        """See HttpToolsProtocol, which would wait for the end of a broken handshake for ever."""
        self._deaf = True
        super().handle_websocket_upgrade()
        websocket = self.transport.get_protocol()
        self.loop.call_later(self._guard.limits.head_s, _end_handshake, websocket, self.transport)

    def _upgrade(self, rest: bytes) -> None:
        if self._should_upgrade():
            self.handle_websocket_upgrade()
            return
        # A server may ignore it (RFC 9110, 7.8); what follows is HTTP as before. But the parser
        # takes no body for one.
        if any(name in _BODY_HEADERS for name, _ in self.cycle.scope["headers"]):
            self.cycle.more_body = True
            self._refuse(_ClientError(400, "Upgrade is not for a request with a body"))
        self.data_received(rest)

    def _hold(self, data: bytes) -> None:
        # While a request waits for the answer to the one before it, those after it stay unparsed
        # and no more is read. uvicorn would read on after the next answer, if it knew.
        self.flow.read_paused = False
        self.transport.pause_reading()
        self._held += data

    def _release(self) -> None:
        held, self._held = self._held, b""
        self.transport.resume_reading()
        self.data_received(held)

    def look(self) -> None:
        """Closes the connection if its client has taken too long. To be called at intervals."""
        awaited = self._awaits()
        if awaited != self._awaited:
            self._awaited, self.looks = awaited, 0
            return
        self.looks += 1
        passed_s = self.looks * self._guard.limits.look_s
        what = awaited[0]
        if what == _HEAD and self._guard.draining and not self._without_body_bytes:
            what = _NEXT
        if what == _HEAD and passed_s >= self._guard.limits.head_s:
            self._refuse(_ClientError(408, "the request's head did not come in time"))
        elif what == _BODY and passed_s >= self._guard.limits.pace_s:
            self._refuse(_ClientError(408, "the request's body came too slowly"))
        elif what == _NEXT and passed_s >= self._patience_s():
            self.hang_up()
        elif (what == _TAKING and passed_s >= self._guard.limits.pace_s) or (
            what == _CLOSING and passed_s >= self._guard.limits.close_s
        ):
            self.transport.abort()

    def _awaits(self) -> tuple[int, object, int]:
        # What it waits for, of which request, and how far that is.
        cycle = self.cycle
        pace_bytes = self._guard.limits.pace_bytes
        if unsent_bytes := self.transport.get_write_buffer_size():
            return _TAKING, cycle, math.ceil(unsent_bytes / pace_bytes)
        if cycle is None or cycle.response_complete:
            if self._deaf:
                return _CLOSING, cycle, 0
            return _NEXT if self.headers is _NOWHERE else _HEAD, cycle, 0
        asked = not (cycle.waiting_for_100_continue or self.flow.read_paused or self.pipeline)
        if cycle.more_body and asked:
            return _BODY, cycle, self._body_bytes // pace_bytes
        return _NOTHING, cycle, 0

    def _patience_s(self) -> float:
        limits = self._guard.limits
        return limits.quiet_s if self._guard.draining else self.timeout_keep_alive

    def _too_long(self) -> _ClientError:
        limits = self._guard.limits
        return _ClientError(
            431,
            f"the head is too long: the limits are {limits.head_bytes:,} bytes "
            f"and {limits.headers:,} headers",
        )

    def _refuse(self, error: _ClientError) -> None:
        # Answers in place of the application, and takes no more.
        self._deaf = True
        cycle = self.cycle
        retry = {"Retry-After": "1"} if error.status == _BUSY else {}
        self._guard.refused += 1
        answer = self._guard.refuse(error.status, str(error), {"Connection": "close", **retry})
        if self.pipeline and cycle.more_body:
            # In its turn.
            self.pipeline[0] = cycle, answer  # type: ignore[assignment]
        elif cycle is None or cycle.response_complete or cycle.more_body:
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
                self._give_back()
            self.cycle = None  # type: ignore[assignment]
            head = (*self.server_state.default_headers, *answer.raw_headers)
            lines = (b"%b: %b\r\n" % header for header in head)
            self.transport.write(
                b"".join((STATUS_LINE[answer.status_code], *lines, b"\r\n", answer.body))
            )
            self.hang_up()
        else:
            # The error lies in what came after this request, which has an answer to come.
            self._end_with(cycle)

    def hang_up(self) -> None:
        """Ends the connection, once its client has closed it too or had the time to: closed with
        data on its way, it would be reset, and the answer lost with it."""
        if self._ended:
            return
        self._deaf = self._ended = True
        if not self.transport.can_write_eof():
            # TLS has its own farewell.
            self.transport.close()
            return
        if self._held:
            self._held = b""
            self.transport.resume_reading()
        self.pipeline.clear()
        self.flow.resume_reading()
        self.transport.write_eof()


class _Farewell:
    # The transport of an answer that is the last one.
    def __init__(self, connection: Connection) -> None:
        self.write = connection.transport.write
        self.is_closing = connection.transport.is_closing
        self.close = connection.hang_up


class _ClientError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _end_handshake(websocket: Any, transport: asyncio.Transport) -> None:
    if not websocket.handshake_complete:
        transport.abort()


def _malformed(error: httptools.HttpParserError) -> _ClientError:
    if isinstance(error, httptools.HttpParserCallbackError):
        return _ClientError(400, "the request's target is no path")
    return _ClientError(400, f"this is not HTTP/1.1: {error}")
