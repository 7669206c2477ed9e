"""The hot routes: timed from the arrival of a request to its answer's last byte, and counted.

They are ASGI applications of their own, found by method and path before anything else is asked.
A stack of middleware and a router would cost as much as a light model's answer.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable, Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from tailrace.errors import TailraceError
from tailrace.service.calls import Answer, Answerer, Call
from tailrace.service.errors import (
    ClientGoneError,
    DeadlineError,
    NotReadyError,
    QueueFullError,
    RequestError,
    refusal,
)
from tailrace.service.service import Service
from tailrace.service.stages import RECEIVE, SEND
from tailrace.service.work import T, Work

DEADLINE_HEADER = b"tailrace-deadline-ms"

_OUTCOMES: Mapping[type[Exception], str] = {
    QueueFullError: "queue_full",
    DeadlineError: "deadline",
    ClientGoneError: "client_gone",
    NotReadyError: "not_ready",
}


class Endpoint:
    """A route that answers from a model."""

    def __init__(self, service: Service, answer: Answerer, model_of: Callable[[Call], str]) -> None:
        """`model_of` says under which model's name a call is counted."""
        self._service = service
        self._answer = service.faults.around(answer) if service.faults else answer
        self._model_of = model_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, with Server-Timing; ASGI."""
        call = Call(scope, receive)
        meter = self._service.meter
        try:
            try:
                answer = await self._answer(call)
            except asyncio.CancelledError as error:
                if self._service.stopping:
                    # The grace is over.
                    raise NotReadyError("the service is stopping") from error
                raise
        except TailraceError as error:
            meter.count(self._model_of(call), _outcome(error), call.clock.age_ns)
            await refusal(error)(scope, receive, send)
            return
        except asyncio.CancelledError:
            # So Ray Serve tells that the client has left.
            meter.count(self._model_of(call), "client_gone", call.clock.age_ns)
            raise
        except Exception:
            meter.count(self._model_of(call), "failed", call.clock.age_ns)
            raise
        call.clock.end(SEND)
        await answer.send(send, (b"server-timing", call.clock.header().encode()))
        call.clock.end(SEND)
        meter.observe(self._model_of(call), call.clock)


class Front:
    """Sends what has a hot route there, and everything else to the application behind."""

    def __init__(self, routes: Mapping[tuple[str, str], ASGIApp], behind: ASGIApp) -> None:
        """`routes` go by method and path."""
        self._routes = routes
        self._behind = behind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See Front; ASGI."""
        method = scope.get("method", "")
        app = self._routes.get((method, scope.get("path", "")))
        if app is None:
            app = self._behind
            if method == "HEAD":
                # What has a GET has this, as it must (RFC 9110, 9.1); the server sends no body.
                scope = {**scope, "method": "GET"}
        await app(scope, receive, send)


class Constant:
    """An answer that is always the same; ASGI."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers; ASGI."""
        await self._answer.send(send)


async def compute(service: Service, call: Call, work: Work[T], timeout_ns: int | None = None) -> T:
    """Has `work` done, once its turn comes, unless its client has left or set a deadline before,
    in a header or by a timeout of `timeout_ns` from the call's beginning.

    Raises:
        QueueFullError, DeadlineError, ClientGoneError: it was not done.
        Exception: whatever the work raises.
    """
    deadline_ns = _deadline_ns(call)
    if timeout_ns is not None:
        deadline_ns = min(deadline_ns or sys.maxsize, call.clock.began_ns + timeout_ns)
    call.clock.end(RECEIVE)
    if service.faults is not None:
        work = await service.faults.before_queue(work)
    ticket = service.batcher.submit(work, deadline_ns)
    gone = functools.partial(
        service.batcher.withdraw, ticket, ClientGoneError("the client has gone")
    )
    call.on_gone(gone)
    try:
        return await ticket.answer
    except asyncio.CancelledError:
        gone()
        raise
    finally:
        call.on_gone(None)


def _deadline_ns(call: Call) -> int | None:
    text = call.header(DEADLINE_HEADER)
    if text is None:
        return None
    try:
        return call.clock.began_ns + int(float(text) * 1e6)
    except (ValueError, OverflowError) as error:
        raise RequestError(
            f"Tailrace-Deadline-Ms is a number of milliseconds, not {text!r}"
        ) from error


def _outcome(error: TailraceError) -> str:
    if isinstance(error, RequestError):
        return _OUTCOMES.get(type(error), "bad_request")
    return "failed" if refusal(error).status_code >= 500 else "bad_request"
