"""Why a request is refused. Each error carries the HTTP status it is answered with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec
from starlette.responses import Response

from tailrace.errors import TailraceError
from tailrace.models.images import (
    ImageError,
    ImageTooLargeError,
    NotAnImageError,
    TooManyPixelsError,
)

CODINGS = ("gzip", "deflate")
"""How a body may be compressed."""

_RETRY_AFTER_S = "1"
_IMAGE_STATUS: Mapping[type[Exception], int] = {
    ImageError: 400,
    NotAnImageError: 415,
    ImageTooLargeError: 413,
    TooManyPixelsError: 413,
}


class RequestError(TailraceError):
    """The request cannot be answered as it stands."""

    status: ClassVar[int] = 400


class BodyTooLargeError(RequestError):
    """The body is longer than the service takes."""

    status = 413


class EncodedBodyError(RequestError):
    """The body is compressed in a way that is not known here."""

    status = 415


class UnknownModelError(RequestError):
    """No model of this name is served here."""

    status = 404


class ClientGoneError(RequestError):
    """The client has closed its connection. Nobody sees the status; nginx logs the same."""

    status = 499


class NotReadyError(RequestError):
    """The model is not loaded yet."""

    status = 503


class BusyError(RequestError):
    """Too much is at hand for one request more."""

    status = 503


class QueueFullError(RequestError):
    """As many requests wait as may."""

    status = 503


class DeadlineError(RequestError):
    """The time that the client gave has passed; nothing was inferred."""

    status = 504


class NoPicturesError(RequestError):
    """The service has no pictures of its own to send through the model."""

    status = 503


class PictureError(TailraceError):
    """A picture of the service's own data set cannot be used."""


def refusal(error: TailraceError) -> Response:
    """The answer to a request that ended in `error`."""
    if isinstance(error, RequestError):
        status = error.status
    else:
        status = _IMAGE_STATUS.get(type(error), 500)
    message = str(error)
    headers: dict[str, str] = {}
    if isinstance(error, QueueFullError | NotReadyError | BusyError):
        headers["Retry-After"] = _RETRY_AFTER_S
    elif isinstance(error, EncodedBodyError):
        headers["Accept-Encoding"] = ", ".join(CODINGS)
    elif isinstance(error, TooManyPixelsError):
        message += " (tailrace serve --max-pixels)"
    return refuse(status, message, headers)


def refuse(status: int, message: str, headers: Mapping[str, str]) -> Response:
    """A refusal: `{"error": message}`."""
    return Response(
        msgspec.json.encode({"error": message}),
        status,
        media_type="application/json",
        headers=dict(headers),
    )
