"""What `/openapi.json` says of the routes, kept apart so that the routes read as code.

Requests and answers pass no validating layer, so these are written by hand; a test holds them
against what the service answers.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, PlainTextResponse

_ERROR = {
    "application/json": {
        "schema": {"type": "object", "properties": {"error": {"type": "string"}}},
    }
}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_STRING = {"type": "string"}
_NUMBER = {"type": "number"}
_INTEGER = {"type": "integer"}
_BOOLEAN = {"type": "boolean"}
_BYTES = {"type": "string", "format": "binary"}
_TENSORS = _list(_object(name=_STRING, datatype=_STRING, shape=_list(_INTEGER)))
_DETECTION = _object(label=_STRING, class_id=_INTEGER, score=_NUMBER, box=_list(_NUMBER))
_MODEL_PARAMETER = {"name": "model", "in": "path", "required": True, "schema": _STRING}
_TIMING = {
    "Server-Timing": {
        "description": "Time in each stage, in ms: receive;dur=0.120, queue;dur=0.031, …",
        "schema": _STRING,
    }
}


def _json(description: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": properties}}}


def _text(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"text/plain": {"schema": _STRING}}}


def _errors(**descriptions: str) -> dict[int | str, dict[str, Any]]:
    return {
        int(status.removeprefix("http_")): {"description": description, "content": _ERROR}
        for status, description in descriptions.items()
    }


def _route(
    summary: str,
    answer: dict[str, Any],
    errors: dict[int | str, dict[str, Any]] | None = None,
    **extra: Any,
) -> dict[str, Any]:
    # `response_model=None`: the routes build their answers themselves.
    return {
        "summary": summary,
        "response_model": None,
        "response_class": PlainTextResponse if "text/plain" in answer["content"] else JSONResponse,
        "responses": {200: answer, **(errors or {})},
        "openapi_extra": extra or None,
    }


HELLOWORLD = _route("Answers at once, without a model: `curl URL/helloworld`", _text("hello world"))

GPU = _route(
    "Sends a random picture of the data set through the model",
    _text("ok") | {"headers": _TIMING},
    _errors(
        http_404="No such model",
        http_503="The queue is full, the model is loading, or there is no data set",
    ),
    parameters=[
        {
            "name": "model",
            "in": "query",
            "schema": _STRING,
            "description": "The first one served if left out",
        }
    ],
)

PREDICT = _route(
    "Finds what is in a picture",
    _json(
        "Detections, highest score first; box is xmin, ymin, xmax, ymax in pixels",
        _object(model=_STRING, detections=_list(_DETECTION)),
    )
    | {"headers": _TIMING},
    _errors(
        http_400="An empty, truncated or broken image, a bad threshold, a bad form",
        http_404="No such model",
        http_413="Too many bytes or pixels",
        http_415="Neither JPEG nor PNG",
        http_503="The queue is full, or the model is loading; see Retry-After",
    ),
    description="`curl --data-binary @picture.jpg URL/predict/MODEL` ",
    parameters=[
        _MODEL_PARAMETER,
        {
            "name": "threshold",
            "in": "query",
            "schema": _NUMBER | {"minimum": 0, "maximum": 1, "default": 0},
            "description": "Lowest score to answer",
        },
    ],
    requestBody={
        "required": True,
        "content": {
            "image/jpeg": {"schema": _BYTES},
            "image/png": {"schema": _BYTES},
            "multipart/form-data": {"schema": _object(file=_BYTES)},
        },
    },
)

SERVER = _route(
    "Name and version of the server",
    _json("The server", _object(name=_STRING, version=_STRING, extensions=_list(_STRING))),
)

LIVE = _route("Whether the process runs", _json("It does", _object(live=_BOOLEAN)))

READY = _route(
    "Whether every model is warm",
    _json("They are", _object(ready=_BOOLEAN)),
    {503: _json("Not yet, or no longer", _object(ready=_BOOLEAN))},
)

MODEL = _route(
    "What a model takes and gives",
    _json(
        "The model",
        _object(
            name=_STRING,
            versions=_list(_STRING),
            platform=_STRING,
            inputs=_TENSORS,
            outputs=_TENSORS,
        ),
    ),
    _errors(http_404="No such model", http_503="The model is loading"),
    parameters=[_MODEL_PARAMETER],
)

MODEL_READY = _route(
    "Whether a model is warm",
    _json("It is", _object(name=_STRING, ready=_BOOLEAN)),
    _errors(http_404="No such model")
    | {503: _json("Not yet, or no longer", _object(name=_STRING, ready=_BOOLEAN))},
    parameters=[_MODEL_PARAMETER],
)
