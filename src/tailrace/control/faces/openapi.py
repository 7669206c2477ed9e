"""What `/openapi.json` says of the REST routes, all of it from the methods and their structs."""

from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

import tailrace
from tailrace.control.interface import METHODS, UnknownServiceError
from tailrace.control.methods import ErrorAnswer, Method
from tailrace.errors import TailraceError, UsageError

_EXAMPLES: dict[str, Any] = {
    "id": "triton",
    "url": "http://127.0.0.1:8000/v2/models/resnet50/infer",
    "headers": {"Content-Type": "application/json"},
    "text": '{"inputs": []}',
    "profile": "100..1000/60s",
    "slo": ["p99<100ms"],
    "rate": 200,
    "title": "two workers",
    "note": "after the new driver",
}
"""Of what a body may hold, by name."""
_PARAMETERS = {
    "id": "As `GET /api/services` lists it",
    "name": "As `GET /api/runs` and `GET /api/searches` list it",
}
_OTHER = (
    "Anything else: 401 without the token, 403 for another site's page, 408 and 413 for a body too "
    "slow or too long, 429 after too many wrong tokens, 500 where the machine is at fault, such as "
    "by a full disk"
)
_SCHEMAS = "#/components/schemas/"
_ERROR = {"$ref": f"{_SCHEMAS}{ErrorAnswer.__name__}"}
_JSON = "application/json"


@cache
def document() -> dict[str, Any]:
    """The routes as OpenAPI 3.1 has it."""
    sent = [method.request for method in METHODS if body_fields(method)]
    kinds = [ErrorAnswer, *sent, *(method.answer for method in METHODS)]
    schemas, components = msgspec.json.schema_components(
        kinds, schema_hook=_described, ref_template=f"{_SCHEMAS}{{name}}"
    )
    schema_of = {str(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    paths: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for method in METHODS:
        for path in method.paths:
            named = method.name if path == method.paths[0] else f"{method.name}_all"
            about, _, more = method.about.partition("\n\n")
            operation: dict[str, Any] = {
                "operationId": named,
                "summary": " ".join(about.split()).removesuffix("."),
                "description": " ".join(more.split()),
                "tags": [path.split("/")[1]],
                "parameters": [
                    {
                        "name": name,
                        "in": "path",
                        "required": True,
                        "schema": {"type": "string"},
                        "description": about,
                    }
                    for name, about in _PARAMETERS.items()
                    if f"{{{name}}}" in path
                ],
                "responses": _responses(method, path, schema_of),
            }
            if body_fields(method):
                operation["requestBody"] = _body(method, components)
            paths[f"/api{path}"][method.verb.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tailrace control room",
            "version": tailrace.__version__,
            "description": "Steer the load on services, and read their tail latency back.",
        },
        "paths": paths,
        "components": {
            "schemas": {n: s for n, s in components.items() if not n.endswith("Request")}
        },
    }


@cache
def body_fields(method: Method) -> tuple[msgspec.structs.FieldInfo, ...]:
    """What a body holds of a request of `method`: what its address does not."""
    if method.request is None or method.verb == "GET":
        return ()
    fields = msgspec.structs.fields(method.request)
    return tuple(field for field in fields if f"{{{field.encode_name}}}" not in method.paths[0])


def _body(method: Method, components: dict[str, Any]) -> dict[str, Any]:
    assert method.request is not None
    fields = body_fields(method)
    needed = [field.encode_name for field in fields if field.required]
    whole = components[method.request.__name__]
    # A struct that is sent as it is may have in its body what stands in the address.
    names = whole["properties"] if method.takes_request else [f.encode_name for f in fields]
    schema = {
        **whole,
        "properties": {name: whole["properties"][name] for name in names},
        "required": needed,
    }
    if len(fields) == 1 and needed:
        schema = {"anyOf": [schema, whole["properties"][needed[0]]]}
    names = [field.encode_name for field in fields]
    example = {name: _EXAMPLES[name] for name in names if name in _EXAMPLES}
    return {"required": bool(needed), "content": {_JSON: {"schema": schema, "example": example}}}


def _responses(method: Method, path: str, schema_of: dict[str, Any]) -> dict[str, Any]:
    done: dict[str, Any] = {"description": "Done"}
    if method.status != 204:
        media = "text/event-stream" if method.streams else _JSON
        done["content"] = {media: {"schema": schema_of[str(method.answer)]}}
    errors: defaultdict[int, dict[type[TailraceError], str]] = defaultdict(dict)
    raised = dict(method.errors)
    if "{id}" in path:
        raised.setdefault(UnknownServiceError, "there is none of that id")
    if body_fields(method):
        raised.setdefault(UsageError, "the body cannot be read")
    for kind, when in raised.items():
        errors[kind.http_status][kind] = when
    return {
        str(method.status): done,
        **{str(status): _error(errors[status]) for status in sorted(errors)},
        "default": {"description": _OTHER, "content": {_JSON: {"schema": _ERROR}}},
    }


def _error(kinds: dict[type[TailraceError], str]) -> dict[str, Any]:
    examples = {
        kind.__name__: {"value": {"error": when, "type": kind.__name__}}
        for kind, when in kinds.items()
    }
    return {
        "description": "; ".join(kinds.values()),
        "content": {_JSON: {"schema": _ERROR, "examples": examples}},
    }


def _described(kind: type[Any]) -> dict[str, Any]:
    if kind is not Path:
        raise NotImplementedError
    return {"type": "string", "format": "path"}
