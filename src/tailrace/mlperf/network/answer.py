"""What comes of one HTTP request: an answer, or a failure with its reason."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from tailrace.errors import TailraceError

_LONGEST_MESSAGE = 200


class Answer(NamedTuple):
    """A whole HTTP answer."""

    status: int
    body: bytes
    json_length: bytes | None = None
    """The header Inference-Header-Content-Length, as it came."""


class Failure(NamedTuple):
    """Why a request has no answer, or none of use.

    `kind` is one of the load generator's (tailrace.load.measure.failures).
    """

    kind: str
    message: str

    @property
    def reason(self) -> str:
        """Both, as one line; the same for all requests that fail alike."""
        return f"{self.kind}: {self.message}"


class ExchangeError(TailraceError):
    """A request that was waited for has failed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def http_failure(authority: str, answer: Answer) -> Failure | None:
    """What an answer's status says went wrong, in the server's own words if it has any; None if
    it is a success (2xx)."""
    if 200 <= answer.status < 300:
        return None
    words = f": {said}" if (said := error_text(answer.body)) else ""
    return Failure(f"http_{answer.status // 100}xx", f"{authority} answered {answer.status}{words}")


def error_text(body: bytes) -> str:
    """The message in the body `{"error": message}`, shortened; else empty."""
    try:
        return shortened(msgspec.json.decode(body, type=_ErrorBody).error)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return ""


def shortened(text: str) -> str:
    """Text of others, on one line of bearable length."""
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[: _LONGEST_MESSAGE - 1]}…"


class _ErrorBody(msgspec.Struct):
    error: str = ""
