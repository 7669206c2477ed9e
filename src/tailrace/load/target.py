"""What is sent and where: the target's URL and the request bytes, encoded once before a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from tailrace import __version__
from tailrace.errors import UsageError

_CONTENT_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".json": "application/json",
    ".txt": "text/plain",
}


class Target(msgspec.Struct, frozen=True):
    """Where requests go, as the parts of an http:// URL."""

    host: str
    port: int
    path: str
    authority: str
    """What stands in the Host header."""


class Body(msgspec.Struct, frozen=True):
    """A request body and the media type it is sent as."""

    content: bytes
    content_type: str


def parse_target(url: str) -> Target:
    """The parts of `url`.

    Raises:
        UsageError: it is no http:// URL with a host.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{url!r} is not a URL: {error}") from None
    if parts.scheme == "https":
        raise UsageError(f"{url!r}: only http:// targets can be put under load so far")
    if parts.scheme != "http" or not parts.hostname:
        raise UsageError(f"{url!r} is not a URL to load: write http://HOST[:PORT]/PATH")
    if not url.isascii() or any(char.isspace() for char in url):
        raise UsageError(f"{url!r} has spaces or letters beyond ASCII: percent-encode them")
    path = parts.path or "/"
    return Target(
        host=parts.hostname,
        port=port or 80,
        path=f"{path}?{parts.query}" if parts.query else path,
        authority=parts.netloc.rpartition("@")[2],
    )


def read_bodies(path: Path) -> list[Body]:
    """The request bodies in a file, or in the files of a directory in the order of their names.

    Raises:
        UsageError: there is nothing to read at `path`.
    """
    if path.is_dir():
        files = sorted(
            file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")
        )
        if not files:
            raise UsageError(f"no files to send in the directory {path}")
    else:
        files = [path]
    try:
        return [
            Body(
                file.read_bytes(),
                _CONTENT_TYPES.get(file.suffix.lower(), "application/octet-stream"),
            )
            for file in files
        ]
    except OSError as error:
        raise UsageError(f"cannot read the body {error.filename}: {error.strerror}") from None


def parse_header(text: str) -> tuple[str, str]:
    """(name, value) of `Name: value`.

    Raises:
        UsageError: it has no colon, or what no header may contain.
    """
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or any(char in text for char in "\r\n\0"):
        raise UsageError(f"{text!r} is not a header: write 'Name: value'")
    return name.strip(), value.strip()


def encode_requests(
    target: Target, method: str, headers: Mapping[str, str], bodies: Sequence[Body]
) -> list[bytes]:
    """The HTTP/1.1 requests (RFC 9112) of a run, one a body, or a single one without body.

    Raises:
        UsageError: the method or a header cannot be written in HTTP.
    """
    if not method.isascii() or not method.isalpha():
        raise UsageError(f"{method!r} is not an HTTP method")
    encoded = []
    none: Sequence[Body | None] = [None]
    for body in bodies or none:
        fields = {"host": ("Host", target.authority)}
        fields["user-agent"] = ("User-Agent", f"tailrace/{__version__}")
        fields["accept"] = ("Accept", "*/*")
        if body is not None:
            fields["content-type"] = ("Content-Type", body.content_type)
        fields |= {name.lower(): (name, value) for name, value in headers.items()}
        if body is not None:
            fields["content-length"] = ("Content-Length", str(len(body.content)))
        lines = [f"{method.upper()} {target.path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in fields.values()]
        try:
            head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        except UnicodeEncodeError as error:
            raise UsageError(f"a header has a character HTTP cannot carry: {error}") from None
        encoded.append(head + (body.content if body is not None else b""))
    return encoded
