"""The routes of the service."""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, PlainTextResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tailrace import __version__
from tailrace.errors import TailraceError
from tailrace.models.images import ImageError, ImageTooLargeError, NotAnImageError
from tailrace.openapi_page import page
from tailrace.service import protocol, schema
from tailrace.service.auth import TokenGuard
from tailrace.service.bodies import read_picture
from tailrace.service.errors import NotReadyError, QueueFullError, RequestError
from tailrace.service.pool import Pool, Ticket
from tailrace.service.predict import predict, predict_random
from tailrace.service.service import Service
from tailrace.service.stages import StageClock

T = TypeVar("T")

_RETRY_AFTER_S = "1"
_IMAGE_STATUS: Mapping[type[Exception], int] = {
    ImageError: 400,
    NotAnImageError: 415,
    ImageTooLargeError: 413,
}


def build(service: Service) -> FastAPI:
    """The application that serves `service`."""
    app = FastAPI(
        title="Tailrace service",
        version=__version__,
        description="MLPerf models behind HTTP. `curl --data-binary @picture.jpg URL`.",
        docs_url=None,
        redoc_url=None,
        exception_handlers={TailraceError: _refuse, HTTPException: _refuse_http},
    )
    if service.config.token is not None:
        app.add_middleware(TokenGuard, token=service.config.token)

    async def helloworld(_: Request) -> Response:
        return PlainTextResponse("hello world")

    async def gpu(request: Request) -> Response:
        clock = StageClock()
        model = service.model(request.query_params.get("model", service.config.models[0]))
        work = functools.partial(predict_random, model, service.pictures(model), clock)
        clock.end("receive")
        await _work(service.pool, request, work)
        clock.end("send")
        return PlainTextResponse("ok", headers={"Server-Timing": clock.header()})

    async def predict_one(request: Request) -> Response:
        clock = StageClock()
        model = service.model(request.path_params["model"])
        threshold = _threshold(request.query_params.get("threshold"))
        data = await read_picture(request, service.config.max_body_bytes)
        clock.end("receive")
        work = functools.partial(predict, model, data, threshold, clock)
        answer = msgspec.json.encode(await _work(service.pool, request, work))
        clock.end("send")
        return Response(
            answer, media_type="application/json", headers={"Server-Timing": clock.header()}
        )

    for method, path, endpoint, described in (
        ("GET", "/helloworld", helloworld, schema.HELLOWORLD),
        ("GET", "/gpu", gpu, schema.GPU),
        ("POST", "/predict/{model}", predict_one, schema.PREDICT),
    ):
        # Starlette's route comes first and answers, 30 us sooner; FastAPI's tells /docs of it.
        app.add_route(path, endpoint, methods=[method])
        app.add_api_route(path, endpoint, methods=[method], **described)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(page("Tailrace service"))

    protocol.add_routes(app, service)
    return app


async def _work(pool: Pool, request: Request, work: Callable[[], T]) -> T:
    ticket = pool.submit(work)
    if not pool.waiting:
        return await ticket.result()
    # Only a request that waits can be spared the work when its client has left.
    watcher = asyncio.create_task(_abandon_when_gone(request, ticket))
    try:
        return await ticket.result()
    finally:
        watcher.cancel()


async def _abandon_when_gone(request: Request, ticket: Ticket[T]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    ticket.abandon()


def _threshold(text: str | None) -> float:
    if text is None:
        return 0.0
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value <= 1.0:
        raise RequestError(f"threshold is a number from 0.0 to 1.0, not {text!r}")
    return value


async def _refuse(_: Request, error: Exception) -> Response:
    if isinstance(error, RequestError):
        status = error.status
    else:
        status = _IMAGE_STATUS.get(type(error), 500)
    retry = isinstance(error, QueueFullError | NotReadyError)
    return _error(status, str(error), {"Retry-After": _RETRY_AFTER_S} if retry else {})


async def _refuse_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = error.headers or {}
    path = request.url.path
    message = {
        404: f"there is nothing at {path}: /docs lists the routes",
        405: f"{request.method} is not for {path}: use {headers.get('Allow', 'another method')}",
    }.get(error.status_code, str(error.detail))
    return _error(error.status_code, message, headers)


def _error(status: int, message: str, headers: Mapping[str, str]) -> Response:
    return Response(
        msgspec.json.encode({"error": message}),
        status,
        media_type="application/json",
        headers=dict(headers),
    )
