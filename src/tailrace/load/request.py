"""What is sent: requests encoded once before a run."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from tailrace import __version__
from tailrace.errors import UsageError
from tailrace.load.target import Target

COUNTER = b"{{counter}}"
"""In a body: replaced by the request's number in the run, from 0."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTENT_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".json": "application/json",
    ".txt": "text/plain",
}


class Body(msgspec.Struct, frozen=True):
    """A request body and the media type it is sent as."""

    content: bytes
    content_type: str


class Request(msgspec.Struct, frozen=True):
    """One encoded request.

    `pieces` is its body cut at each COUNTER; without one, `head` is the whole request and `pieces`
    is empty. With one, `head` ends where the value of Content-Length belongs.
    """

    endpoint: int
    """Number of the target it goes to."""
    head: bytes
    pieces: tuple[bytes, ...] = ()
    no_body: bool = False
    """The answer has no body whatever its headers say: the method is HEAD (RFC 9110, 9.3.2)."""

    def render(self, number: int) -> bytes:
        """The bytes of request `number` of the run."""
        body = str(number).encode().join(self.pieces)
        return b"%s%d\r\n\r\n%s" % (self.head, len(body), body)


def read_bodies(path: Path) -> list[Body]:
    """The request bodies in a file, or in the files of a directory in the order of their names.

    Raises:
        UsageError: there is nothing to read at `path`.
    """
    try:
        if path.is_dir():
            files = sorted(
                file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")
            )
            if not files:
                raise UsageError(f"no files to send in the directory {path}")
        else:
            files = [path]
        return [
            Body(
                file.read_bytes(),
                _CONTENT_TYPES.get(file.suffix.lower(), "application/octet-stream"),
            )
            for file in files
        ]
    except (OSError, ValueError) as error:
        # ValueError: a null byte in the name.
        where = getattr(error, "filename", None) or path
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read the body {where}: {reason}") from None


def parse_header(text: str) -> tuple[str, str]:
    """(name, value) of `Name: value`.

    Raises:
        UsageError: it has no colon.
    """
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise UsageError(f"{text!r} is not a header: write 'Name: value'")
    return name.strip(), value.strip()


def encode_requests(
    target: Target,
    method: str,
    headers: Mapping[str, str],
    bodies: Sequence[Body],
    endpoint: int = 0,
) -> list[Request]:
    """The HTTP/1.1 requests (RFC 9112) to one target, one a body, or a single one without body.

    Raises:
        UsageError: the method or a header cannot be written in HTTP.
    """
    if not method.isascii() or not method.isalpha():
        raise UsageError(f"{method!r} is not an HTTP method")
    none: Sequence[Body | None] = [None]
    return [_encode(target, method.upper(), headers, body, endpoint) for body in bodies or none]


def _encode(
    target: Target, method: str, headers: Mapping[str, str], body: Body | None, endpoint: int
) -> Request:
    fields = {
        "host": ("Host", target.authority),
        "user-agent": ("User-Agent", f"tailrace/{__version__}"),
        "accept": ("Accept", "*/*"),
    }
    if body is not None:
        fields["content-type"] = ("Content-Type", body.content_type)
    for name, value in headers.items():
        # RFC 9110, 5.1 and 5.5; anything else would end the header early.
        if not _TOKEN.fullmatch(name) or any(char in value for char in "\r\n\0"):
            raise UsageError(f"{name!r}: {value!r} is not a header")
    fields |= {name.lower(): (name, value) for name, value in headers.items()}
    # Ours: a wrong one would shift every request behind it.
    fields.pop("content-length", None)
    lines = [f"{method} {target.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields.values()]
    try:
        head = "\r\n".join([*lines, ""]).encode("latin-1")
    except UnicodeEncodeError as error:
        raise UsageError(f"a header has a character HTTP cannot carry: {error}") from None
    no_body = method == "HEAD"
    if body is None:
        return Request(endpoint, head + b"\r\n", no_body=no_body)
    head += b"Content-Length: "
    pieces = tuple(body.content.split(COUNTER))
    template = Request(endpoint, head, pieces, no_body)
    return template if len(pieces) > 1 else Request(endpoint, template.render(0), (), no_body)
