"""A bound on the length and pace of request bodies, whatever route they go to."""

import asyncio

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tailrace.control.faces.answers import answer_error
from tailrace.errors import TailraceError

LIMIT_BYTES = 2**20
LIMIT_S = 10.0


class BodyError(TailraceError):
    """A request body that is too long, status 413, or did not come in time, status 408."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class BodyLimit:
    """ASGI middleware that reads a request's body before it passes the request on."""

    def __init__(
        self, app: ASGIApp, limit_bytes: int = LIMIT_BYTES, limit_s: float = LIMIT_S
    ) -> None:
        self._app = app
        self._limit_bytes = limit_bytes
        self._limit_s = limit_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http" and has_body(Headers(scope=scope)):
            try:
                body = await read_body(scope, receive, self._limit_bytes, self._limit_s)
            except BodyError as error:
                await refuse_body(error)(scope, receive, send)
                return
            receive = _replay(body, receive)
        await self._app(scope, receive, send)


def has_body(headers: Headers) -> bool:
    """Whether a request's head announces a body (RFC 9112, 6)."""
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


async def read_body(scope: Scope, receive: Receive, limit_bytes: int, limit_s: float) -> bytes:
    """The body; what there is of it if the client leaves.

    Raises:
        BodyError: its length, announced or real, is above `limit_bytes`, or it was not complete
            after `limit_s`.
    """
    body = b""
    # The HTTP parser has seen to it that the length is a number.
    if int(Headers(scope=scope).get("content-length", "0")) > limit_bytes:
        raise _too_long(limit_bytes)
    try:
        async with asyncio.timeout(limit_s):
            more = True
            while more:
                message = await receive()
                more = message.get("more_body", False)
                body += message.get("body", b"")
                if len(body) > limit_bytes:
                    raise _too_long(limit_bytes)
    except TimeoutError:
        raise BodyError(f"the body was not complete after {limit_s:g} s", 408) from None
    return body


def refuse_body(error: BodyError) -> Response:
    """The answer to such a body; the rest of a slow one is not waited for."""
    refusal = answer_error(error, error.status)
    if error.status == 408:
        refusal.headers["Connection"] = "close"
    return refusal


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _too_long(limit_bytes: int) -> BodyError:
    return BodyError(f"the body is too long: the limit is {limit_bytes:,} bytes", 413)
