"""Why requests fail, in words: `KIND: REASON`, or a kind alone where no more is known.

The kinds are `connect`, `timeout`, `reset`, `protocol`, `http_3xx`, `http_4xx`, `http_5xx`,
`unexpected` and `aborted`; an answer with another status than asked for is `http: 404`, whose kind
is `http_4xx`.
"""

import errno
import os
import socket
import ssl
from collections.abc import Mapping

import httptools

from tailrace.plain import plain_lines

MOST_REASONS = 64
"""What would be one reason more counts under its kind alone."""
_EXAMPLE_BYTES = 200

_NETWORK = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ETIMEDOUT: "timed out",
    errno.EHOSTUNREACH: "no route to the host",
    errno.ENETUNREACH: "network unreachable",
    errno.EADDRNOTAVAIL: "no local port is free",
    errno.EMFILE: "too many open files",
    errno.ENOENT: "no such socket",
}


def kind_of(reason: str) -> str:
    """The kind that a reason belongs to."""
    kind, _, detail = reason.partition(": ")
    # A status beyond 599 is taken for one of 5xx (RFC 9110, 15).
    return f"http_{min(detail[0], '5')}xx" if kind == "http" else kind


def kinds_of(reasons: Mapping[str, int]) -> dict[str, int]:
    """Counts by kind, of counts by reason."""
    kinds: dict[str, int] = {}
    for reason, count in reasons.items():
        kind = kind_of(reason)
        kinds[kind] = kinds.get(kind, 0) + count
    return kinds


def count_failure(reasons: dict[str, int], reason: str, count: int = 1) -> None:
    """Add to counts by reason, which never become more than MOST_REASONS and the kinds."""
    if reason not in reasons and len(reasons) >= MOST_REASONS:
        reason = kind_of(reason)
    reasons[reason] = reasons.get(reason, 0) + count


def describe_failures(reasons: Mapping[str, int]) -> str:
    """`191 http: 404, 3 timeout: no answer`, the most frequent first; or `none`."""
    ordered = sorted(reasons.items(), key=lambda item: -item[1])
    return ", ".join(f"{count:,} {reason}" for reason, count in ordered) or "none"


def connect_reason(error: BaseException) -> str:
    """Why a connection could not be opened, from what opening it raised."""
    match error:
        case TimeoutError() if error.errno is None:
            # Its argument, if any, is what took too long.
            said = " ".join((*error.args, "timed out"))
        case ssl.SSLCertVerificationError():
            said = f"certificate not trusted ({error.verify_message})"
        case ssl.SSLError():
            said = f"TLS failed ({(error.reason or 'unknown').lower().replace('_', ' ')})"
        case socket.gaierror() | UnicodeError():
            said = "name not known"
        case ConnectionError() if error.errno is None:
            # asyncio's own, of a handshake that the server breaks off.
            said = "reset"
        case OSError() if error.errno is not None:
            said = _NETWORK.get(error.errno) or os.strerror(error.errno).lower()
        case _:
            said = type(error).__name__
    return f"connect: {said}"


def answer_reason(status: int) -> str:
    """Why an answer of this status is none that was expected."""
    return f"http: {status}" if status >= 300 else f"unexpected: status {status}"


def protocol_reason(answer: bytes, error: Exception) -> str:
    """Why an answer that begins so is not one of HTTP/1.1, and what it is if that can be told."""
    # An HTTP/2 server begins with SETTINGS (RFC 9113, 3.4): a frame of type 4 on stream 0.
    if (answer[3:4] == b"\4" and answer[5:9] == bytes(4)) or answer.startswith(b"HTTP/2"):
        return "protocol: answers HTTP/2: Tailrace speaks HTTP/1.1"
    if answer[:2] in (b"\x15\x03", b"\x16\x03"):
        return "protocol: answers TLS: write https://"
    if not answer.startswith(b"HTTP/"):
        return "protocol: does not answer HTTP"
    return f"protocol: {error}"


def example_of(answer: bytes) -> str:
    """Status line and first bytes of the body of an answer, of which `answer` is the beginning;
    what is not text is escaped.
    """
    head = answer.lstrip(b"\r\n").partition(b"\n")[0]
    body = _Body()
    try:
        httptools.HttpResponseParser(body).feed_data(answer)
    except httptools.HttpParserError:
        # Cut off, or no HTTP at all.
        if not answer.startswith(b"HTTP/"):
            head, body.start = b"", answer
    lines = [_text(part[:_EXAMPLE_BYTES].rstrip()) for part in (head, body.start)]
    return "\n".join(filter(None, lines))


class _Body:
    def __init__(self) -> None:
        self.start = b""

    def on_body(self, body: bytes) -> None:
        if len(self.start) < _EXAMPLE_BYTES:
            self.start += body


def _text(data: bytes) -> str:
    return plain_lines(data.decode(errors="backslashreplace").replace("\r\n", "\n"))
