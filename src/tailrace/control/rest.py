"""REST: LoadControl over HTTP. JSON as msgspec writes the interface's own structs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute
from starlette.datastructures import Headers

from tailrace.control.interface import (
    LoadControl,
    ServiceInfo,
    StateError,
    UnknownServiceError,
    Update,
    Window,
)
from tailrace.errors import TailraceError, UsageError
from tailrace.load.point import Point


class CrossSiteError(TailraceError):
    """Another site's page asked this control room to change something."""


_STATUS: dict[type[TailraceError], int] = {
    UnknownServiceError: 404,
    StateError: 409,
    UsageError: 400,
    CrossSiteError: 403,
}


class _Rate(msgspec.Struct):
    rate: float


class _Start(msgspec.Struct):
    rate: float | None = None


class _Error(msgspec.Struct):
    error: str


def is_cross_site(headers: Headers) -> bool:
    """Whether a browser sent this on behalf of a page of another origin.

    A load generator that any web page may start is a weapon. Programs send neither header;
    browsers send at least one of them with whatever could change something.
    """
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        return True
    return headers.get("sec-fetch-site", "none") not in ("same-origin", "none")


def router(control: LoadControl, *, heartbeat_s: float = 10.0) -> APIRouter:
    """The routes under `/api/services`; errors are answered as `{"error": "…"}`.

    A stream gets a comment after `heartbeat_s` of silence, so that proxies keep it open.
    """
    routes = APIRouter(prefix="/api/services", route_class=_Route, tags=["services"])
    service_id = Annotated[str, Path(description="as `GET /api/services` lists it")]
    changes: dict[str, Any] = {"dependencies": [Depends(_refuse_cross_site)]}

    @routes.get("", summary="All services", responses=_answers(list[ServiceInfo]))
    async def list_services() -> Response:
        return _json(await control.list())

    @routes.get("/{id}", summary="One service", responses=_answers(ServiceInfo, 404))
    async def get_service(id: service_id) -> Response:  # noqa: A002
        return _json(await control.get(id))

    @routes.post(
        "/{id}/start",
        summary="Start a run, at a rate or at the service's own profile",
        responses=_answers(ServiceInfo, 400, 403, 404, 409),
        openapi_extra=_body(_Start, required=False),
        **changes,
    )
    async def start(id: service_id, request: Request) -> Response:  # noqa: A002
        body = await request.body()
        rate = _decode(body, _Start).rate if body.strip() else None
        return _json(await control.start(id, rate))

    @routes.post(
        "/{id}/stop",
        summary="Stop offering; answers once nothing is in flight any more",
        responses=_answers(ServiceInfo, 403, 404),
        **changes,
    )
    async def stop(id: service_id) -> Response:  # noqa: A002
        return _json(await control.stop(id))

    @routes.put(
        "/{id}/rate",
        summary="Change the rate, of the run at once or of the next start",
        responses=_answers(ServiceInfo, 400, 403, 404),
        openapi_extra=_body(_Rate | float),
        **changes,
    )
    async def set_rate(id: service_id, request: Request) -> Response:  # noqa: A002
        body = _decode(await request.body(), _Rate | float)
        rate = body.rate if isinstance(body, _Rate) else body
        return _json(await control.set_rate(id, rate))

    @routes.get(
        "/{id}/latest",
        summary="The last complete interval; null before the first",
        responses=_answers(Point | None, 404),
    )
    async def latest(id: service_id) -> Response:  # noqa: A002
        return _json(await control.latest(id))

    @routes.get(
        "/{id}/window",
        summary="The last intervals taken together, and the intervals themselves",
        responses=_answers(Window, 404),
    )
    async def window(id: service_id) -> Response:  # noqa: A002
        return _json(await control.window(id))

    @routes.get(
        "/{id}/stream",
        summary="Server-sent events: one Update at once, then one each interval or change",
        responses=_answers(Update, 404, media_type="text/event-stream"),
    )
    async def stream(id: service_id) -> Response:  # noqa: A002
        await control.get(id)
        return StreamingResponse(
            _events(control.watch(id), heartbeat_s),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    return routes


class _Route(APIRoute):
    """Answers the family of TailraceError with a status and one line."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except TailraceError as error:
                return _json(_Error(str(error)), _STATUS.get(type(error), 500))

        return answer


def _refuse_cross_site(request: Request) -> None:
    if is_cross_site(request.headers):
        raise CrossSiteError("Refused: only this control room's own page may do this in a browser")


def _json(value: object, status: int = 200) -> Response:
    return Response(
        msgspec.json.encode(value),
        status,
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def _decode(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise UsageError(f'The body must be JSON such as {{"rate": 200}}: {error}') from error


async def _events(updates: AsyncIterator[Update], heartbeat_s: float) -> AsyncIterator[bytes]:
    ahead = asyncio.ensure_future(anext(updates, None))
    try:
        while True:
            # Waiting on a kept future, since a timeout on anext itself would cancel the iterator.
            done, _ = await asyncio.wait({ahead}, timeout=heartbeat_s)
            if not done:
                yield b": still here\n\n"
                continue
            update = ahead.result()
            if update is None:
                return
            yield b"data: " + msgspec.json.encode(update) + b"\n\n"
            ahead = asyncio.ensure_future(anext(updates, None))
    finally:
        ahead.cancel()


def _answers(
    kind: Any, *errors: int, media_type: str = "application/json"
) -> dict[int | str, dict[str, Any]]:
    told = {400: "Bad request", 403: "Cross-site request", 404: "Unknown service", 409: "State"}
    answers: dict[int | str, dict[str, Any]] = {
        200: {"description": "OK", "content": {media_type: {"schema": _schema(kind)}}}
    }
    for status in errors:
        content = {"application/json": {"schema": _schema(_Error)}}
        answers[status] = {"description": told[status], "content": content}
    return answers


def _body(kind: Any, *, required: bool = True) -> dict[str, Any]:
    content = {"application/json": {"schema": _schema(kind)}}
    return {"requestBody": {"required": required, "content": content}}


def _schema(kind: Any) -> Any:
    (schema,), components = msgspec.json.schema_components([kind], ref_template="{name}")

    def inline(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return inline(components[node["$ref"]])
            return {key: inline(value) for key, value in node.items()}
        return [inline(value) for value in node] if isinstance(node, list) else node

    return inline(schema)
