"""What is sent: bodies from files, folders and text, and requests, encoded once before a run.

One rule for folders: a folder stands for the files in it and in its sub-folders, in the order of
their paths, hidden ones passed over. If there are pictures among them, it stands for the pictures
alone: data sets keep their annotations beside them. One rule for links: they are followed, to files
as to folders, and what they lead to must be allowed as if it had been named.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from tailrace import __version__
from tailrace.errors import UsageError
from tailrace.load.client.target import Target
from tailrace.untrusted import UnreadableError, open_file

NO_BODY = 1
"""The answer has no body, whatever its headers say: the method is HEAD (RFC 9110, 9.3.2)."""
LAST = 2
"""It is the last one on its connection: it says `Connection: close` (RFC 9112, 9.6)."""
AGAIN = 4
"""It may be sent once more if the connection that it was sent on turns out to be closed: its method
is idempotent, or it has a key that makes it so (RFC 9110, 9.2.2)."""

COUNTER = b"{{counter}}"
"""In a body: replaced by the request's number in the run, from 0."""
MAX_BYTES = 1 << 30
"""All bodies together: every load worker keeps them in memory."""
MAX_FILES = 200_000
_SHOWN = 3
_CONTENT_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".json": "application/json",
    ".txt": "text/plain",
}
_OTHER = "application/octet-stream"

_IDEMPOTENT = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
Headers = Sequence[tuple[str, str]]
"""(name, value) of each line, in their order; a name may come again."""


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
    manner: int = 0
    """NO_BODY, LAST and AGAIN, those that hold."""

    def render(self, number: int) -> bytes:
        """The bytes of request `number` of the run."""
        body = str(number).encode().join(self.pieces)
        return b"%s%d\r\n\r\n%s" % (self.head, len(body), body)


def parse_header(text: str) -> tuple[str, str]:
    """(name, value) of `Name: value`.

    Raises:
        UsageError: it has no colon.
    """
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise UsageError(f"{text!r} is not a header: write 'Name: value'")
    return name.strip(), value.strip()


def merge_headers(lines: Headers) -> dict[str, str]:
    """Lines as a mapping, where a name may stand but once: those of the same name become one, its
    values in their order, which means the same (RFC 9110, 5.3; RFC 6265, 5.4 for cookies).
    """
    merged: dict[str, str] = {}
    names: dict[str, str] = {}
    for name, value in lines:
        known = names.setdefault(name.lower(), name)
        separator = "; " if known.lower() == "cookie" else ", "
        merged[known] = f"{merged[known]}{separator}{value}" if known in merged else value
    return merged


def _check_headers(headers: Headers) -> None:
    for name, value in headers:
        # RFC 9110, 5.1 and 5.5; anything else would end the header early.
        if not _TOKEN.fullmatch(name) or any(char in value for char in "\r\n\0"):
            raise UsageError(f"{name!r}: {value!r} is not a header")
        try:
            value.encode("latin-1")
        except UnicodeEncodeError as error:
            raise UsageError(f"a header has a character HTTP cannot carry: {error}") from None
    names = [name.lower() for name, _ in headers]
    if "transfer-encoding" in names:
        # RFC 9112, 6.1: never beside a Content-Length, which ends every body here.
        raise UsageError("Transfer-Encoding cannot be given: a body is sent with its length")
    if names.count("host") > 1:
        # RFC 9112, 3.2: a server must refuse it.
        raise UsageError("Host is given twice: a request has one")


def encode_requests(
    target: Target,
    method: str,
    headers: Headers,
    bodies: Sequence[Body],
    endpoint: int = 0,
) -> list[Request]:
    """The HTTP/1.1 requests (RFC 9112) to one target, one a body, or a single one without body.

    All of `headers` are sent, in their order; those named as one of ours take its place.

    Raises:
        UsageError: the method or a header cannot be written in HTTP, or headers contradict each
            other or the body.
    """
    if not method.isascii() or not method.isalpha():
        raise UsageError(f"{method!r} is not an HTTP method")
    _check_headers(headers)
    none: Sequence[Body | None] = [None]
    return [_encode(target, method.upper(), headers, body, endpoint) for body in bodies or none]


