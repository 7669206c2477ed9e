"""What `/openapi.json` says of the REST routes, kept apart so that the routes read as code.

Bodies and answers are read and written by msgspec, from the very types that are described here.
"""

from typing import Any

import msgspec

from tailrace.control.faces.answers import ErrorAnswer
from tailrace.control.interface import ServiceConfig
from tailrace.control.json_codec import schema

_ERRORS = {
    400: ("A value cannot be used", "UsageError", "the rate must not be negative, as -1 is"),
    403: (
        "The configuration forbids it, or another site's page asked for it",
        "NotAllowedError",
        "700 requests a second are more than this control room's cap of 500",
    ),
    404: ("There is none of that name", "UnknownServiceError", "no service 'x'; there are: triton"),
    409: (
        "Not in the state that the service is in",
        "StateError",
        "service 'triton' is running already",
    ),
}
_OTHER = (
    "Anything else: 401 without the token, 408 and 413 for a body too slow or too long, 429 after "
    "too many wrong tokens, 500 where the machine is at fault, such as by a full disk"
)

CONFIG_EXAMPLE: dict[str, Any] = {
    "id": "triton",
    "url": "http://127.0.0.1:8000/v2/models/resnet50/infer",
    "headers": {"Content-Type": "application/json"},
    "text": '{"inputs": []}',
    "profile": "100..1000/60s",
    "slo": ["p99<100ms"],
}


class Rate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Requests a second."""

    rate: float


class StartRate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Requests a second; None is the service's own profile."""

    rate: float | None = None


class GivenProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An expression of `tailrace load --profile`."""

    profile: str


class GivenLabel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is left out, or null, stays as it is."""

    title: str | None = None
    note: str | None = None


def answers(
    kind: Any, *errors: int, status: int = 200, media_type: str = "application/json"
) -> dict[int | str, dict[str, Any]]:
    """The answers of a route: `kind` (None: no content) with `status`, and those errors."""
    content = {"content": {media_type: {"schema": schema(kind)}}} if kind is not None else {}
    described: dict[int | str, dict[str, Any]] = {status: {"description": "Done", **content}}
    for error in errors:
        about, name, line = _ERRORS[error]
        described[error] = _error(about, {"error": line, "type": name})
    described["default"] = _error(_OTHER, None)
    return described


def body(kind: Any, example: Any, *, required: bool = True) -> dict[str, Any]:
    """The body that a route takes."""
    content = {"application/json": {"schema": schema(kind), "example": example}}
    return {"requestBody": {"required": required, "content": content}}


def change_body() -> dict[str, Any]:
    """A ServiceConfig without its id, which the address has."""
    described = body(ServiceConfig, {k: v for k, v in CONFIG_EXAMPLE.items() if k != "id"})
    config = described["requestBody"]["content"]["application/json"]["schema"]
    config["required"] = [name for name in config["required"] if name != "id"]
    return described


def _error(about: str, example: dict[str, str] | None) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schema(ErrorAnswer)}
    if example is not None:
        content["example"] = example
    return {"description": about, "content": {"application/json": content}}
