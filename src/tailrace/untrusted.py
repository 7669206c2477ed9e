"""Reading files that somebody else may have written: a run passed on, a log that was edited.

What a file is and how large it is are checked before it is read, so that a pipe holds nobody up, a
device is not touched, and a sparse file of a terabyte takes no memory.
"""

import codecs
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from tailrace.errors import TailraceError
from tailrace.plain import plain_lines

DEEPEST = 64
"""Levels of lists and objects within each other."""
LONGEST_LINE = 2**20
"""Bytes; a line that is longer is passed over."""

_WIDEST = 64
_HIDDEN = re.compile(rb'[\x7f-\xff]|\\[^nt"\\/]')
"""What may stand in JSON for a letter that is not to be shown, and for some that are."""
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC

_T = TypeVar("_T")


class UnreadableError(TailraceError):
    """A file is there, and is not what it should be."""


def open_file(path: Path, most_bytes: int) -> BinaryIO:
    """The regular file at `path`, open for reading; a link is not followed.

    Raises:
        FileNotFoundError: there is none.
        UnreadableError: it is something else, longer than `most_bytes`, or cannot be opened.
    """
    try:
        # Before it is opened, since that alone may set a device off.
        _check(path, os.lstat(path), most_bytes)
        file = os.fdopen(os.open(path, _FLAGS), "rb")
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise UnreadableError(f"{path.name} cannot be read: {_reason(error)}") from None
    try:
        _check(path, os.fstat(file.fileno()), most_bytes)
    except UnreadableError:
        file.close()
        raise
    return file


def read_file(path: Path, most_bytes: int) -> bytes | None:
    """What the file at `path` holds; None where there is none.

    Raises:
        UnreadableError: as `open_file`.
    """
    try:
        with open_file(path, most_bytes) as file:
            return file.read(most_bytes)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnreadableError(f"{path.name} cannot be read: {_reason(error)}") from None


def read_lines(path: Path, most_bytes: int) -> Iterator[bytes]:
    """The lines of the file at `path` without their ends, one at a time in memory; none where
    there is no file.

    Raises:
        UnreadableError: as `open_file`.
    """
    try:
        with open_file(path, most_bytes) as file:
            whole = True
            while part := file.readline(LONGEST_LINE):
                ends = part.endswith(b"\n")
                if whole and (ends or len(part) < LONGEST_LINE):
                    yield part.rstrip(b"\r\n")
                whole = ends
    except FileNotFoundError:
        return
    except OSError as error:
        raise UnreadableError(f"{path.name} cannot be read: {_reason(error)}") from None


def read_json(
    path: Path, kind: type[_T], most_bytes: int, dec_hook: Callable[[type, Any], Any] | None = None
) -> _T | None:
    """The JSON document in the file at `path`; None where there is none. `dec_hook` is msgspec's.

    Raises:
        UnreadableError: as `open_file`, or it is no JSON of this kind.
    """
    data = read_file(path, most_bytes)
    if data is None:
        return None
    try:
        return decode_json(data, kind, dec_hook)
    except UnreadableError as error:
        raise UnreadableError(f"{path.name} cannot be read: {error}") from None


def decode_json(
    data: bytes, kind: type[_T], dec_hook: Callable[[type, Any], Any] | None = None
) -> _T:
    """The JSON document `data`, with or without a byte order mark.

    Raises:
        UnreadableError: it is no JSON of this kind, it nests deeper than DEEPEST, or holds integers
            of more than 64 bits where any value may stand.
    """
    try:
        plain = plain_json(data.removeprefix(codecs.BOM_UTF8))
        value = msgspec.json.decode(plain, type=kind, dec_hook=dec_hook)
    except RecursionError:
        raise UnreadableError("it nests too deeply") from None
    except UnicodeDecodeError as error:
        raise UnreadableError(f"byte {error.object[error.start]:#x} is not UTF-8") from None
    except msgspec.MsgspecError as error:
        raise UnreadableError(str(error)) from None
    check_value(value)
    return value


def plain_json(data: bytes) -> bytes:
    """The JSON document `data` with what is not to be shown in its texts escaped for the reader's
    eye: see `plain_lines`. Nearly always it is `data` itself.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is no JSON that can be read.
    """
    if _HIDDEN.search(data) is None:
        return data
    return msgspec.json.encode(_plain_value(msgspec.json.decode(data)))


def _plain_value(value: Any) -> Any:
    match value:
        case str():
            return plain_lines(value)
        case list():
            return [_plain_value(each) for each in value]
        case dict():
            return {plain_lines(key): _plain_value(each) for key, each in value.items()}
        case _:
            return value


def check_value(value: object) -> None:
    """Nothing, for a value out of JSON that nests no deeper than DEEPEST and holds no integer of
    more than 64 bits.

    Raises:
        UnreadableError: it does.
    """
    level: list[Any] = [value]
    for _ in range(DEEPEST + 1):
        if any(isinstance(each, int) and each.bit_length() > _WIDEST for each in level):
            raise UnreadableError("it holds an integer of more than 64 bits")
        inner = [each for each in level if isinstance(each, dict | list)]
        level = [
            item for each in inner for item in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return
    raise UnreadableError("it nests too deeply")


def _check(path: Path, found: os.stat_result, most_bytes: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = {stat.S_IFLNK: "a link", stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe"}
        what = kind.get(stat.S_IFMT(found.st_mode), "a device or a socket")
        raise UnreadableError(f"{path.name} cannot be read: it is {what}, not a regular file")
    if found.st_size > most_bytes:
        raise UnreadableError(
            f"{path.name} cannot be read: it has {found.st_size:,} bytes, more than the "
            f"{most_bytes:,} that are taken"
        )


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