def _encode(
    target: Target, method: str, headers: Headers, body: Body | None, endpoint: int
) -> Request:
    pieces = tuple(body.content.split(COUNTER)) if body is not None else (b"",)
    counts = len(pieces) > 1
    length = len(pieces[0])
    for name, value in headers:
        if name.lower() == "content-length" and (counts or value != str(length)):
            actual = "one that changes with its counter" if counts else f"{length}"
            raise UsageError(f"Content-Length {value} contradicts the body's, {actual}: leave it")
    ours = [
        ("Host", target.authority),
        ("User-Agent", f"tailrace/{__version__}"),
        ("Accept", "*/*"),
    ]
    if target.authorization is not None:
        ours.append(("Authorization", target.authorization))
    if body is not None:
        ours.append(("Content-Type", body.content_type))
    given = {name.lower() for name, _ in headers}
    fields = [(name, value) for name, value in ours if name.lower() not in given]
    fields += [(name, value) for name, value in headers if name.lower() != "content-length"]
    # RFC 9110, 7.2: it should be the first.
    fields.sort(key=lambda field: field[0].lower() != "host")
    lines = [f"{method} {target.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    head = "\r\n".join([*lines, ""]).encode("latin-1")
    manner = _manner(method, headers)
    # RFC 9110, 8.6: of these methods a server may want to be told that there is nothing.
    if body is None and "content-length" not in given and method not in ("POST", "PUT", "PATCH"):
        return Request(endpoint, head + b"\r\n", manner=manner)
    template = Request(endpoint, head + b"Content-Length: ", pieces, manner)
    return template if counts else Request(endpoint, template.render(0), manner=manner)


def _manner(method: str, headers: Headers) -> int:
    said = {name.lower() for name, _ in headers}
    options = [value.split(",") for name, value in headers if name.lower() == "connection"]
    manner = NO_BODY if method == "HEAD" else 0
    if any(option.strip().lower() == "close" for each in options for option in each):
        manner |= LAST
    if method in _IDEMPOTENT or "idempotency-key" in said:
        manner |= AGAIN
    return manner


Check = Callable[[Path], None]
"""Raises where a file, which may be a link, may not be read."""


def read_bodies(
    path: Path, check: Check | None = None, note: Callable[[str], None] | None = None
) -> list[Body]:
    """The request bodies in a file, or in the files that a folder stands for.

    `note` is told which files of a folder are left out.

    Raises:
        UsageError: there is nothing to read at `path`, or more than can be sent.
    """
    try:
        files = [path]
        if path.is_dir():
            files, others = _choose(list(_walk(path)))
            if not files:
                raise UsageError(f"no files to send in the directory {path}")
            if others and note is not None:
                note(f"left out of {path}: {_listed(others, path)}; it has pictures to send")
        bodies, room = [], MAX_BYTES
        for file in files:
            content = _read(file, room, check)
            room -= len(content)
            bodies.append(Body(content, _content_type(file)))
    except (OSError, ValueError) as error:
        # ValueError: a null byte in the name.
        where = getattr(error, "filename", None) or path
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read the body {where}: {reason}") from None
    return bodies


def text_body(text: str) -> Body:
    """A body given as text: JSON if it is an object or an array of it, else plain."""
    content = text.encode()
    return Body(content, "application/json" if is_json(text) else "text/plain; charset=utf-8")


def is_json(text: str) -> bool:
    """Whether `text`, which may have counters in it, is a JSON object or array."""
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(text.replace(COUNTER.decode(), "0"))
    except (ValueError, RecursionError):
        return False
    return True


def _walk(folder: Path) -> Iterator[Path]:
    """All files below `folder`; each folder once, however many links lead to it."""
    seen: set[tuple[int, int]] = set()
    count = 0
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=_raise):
        status = Path(parent).stat()
        if (place := (status.st_dev, status.st_ino)) in seen:
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if not name.startswith("."):
                yield Path(parent, name)
        count += len(folders) + len(names)
        if count > MAX_FILES:
            raise UsageError(f"{folder} holds more than {MAX_FILES:,} files: that is too many")


def _raise(error: OSError) -> None:
    raise error


def _choose(files: list[Path]) -> tuple[list[Path], list[Path]]:
    """(those to send, those left out), each in the order of their paths."""
    files.sort(key=lambda file: file.parts)
    pictures = [file for file in files if _content_type(file).startswith("image/")]
    chosen = set(pictures)
    return (pictures, [file for file in files if file not in chosen]) if pictures else (files, [])


def _listed(files: list[Path], folder: Path) -> str:
    names = [str(file.relative_to(folder)) for file in files[:_SHOWN]]
    more = len(files) - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")


def _content_type(file: Path) -> str:
    return _CONTENT_TYPES.get(file.suffix.lower(), _OTHER)


def _read(file: Path, room: int, check: Check | None) -> bytes:
    if file.stat().st_size > room:
        raise UsageError(
            f"{file} is too much to send: bodies may take {MAX_BYTES >> 20:,} MiB together, as "
            "each load worker keeps them in memory"
        )
    if check is not None:
        check(file)
    try:
        stream = open_file(file.resolve(), room)
    except UnreadableError as error:
        raise UsageError(f"cannot send {file}: {error}") from None
    with stream:
        if check is not None:
            # Once more, of what is open: the name may have led elsewhere by then.
            check(Path(f"/proc/self/fd/{stream.fileno()}").readlink())
        # No more than that, should it be growing.
        return stream.read(os.fstat(stream.fileno()).st_size)
