"""Downloads that can be resumed."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import socket
import time
from collections.abc import Callable, Mapping
from http.client import HTTPException, HTTPResponse, InvalidURL
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import msgspec

from tailrace.download.part import claimed, part_of, settle, unwritable, write
from tailrace.errors import TailraceError, UsageError

Progress = Callable[[int, int | None], None]
"""Told the bytes so far, and those in all or None. What it raises ends the work."""

_CHUNK = 1 << 16
_BACKOFF_S = (0.25, 0.5, 1.0, 2.0, 4.0)
# A try that gets this much further than any before it does not count as a failure.
_HEADWAY = 1 << 20
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


def ignore(done: int, total: int | None) -> None:
    """A `Progress` that tells nobody."""


def download(
    url: str,
    to: Path,
    *,
    md5: str | None = None,
    sha256: str | None = None,
    progress: Progress = ignore,
    timeout_s: float = 30,
) -> str:
    """Fetches `url` into the file `to`, whole or not at all; returns its sha256 in hex.

    A `to` that is there with the right checksums (any, if none are asked for) is left alone.
    What has come so far lies in `to`.part and is resumed by any later call, by range requests
    (RFC 9110, section 14) that hold only while the file on the server stays the same; a server
    without them sends it all again. A dropped connection, or no byte for `timeout_s`, is taken up
    again, five times in a row at most. While another process fetches the same file this one waits,
    and `progress` follows the other.

    Raises:
        UsageError: `url` is not an http or https URL.
        TailraceError: the server cannot be reached, refuses or keeps dropping the connection; the
            checksum is wrong, and nothing was kept; or `to` cannot be written.
    """
    expected = {
        name: digest.lower() for name, digest in (("md5", md5), ("sha256", sha256)) if digest
    }
    try:
        found = _digests(to, expected)
        if not _right(found, expected):
            with claimed(to, lambda size: progress(size, None)) as descriptor:
                # Another process may have put it there meanwhile.
                found = _digests(to, expected)
                if not _right(found, expected):
                    _fetch(descriptor, url, to, progress, timeout_s)
                    found = _checked(url, to, expected)
                    settle(descriptor, to)
                else:
                    part_of(to).unlink()
                _note_of(to).unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(to, error) from error
    return found["sha256"]


class _BrokenOffError(Exception):
    """One try failed; another may not. `stale`: what has come is of no use for it."""

    def __init__(self, reason: object, *, connected: bool = True, stale: bool = False) -> None:
        super().__init__(getattr(reason, "strerror", None) or str(reason) or repr(reason))
        self.unresolved = isinstance(reason, socket.gaierror)
        self.connected = connected
        self.stale = stale


class _Note(msgspec.Struct):
    """What a .part is the beginning of; `validator` is its ETag or Last-Modified."""

    url: str
    validator: str
    size: int | None


def _fetch(descriptor: int, url: str, to: Path, progress: Progress, timeout_s: float) -> None:
    failures, furthest = 0, os.fstat(descriptor).st_size
    for attempt in itertools.count():
        try:
            _transfer(descriptor, _note_of(to), url, progress, timeout_s)
            return
        except _BrokenOffError as error:
            if attempt == 0 and not error.connected:
                raise TailraceError(
                    f"{'no network: ' if error.unresolved else ''}cannot reach "
                    f"{urlsplit(url).hostname} ({error}); fetch {url} elsewhere and put it at {to}"
                ) from error
            if error.stale:
                os.ftruncate(descriptor, 0)
            size = os.fstat(descriptor).st_size
            failures = 0 if size >= furthest + _HEADWAY else failures + 1
            furthest = max(furthest, size)
            if failures > len(_BACKOFF_S):
                raise TailraceError(
                    f"{url} broke off at byte {size:,} ({error}); run this again to go on"
                ) from error
            time.sleep(_BACKOFF_S[max(failures - 1, 0)])


def _transfer(descriptor: int, note: Path, url: str, progress: Progress, timeout_s: float) -> None:
    have, known = os.fstat(descriptor).st_size, _noted(note)
    headers = {"User-Agent": "tailrace"}
    if have and known is not None and known.url == url:
        if have == known.size:
            return
        headers |= {"Range": f"bytes={have}-", "If-Range": known.validator}
    with _opened(url, headers, timeout_s) as response:
        validator = _validator(response)
        if response.status == 206:
            begin = f"bytes {have}-"
            if (
                not response.headers.get("Content-Range", "").startswith(begin)
                or known is None
                or validator not in (None, known.validator)
            ):
                raise _BrokenOffError("the file has changed on the server", stale=True)
        else:
            have = 0
            os.ftruncate(descriptor, 0)
            note.unlink(missing_ok=True)
        total = None if response.length is None else have + response.length
        if have == 0 and validator is not None:
            note.write_bytes(msgspec.json.encode(_Note(url, validator, total)))
        os.lseek(descriptor, have, os.SEEK_SET)
        progress(have, total)
        while chunk := _read(response):
            write(descriptor, chunk)
            have += len(chunk)
            progress(have, total)
    if total is not None and have < total:
        raise _BrokenOffError("the connection was closed")


def _opened(url: str, headers: dict[str, str], timeout_s: float) -> HTTPResponse:
    try:
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError(url)
        response: HTTPResponse = urlopen(Request(url, headers=headers), timeout=timeout_s)
    except HTTPError as error:
        with error:
            status = f"{error.code} {error.reason}".splitlines()[0]
        if error.code in _TRANSIENT or error.code == 416:
            raise _BrokenOffError(status, stale=error.code == 416) from error
        raise TailraceError(f"{urlsplit(url).hostname} answers {status} to {url}") from error
    except URLError as error:
        raise _BrokenOffError(error.reason, connected=False) from error
    except (InvalidURL, ValueError) as error:
        raise UsageError(f"{url!r} is not an http or https URL") from error
    except (OSError, HTTPException) as error:
        raise _BrokenOffError(error) from error
    return response


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read1(_CHUNK)
    except (OSError, HTTPException) as error:
        raise _BrokenOffError(error) from error


def _validator(response: HTTPResponse) -> str | None:
    # A weak ETag is no ground for a range: RFC 9110, section 13.1.5.
    etag = response.headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


def _note_of(to: Path) -> Path:
    return to.with_name(f"{to.name}.part.json")


def _noted(note: Path) -> _Note | None:
    try:
        return msgspec.json.decode(note.read_bytes(), type=_Note)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _checked(url: str, to: Path, expected: Mapping[str, str]) -> dict[str, str]:
    part = part_of(to)
    found = _digests(part, expected)
    for name, digest in expected.items():
        if found[name] != digest:
            part.unlink()
            _note_of(to).unlink(missing_ok=True)
            raise TailraceError(
                f"{url} is not the file it should be: its {name} is {found[name]}, "
                f"expected {digest}; nothing was kept"
            )
    return found


def _digests(file: Path, expected: Mapping[str, str]) -> dict[str, str]:
    """By name; none if there is no such file."""
    digests = {}
    with contextlib.suppress(FileNotFoundError):
        for name in {"sha256", *expected}:
            with file.open("rb") as stream:
                digests[name] = hashlib.file_digest(stream, name).hexdigest()
    return digests


def _right(found: Mapping[str, str], expected: Mapping[str, str]) -> bool:
    return bool(found) and expected.items() <= found.items()
