"""Why a request is refused. Each error carries the HTTP status it is answered with."""

from __future__ import annotations

from typing import ClassVar

from tailrace.errors import TailraceError


class RequestError(TailraceError):
    """The request cannot be answered as it stands."""

    status: ClassVar[int] = 400


class BodyTooLargeError(RequestError):
    """The body is longer than the service takes."""

    status = 413


class UnknownModelError(RequestError):
    """No model of this name is served here."""

    status = 404


class ClientGoneError(RequestError):
    """The client has closed its connection. Nobody sees the status; nginx logs the same."""

    status = 499


class NotReadyError(RequestError):
    """The model is not loaded yet."""

    status = 503


class QueueFullError(RequestError):
    """As many requests wait as may."""

    status = 503


class NoPicturesError(RequestError):
    """The service has no pictures of its own to send through the model."""

    status = 503


class PictureError(TailraceError):
    """A picture of the service's own data set cannot be used."""
