"""Request bodies, from files, folders and text.

One rule for folders: a folder stands for the files in it and in its sub-folders, in the order of
their paths, hidden ones passed over. If there are pictures among them, it stands for the pictures
alone: data sets keep their annotations beside them. One rule for links: they are followed, to files
as to folders, and what they lead to must be allowed as if it had been named.
"""

import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from tailrace.errors import UsageError
from tailrace.load.client.request import COUNTER, Body

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
    # Before it is opened: opening a device may do something, a FIFO waits.
    _require_file(file, file.stat())
    if check is not None:
        check(file)
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
        status = os.fstat(stream.fileno())
        _require_file(file, status)
        if check is not None:
            # Once more, of what is open: the name may have led elsewhere by then.
            check(Path(f"/proc/self/fd/{stream.fileno()}").readlink())
        if status.st_size > room:
            raise UsageError(
                f"{file} is too much to send: bodies may take {MAX_BYTES >> 20:,} MiB together, as "
                "each load worker keeps them in memory"
            )
        # No more than that, should it be growing.
        return stream.read(status.st_size)


def _require_file(file: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kinds = {
            stat.S_IFIFO: "a FIFO",
            stat.S_IFSOCK: "a socket",
            stat.S_IFCHR: "a device",
            stat.S_IFBLK: "a device",
            stat.S_IFDIR: "a folder",
        }
        kind = kinds.get(stat.S_IFMT(status.st_mode), "no file")
        raise UsageError(f"cannot send {file}: it is {kind}, not a file")
