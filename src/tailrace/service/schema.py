"""What `/openapi.json` says of the routes, kept apart so that the routes read as code.

Requests and answers pass no validating layer, so these are written by hand; tests hold them
against what the service answers.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

Schema = dict[str, Any]

_STRING: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_INTEGER: Schema = {"type": "integer"}
_BOOLEAN: Schema = {"type": "boolean"}
_BYTES: Schema = {"type": "string", "format": "binary"}


def _object(optional: Schema | None = None, /, **required: Schema) -> Schema:
    return {
        "type": "object",
        "properties": required | (optional or {}),
        "required": list(required),
    }


def _list(items: Schema, **limits: int) -> Schema:
    return {"type": "array", "items": items, **limits}


def _maybe(schema: Schema) -> Schema:
    return schema | {"type": [schema["type"], "null"]}


def _answer(description: str, content_type: str, schema: Schema) -> Schema:
    return {"description": description, "content": {content_type: {"schema": schema}}}


def _json(description: str, schema: Schema) -> Schema:
    return _answer(description, "application/json", schema)


def _text(description: str) -> Schema:
    return _answer(description, "text/plain", _STRING)


_RESPONSES: dict[str, type[Response]] = {
    "application/json": JSONResponse,
    "text/plain": PlainTextResponse,
    "text/html": HTMLResponse,
    "image/jpeg": Response,
}
_UNAUTHORIZED = "The service has a token, and the request has not"


def _route(
    summary: str,
    answer: Schema,
    errors: dict[int, str] | None = None,
    others: dict[int, Schema] | None = None,
    *,
    open_to_all: bool = False,
    **extra: Any,
) -> dict[str, Any]:
    described = (errors or {}) | ({} if open_to_all else {401: _UNAUTHORIZED})
    refusals = {code: _json(text, _object(error=_STRING)) for code, text in described.items()}
    return {
        "summary": summary,
        # The routes build their answers themselves.
        "response_model": None,
        "response_class": _RESPONSES[next(iter(answer["content"]))],
        "responses": {200: answer, **refusals, **(others or {})},
        "openapi_extra": extra or None,
    }


_MODEL: Schema = {"name": "model", "in": "path", "required": True, "schema": _STRING}
_VERSION: Schema = {"name": "version", "in": "path", "required": True, "schema": _STRING}
_DEADLINE: Schema = {
    "name": "Tailrace-Deadline-Ms",
    "in": "header",
    "schema": _NUMBER,
    "description": "Milliseconds after which the answer is no longer wanted",
}
_TIMED: Schema = {
    "headers": {
        "Server-Timing": {
            "description": "Time in each stage, in ms: receive;dur=0.1204, queue;dur=0.0310, …",
            "schema": _STRING,
        }
    }
}
_NOTICE: Schema = {"type": "string", "description": "What must be known of this model's answers"}
_NO_MODEL = {404: "No such model", 503: "The model is loading; see Retry-After"}
_COMPUTED = {
    404: "No such model",
    413: "Too many bytes or pixels",
    415: "Neither JPEG nor PNG",
    500: "The model failed to compute",
    503: "The queue is full or the model is loading, see Retry-After; or the service stops",
    504: "The deadline passed before the request's turn came",
}

HELLOWORLD = _route("Answers at once, without a model: `curl URL/helloworld`", _text("hello world"))

GPU = _route(
    "Sends a random picture of the data set through the model",
    _text("ok") | _TIMED,
    {
        400: "A bad deadline",
        404: "No such model",
        500: "A picture of the data set cannot be used, or the model failed to compute",
        503: _COMPUTED[503] + "; or there is no data set",
        504: _COMPUTED[504],
    },
    parameters=[
        {
            "name": "model",
            "in": "query",
            "schema": _STRING,
            "description": "The first one served if left out",
        },
        _DEADLINE,
    ],
)

_DETECTED = _object(
    {"notice": _NOTICE},
    model=_STRING,
    detections=_list(
        _object(
            label=_STRING,
            class_id=_INTEGER,
            score=_NUMBER,
            box=_list(_NUMBER, minItems=4, maxItems=4),
        )
    ),
)
_CLASSIFIED = _object(
    {"notice": _NOTICE},
    model=_STRING,
    classes=_list(_object(label=_STRING, class_id=_INTEGER, score=_maybe(_NUMBER))),
)

PREDICT = _route(
    "Finds what is in a picture",
    _json(
        "Detections or classes, highest score first; box is xmin, ymin, xmax, ymax in pixels",
        {"anyOf": [_DETECTED, _CLASSIFIED]},
    )
    | _TIMED,
    _COMPUTED
    | {400: "An empty, truncated or broken image, a bad threshold or deadline, a bad form"},
    description="`curl --data-binary @picture.jpg URL/predict/MODEL` ",
    parameters=[
        _MODEL,
        {
            "name": "threshold",
            "in": "query",
            "schema": _NUMBER | {"minimum": 0, "maximum": 1, "default": 0},
            "description": "Lowest score to answer",
        },
        _DEADLINE,
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

PREDICT_PAGE = _route(
    "A page to drop a picture on, for a browser",
    _answer("The page", "text/html", _STRING),
    _NO_MODEL,
    parameters=[_MODEL],
)

PREDICT_EXAMPLE = _route(
    "A picture to try the page with: one of a few drawn scenes of shapes",
    _answer("The picture", "image/jpeg", {"type": "string", "format": "binary"}),
    _NO_MODEL,
    parameters=[_MODEL],
)

LOADGEN_PREDICT = _route(
    "One sample of MLPerf's LoadGen over the network, through the first model served",
    _json("What `/predict/{model}` answers, as text", _object(result=_STRING)) | _TIMED,
    _COMPUTED | {400: "No JSON, no query, a broken image or deadline"},
    parameters=[_DEADLINE],
    requestBody={
        "required": True,
        "content": {
            "application/json": {
                "schema": _object(
                    query={"description": "A JPEG or PNG in base64; anything for the null model"}
                )
            }
        },
    },
)

LOADGEN_NAME = _route(
    "Name of the system and node for MLPerf's LoadGen over the network",
    _json("It contains `Network SUT`", _object(name=_STRING)),
)

METRICS = _route(
    "Counters and histograms of all worker processes, for Prometheus",
    _text("Prometheus's text format"),
)

SERVER = _route(
    "Name and version of the server, and how the service was set up",
    _json(
        "The server",
        _object(
            name=_STRING,
            version=_STRING,
            extensions=_list(_STRING),
            service=_object({"notice": _maybe(_NOTICE)}, models=_list(_STRING)),
        ),
    ),
)

LIVE = _route(
    "Whether the process runs", _json("It does", _object(live=_BOOLEAN)), open_to_all=True
)

READY = _route(
    "Whether every model is warm",
    _json("They are", _object(ready=_BOOLEAN)),
    others={503: _json("Not yet, or no longer", _object(ready=_BOOLEAN))},
    open_to_all=True,
)

_TENSORS = _list(_object(name=_STRING, datatype=_STRING, shape=_list(_INTEGER)))
_METADATA = _json(
    "The model",
    _object(
        {"parameters": _object({"notice": _NOTICE})},
        name=_STRING,
        versions=_list(_STRING),
        platform=_STRING,
        inputs=_TENSORS,
        outputs=_TENSORS,
    ),
)
_MODEL_READY = _object(name=_STRING, ready=_BOOLEAN)
_NOT_YET = _json("Not yet, or no longer", {"anyOf": [_MODEL_READY, _object(error=_STRING)]})


def _model(*parameters: Schema) -> dict[str, Any]:
    return _route("What a model takes and gives", _METADATA, _NO_MODEL, parameters=parameters)


def _model_ready(*parameters: Schema) -> dict[str, Any]:
    return _route(
        "Whether a model is warm",
        _json("It is", _MODEL_READY),
        {404: "No such model"},
        {503: _NOT_YET},
        parameters=parameters,
    )


MODEL, MODEL_VERSION = _model(_MODEL), _model(_MODEL, _VERSION)
MODEL_READY, MODEL_VERSION_READY = _model_ready(_MODEL), _model_ready(_MODEL, _VERSION)

_SHAPE = _list(_INTEGER | {"minimum": 1})
_DATA: Schema = {"type": "array", "description": "Elements, flat in row-major order or nested"}
_INFER_REQUEST = _object(
    {
        "id": _maybe(_STRING),
        "parameters": _maybe(
            _object(
                {
                    "binary_data_output": _maybe(_BOOLEAN),
                    "timeout": _maybe(_INTEGER)
                    | {"description": "Microseconds after which the answer is no longer wanted"},
                }
            )
        ),
        "outputs": _maybe(
            _list(
                _object(
                    {
                        "parameters": _maybe(
                            _object(
                                {
                                    "binary_data": _maybe(_BOOLEAN),
                                    "classification": _maybe(_INTEGER)
                                    | {"description": "How many of the highest elements of a row"},
                                }
                            )
                        )
                    },
                    name=_STRING,
                )
            )
        ),
    },
    inputs=_list(
        _object(
            {
                "data": _DATA,
                "parameters": _maybe(_object({"binary_data_size": _maybe(_INTEGER)})),
            },
            name=_STRING,
            shape=_SHAPE,
            datatype=_STRING,
        ),
        minItems=1,
    ),
)
_INFERRED = _object(
    {"id": _STRING, "parameters": _object({"notice": _NOTICE})},
    model_name=_STRING,
    model_version=_STRING,
    outputs=_list(
        _object(
            {
                "data": _list({"type": ["number", "boolean", "string", "null"]}),
                "parameters": _object(binary_data_size=_INTEGER),
            },
            name=_STRING,
            datatype=_STRING,
            shape=_list(_INTEGER),
        )
    ),
)
_BINARY: Schema = {
    "schema": _BYTES
    | {"description": "The JSON, then the bytes of the binary tensors, in its order"}
}


def _infer(*parameters: Schema) -> dict[str, Any]:
    answer = _json("The outputs; a number that JSON cannot say is null", _INFERRED) | _TIMED
    answer["content"]["application/octet-stream"] = _BINARY
    length = {"description": "Length of the JSON before binary tensors", "schema": _INTEGER}
    answer["headers"] = answer["headers"] | {"Inference-Header-Content-Length": length}
    return _route(
        "An inference on tensors, by the Open Inference Protocol v2",
        answer,
        _COMPUTED
        | {
            400: "No inference request, or not for the tensors of this model",
            413: "Too many bytes",
            415: "The body is compressed in another way than gzip or deflate",
        },
        parameters=[
            *parameters,
            {
                "name": "Inference-Header-Content-Length",
                "in": "header",
                "schema": _INTEGER | {"minimum": 0},
                "description": "Length of the JSON, if binary tensors follow; 0 if the body is the "
                "bytes of the only input",
            },
            _DEADLINE,
        ],
        requestBody={
            "required": True,
            "content": {
                "application/json": {"schema": _INFER_REQUEST},
                "application/octet-stream": _BINARY,
            },
        },
    )


INFER, INFER_VERSION = _infer(_MODEL), _infer(_MODEL, _VERSION)


_TIMES = _object(count=_INTEGER, ns=_INTEGER)
_STATISTICS = _json(
    "What was counted since the service began, all workers together",
    _object(
        model_stats=_list(
            _object(
                name=_STRING,
                version=_STRING,
                last_inference=_INTEGER | {"description": "ms since 1970; 0 if there was none"},
                inference_count=_INTEGER | {"description": "Rows of the inferences"},
                execution_count=_INTEGER | {"description": "Inferences that succeeded"},
                inference_stats=_object(
                    success=_TIMES,
                    fail=_TIMES,
                    queue=_TIMES,
                    compute_input=_TIMES,
                    compute_infer=_TIMES,
                    compute_output=_TIMES,
                    cache_hit=_TIMES,
                    cache_miss=_TIMES,
                ),
                batch_stats=_list(_object()),
            )
        )
    ),
)


def _statistics(*parameters: Schema) -> dict[str, Any]:
    return _route(
        "A model's counters, by the names of Triton's statistics extension",
        _STATISTICS,
        _NO_MODEL,
        parameters=parameters,
    )


STATISTICS, STATISTICS_VERSION = _statistics(_MODEL), _statistics(_MODEL, _VERSION)
ALL_STATISTICS = _route("The counters of all models, by Triton's names", _STATISTICS)

_CONFIGURED: Schema = {"name": _STRING, "data_type": _STRING, "dims": _list(_INTEGER)}
_CONFIGURATION = _object(
    {
        "dynamic_batching": _object(
            preferred_batch_size=_list(_INTEGER), max_queue_delay_microseconds=_INTEGER
        )
    },
    name=_STRING,
    platform=_STRING,
    backend=_STRING,
    version_policy=_object(latest=_object(num_versions=_INTEGER)),
    max_batch_size=_INTEGER
    | {"description": "Rows of a request at most; 0 if the tensors have no such dimension"},
    input=_list(
        _object(
            **_CONFIGURED,
            format=_STRING,
            is_shape_tensor=_BOOLEAN,
            allow_ragged_batch=_BOOLEAN,
            optional=_BOOLEAN,
        )
    ),
    output=_list(_object(**_CONFIGURED, label_filename=_STRING, is_shape_tensor=_BOOLEAN)),
    instance_group=_list(_object(name=_STRING, kind=_STRING, count=_INTEGER, gpus=_list(_INTEGER))),
    model_transaction_policy=_object(decoupled=_BOOLEAN),
    parameters=_object(),
)


def _configuration(*parameters: Schema) -> dict[str, Any]:
    return _route(
        "How a model is served, as Triton's model configuration extension says it",
        _json("The configuration", _CONFIGURATION),
        _NO_MODEL,
        parameters=parameters,
    )


CONFIGURATION, CONFIGURATION_VERSION = _configuration(_MODEL), _configuration(_MODEL, _VERSION)

INDEX = _route(
    "The models and whether they are ready, as Triton's model repository extension lists them",
    _json(
        "The models",
        _list(_object(name=_STRING, version=_STRING, state=_STRING, reason=_STRING)),
    ),
    {400: "No request for an index"},
    requestBody={
        "required": False,
        "content": {"application/json": {"schema": _object({"ready": _BOOLEAN})}},
    },
)
