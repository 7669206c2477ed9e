"""The routes of the service."""

from __future__ import annotations

import asyncio
import math

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp

from tailrace import __version__
from tailrace.errors import TailraceError
from tailrace.openapi_page import page
from tailrace.service import loadgen, predict_page, protocol, schema
from tailrace.service.auth import TokenGuard
from tailrace.service.bodies import read_picture
from tailrace.service.calls import Answer, Call
from tailrace.service.endpoint import Constant, Endpoint, Front, compute
from tailrace.service.errors import RequestError, refusal, refuse
from tailrace.service.infer import infer, model_of
from tailrace.service.infer_messages import VERSION
from tailrace.service.metrics import CONTENT_TYPE, Metrics
from tailrace.service.pictures import DrawnPictures
from tailrace.service.predict import PictureWork, RandomPictureWork
from tailrace.service.service import Service

_JPEG = "image/jpeg"
_TEXT = b"text/plain; charset=utf-8"


def build(service: Service) -> ASGIApp:
    """The application that serves `service`."""
    app = FastAPI(
        title="Tailrace service",
        version=__version__,
        description="MLPerf models behind HTTP. `curl --data-binary @picture.jpg URL`.",
        docs_url=None,
        redoc_url=None,
        exception_handlers={TailraceError: _refuse, HTTPException: _refuse_http},
    )
    served = service.config.models
    body_limit_bytes = service.config.body_limit_bytes

    async def gpu(call: Call) -> Answer:
        model = service.model(_asked(call))
        work = RandomPictureWork(model, service.pictures(model), call.clock)
        await compute(service, call, work)
        return Answer(b"ok", _TEXT)

    async def predict(call: Call) -> Answer:
        model = service.model(_named(call))
        threshold = _threshold(call)
        data = await read_picture(call, body_limit_bytes)
        work = PictureWork(model, lambda: data, threshold, call.clock)
        return Answer(await compute(service, call, work))

    def _asked(call: Call) -> str:
        return call.query("model") or served[0]

    def _first(_: Call) -> str:
        return served[0]

    tensors = Endpoint(service, infer(service), model_of)
    hot: dict[tuple[str, str], ASGIApp] = {}
    for method, path, endpoint, described in (
        ("GET", "/helloworld", Constant(Answer(b"hello world", _TEXT)), schema.HELLOWORLD),
        ("GET", "/gpu", Endpoint(service, gpu, _asked), schema.GPU),
        ("POST", "/predict/{model}", Endpoint(service, predict, _named), schema.PREDICT),
        ("POST", "/v2/models/{model}/infer", tensors, schema.INFER),
        ("POST", "/v2/models/{model}/versions/{version}/infer", tensors, schema.INFER_VERSION),
        (
            "POST",
            "/predict/",
            Endpoint(service, loadgen.predict(service), _first),
            schema.LOADGEN_PREDICT,
        ),
    ):
        hot |= {(method, path.format(model=name, version=VERSION)): endpoint for name in served}
        # This one answers for the names that are not served; FastAPI's tells /docs of it.
        app.router.routes.append(Route(path, endpoint, methods=[method]))
        app.add_api_route(path, _described_alone, methods=[method], **described)

    @app.get("/predict/{model}", **schema.PREDICT_PAGE)
    async def predict_in_browser(request: Request) -> Response:
        return HTMLResponse(predict_page.page(service.model(request.path_params["model"])))

    examples = DrawnPictures()

    @app.get("/predict/{model}/example", **schema.PREDICT_EXAMPLE)
    async def example(request: Request) -> Response:
        service.model(request.path_params["model"])
        picture = await asyncio.to_thread(examples.draw)
        return Response(picture.data, headers={"Cache-Control": "no-store"}, media_type=_JPEG)

    @app.get("/getname/", **schema.LOADGEN_NAME)
    @app.post("/getname/", **schema.LOADGEN_NAME)
    async def system_name(request: Request) -> Response:
        return JSONResponse({"name": loadgen.system_name(service.config, request)})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(page("Tailrace service"))

    metrics = Metrics(service.config, service.siblings)

    @app.get("/metrics", **schema.METRICS)
    async def prometheus() -> Response:
        return Response(await asyncio.to_thread(metrics.render), media_type=CONTENT_TYPE)

    protocol.add_routes(app, service)
    front = Front(hot, app)
    token = service.config.token
    return front if token is None else TokenGuard(front, token)


def _described_alone() -> None:
    raise AssertionError("the route before this one answers")


def _named(call: Call) -> str:
    return call.path.rpartition("/")[2]


def _threshold(call: Call) -> float:
    text = call.query("threshold")
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
    assert isinstance(error, TailraceError)
    return refusal(error)


async def _refuse_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    path = request.url.path
    if error.status_code == 405:
        headers["Allow"] = _allowed(request)
    message = {
        404: f"there is nothing at {path}: /docs lists the routes",
        405: f"{request.method} is not for {path}: use {headers.get('Allow')}",
    }.get(error.status_code, str(error.detail))
    return refuse(error.status_code, message, headers)


def _allowed(request: Request) -> str:
    # Of all routes of this path: the router tells those of the first alone.
    methods = {
        method
        for route in request.app.routes
        if route.matches(request.scope)[0] is not Match.NONE
        for method in getattr(route, "methods", ())
    }
    return ", ".join(sorted(methods))
