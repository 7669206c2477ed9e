"""The Open Inference Protocol v2 (REST) but for inference: health, what the models take and give,
and its extensions."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from tailrace import __version__
from tailrace.models.model import Model
from tailrace.models.runtimes import TensorInfo
from tailrace.service import extensions, schema
from tailrace.service.infer import no_version
from tailrace.service.infer_messages import VERSION
from tailrace.service.service import Service


def add_routes(app: FastAPI, service: Service) -> None:
    """Adds the `/v2` routes to `app`."""

    @app.get("/v2", **schema.SERVER)
    async def server() -> Response:
        return _json(
            {
                "name": "tailrace",
                "version": __version__,
                "extensions": extensions.NAMES,
                "service": service.config.description(),
            }
        )

    @app.get("/v2/health/live", **schema.LIVE)
    async def live() -> Response:
        return _json({"live": True})

    @app.get("/v2/health/ready", **schema.READY)
    async def ready() -> Response:
        return _json({"ready": service.ready}, 200 if service.ready else 503)

    # Before the models, of which none is called so.
    @app.get("/v2/models/stats", **schema.ALL_STATISTICS)
    async def all_statistics() -> Response:
        return _json(await extensions.statistics(service, list(service.config.models)))

    @app.get("/v2/models/{model}/stats", **schema.STATISTICS)
    @app.get("/v2/models/{model}/versions/{version}/stats", **schema.STATISTICS_VERSION)
    async def statistics(request: Request) -> Response:
        name = service.model(_name(request)).spec.name
        return _json(await extensions.statistics(service, [name]))

    @app.get("/v2/models/{model}/config", **schema.CONFIGURATION)
    @app.get("/v2/models/{model}/versions/{version}/config", **schema.CONFIGURATION_VERSION)
    async def configuration(request: Request) -> Response:
        return _json(extensions.configuration(service, service.model(_name(request))))

    @app.post("/v2/repository/index", **schema.INDEX)
    async def index(request: Request) -> Response:
        return _json(await extensions.index(service, request))

    @app.get("/v2/models/{model}", **schema.MODEL)
    @app.get("/v2/models/{model}/versions/{version}", **schema.MODEL_VERSION)
    async def metadata(request: Request) -> Response:
        return _json(_metadata(service.model(_name(request))))

    @app.get("/v2/models/{model}/ready", **schema.MODEL_READY)
    @app.get("/v2/models/{model}/versions/{version}/ready", **schema.MODEL_VERSION_READY)
    async def model_ready(request: Request) -> Response:
        name = service.model(_name(request)).spec.name
        return _json({"name": name, "ready": service.ready}, 200 if service.ready else 503)


def _name(request: Request) -> str:
    name: str = request.path_params["model"]
    version = request.path_params.get("version", VERSION)
    if version != VERSION:
        raise no_version(name, version)
    return name


def _metadata(model: Model) -> dict[str, Any]:
    notice = {"parameters": {"notice": model.notice}} if model.notice else {}
    return {
        "name": model.spec.name,
        "versions": [VERSION],
        "platform": model.runtime.platform,
        "inputs": [_tensor(tensor) for tensor in model.runtime.inputs],
        "outputs": [_tensor(tensor) for tensor in model.runtime.outputs],
    } | notice


def _tensor(tensor: TensorInfo) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}


def _json(document: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(document), status, media_type="application/json")
