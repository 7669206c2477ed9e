"""REST: each method of LoadControl at its path below `/api`, JSON as msgspec writes the structs.

What a method takes is in the address and, by the same names, in the body; a body with one field
may be that field alone. Errors are answered as `{"error": "…", "type": "…"}`.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tailrace.control.faces.openapi import body_fields, document
from tailrace.control.interface import METHODS, LoadControl, RunRecord, ServiceInfo
from tailrace.control.methods import ErrorAnswer, Method, convert, encode
from tailrace.errors import TailraceError, UsageError, known_as

_POINTS = 256
"""Encoded in one go: about a millisecond in which nothing else gets its turn."""

Answering = Callable[[Request], Awaitable[Response]]

NO_STORE = {"Cache-Control": "no-store"}


def routes(control: LoadControl, *, heartbeat_s: float = 10.0) -> list[Route]:
    """The routes below `/api`, and `/openapi.json`, which describes them.

    A stream gets a comment after `heartbeat_s` of silence, so that proxies keep it open.
    """
    by_path: defaultdict[str, dict[str, Answering]] = defaultdict(dict)
    for method in METHODS:
        for path in method.paths:
            by_path[path][method.verb] = _answering(control, method, heartbeat_s)

    async def openapi(_: Request) -> Response:
        return answer_json(document())

    return [
        *(Route(f"/api{path}", Endpoint(verbs)) for path, verbs in by_path.items()),
        Route("/api/{path:path}", Endpoint({})),
        Route("/openapi.json", openapi),
    ]


def _answering(control: LoadControl, method: Method, heartbeat_s: float) -> Answering:
    async def answer(request: Request) -> Response:
        asked = method.call(
            control, read_request(method, request.path_params, await request.body())
        )
        if method.streams:
            # What is refused at once has a status of its own.
            first = await anext(asked, None)
            return _events(request, asked, first, heartbeat_s)
        answered = await asked
        if method.in_parts:
            return StreamingResponse(_pieces(answered), 200, NO_STORE, "application/json")
        if answered is None and method.status == 204:
            return Response(status_code=204)
        response = answer_json(answered, method.status)
        if method.status == 201:
            assert isinstance(answered, ServiceInfo)
            response.headers["Location"] = f"{request.url.path}/{answered.id}"
        return response

    return answer


def read_request(method: Method, address: dict[str, str], body: bytes) -> msgspec.Struct | None:
    """What is asked of `method`, by the parameters of the address and the body.

    Raises:
        UsageError: the body is not what belongs here, or does not go with the address.
    """
    if method.request is None:
        return None
    fields: Any = address
    wanted = body_fields(method)
    try:
        if wanted and body.strip():
            given = msgspec.json.decode(body)
            if not isinstance(given, dict) and len(wanted) == 1:
                given = {wanted[0].encode_name: given}
            fields = _merged(given, address) if isinstance(given, dict) else given
        return convert(fields, method.request)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UsageError(
            f"the body cannot be read as what /docs says belongs here: {error}"
        ) from error


def _merged(given: dict[str, Any], address: dict[str, str]) -> dict[str, Any]:
    for name, value in address.items():
        if given.setdefault(name, value) != value:
            raise UsageError(f"the address says {name} {value!r}, the body {given[name]!r}")
    return given


def _events(
    request: Request, items: AsyncGenerator[Any], first: Any, heartbeat_s: float
) -> StreamingResponse:
    """Each item as a server-sent event, `first` before the others, until there are no more, which
    the event `end` says, or the server stops. What goes wrong is the event `error`.

    A client that does not read holds up its own stream alone: no event is made before the one
    before it has gone out, and the updates behind it are the controller's to drop.
    """
    stopping: asyncio.Event = getattr(request.app.state, "stopping", asyncio.Event())

    async def events() -> AsyncIterator[bytes]:
        stopped = asyncio.ensure_future(stopping.wait())
        item, ahead = first, None
        try:
            while item is not None:
                yield b"data: %b\n\n" % encode(item)
                ahead = asyncio.ensure_future(anext(items, None))
                # On a kept future, since a timeout on anext itself would cancel the iterator.
                while not ahead.done():
                    wait = asyncio.FIRST_COMPLETED
                    await asyncio.wait((ahead, stopped), timeout=heartbeat_s, return_when=wait)
                    if stopped.done():
                        return
                    if not ahead.done():
                        yield b": still here\n\n"
                item = ahead.result()
            yield b"event: end\ndata:\n\n"
        except TailraceError as error:
            yield b"event: error\ndata: %b\n\n" % encode(_error_answer(error))
        finally:
            stopped.cancel()
            if ahead is not None:
                ahead.cancel()
                await asyncio.wait({ahead})
            await items.aclose()

    headers = {**NO_STORE, "X-Accel-Buffering": "no"}
    return StreamingResponse(events(), 200, headers, "text/event-stream")


async def _pieces(record: RunRecord) -> AsyncIterator[bytes]:
    """The record as JSON; it may have thousands of intervals."""
    yield b'{"info":%b,"result":%b,"points":[' % (encode(record.info), encode(record.result))
    for first in range(0, len(record.points), _POINTS):
        # Of the list, without its brackets.
        points = encode(record.points[first : first + _POINTS])[1:-1]
        yield b"," + points if first else points
        await asyncio.sleep(0)
    yield b"]}"


class UnknownRouteError(TailraceError):
    """There is nothing at this address, or nothing for this method."""

    http_status = 404
    rpc_status = "UNIMPLEMENTED"


class Endpoint:
    """What answers at an address, by verb; another verb is 405, with Allow, and where there is
    none it is 404. An ASGI application, to which a Route gives requests of every verb.
    """

    def __init__(self, verbs: Mapping[str, Answering]) -> None:
        self._verbs = verbs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; a TailraceError as ErrorAnswer."""
        request = Request(scope, receive, send)
        try:
            response = await self._answer(request)
        except TailraceError as error:
            response = answer_error(error)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        asked, verb = request.url.path, request.method
        if verb in self._verbs:
            return await self._verbs[verb](request)
        if not self._verbs:
            raise UnknownRouteError(f"there is nothing at {asked}: /docs lists the routes")
        allowed = ", ".join(sorted(self._verbs))
        answer = answer_error(
            UnknownRouteError(f"{verb} is not for {asked}: use {allowed}"), status=405
        )
        answer.headers["Allow"] = allowed
        return answer


def answer_json(value: object, status: int = 200) -> Response:
    """`value` as JSON, not to be cached."""
    return Response(encode(value), status, NO_STORE, "application/json")


def answer_error(error: TailraceError, status: int | None = None) -> Response:
    """The error's line with the status of its class, unless another one is given."""
    return answer_json(_error_answer(error), status or error.http_status)


def _error_answer(error: TailraceError) -> ErrorAnswer:
    return ErrorAnswer(str(error), known_as(error).__name__)
