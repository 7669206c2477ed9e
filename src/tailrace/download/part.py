"""Files that appear whole: written beside their place as `NAME.part`, then renamed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tailrace.errors import NO_ROOM, TailraceError

_POLL_S = 0.2


def part_of(to: Path) -> Path:
    """The file to write while `to` is not whole yet."""
    return to.with_name(f"{to.name}.part")


@contextlib.contextmanager
def claimed(to: Path, waiting: Callable[[int], None] = lambda _: None) -> Iterator[int]:
    """A descriptor of `to`.part, open for reading and writing, with what it holds; no other
    process or thread has it meanwhile. Makes the folder it lies in; leaves no empty part behind.

    While another has it, `waiting` is told its size in bytes a few times a second.

    Raises:
        OSError: it cannot be opened.
    """
    part = part_of(to)
    part.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting(os.fstat(descriptor).st_size)
            else:
                if _is_named(descriptor, part):
                    try:
                        yield descriptor
                    finally:
                        if _is_named(descriptor, part) and not os.fstat(descriptor).st_size:
                            part.unlink()
                    return
        finally:
            os.close(descriptor)
        time.sleep(_POLL_S)


def write(descriptor: int, data: bytes) -> None:
    """Writes all of `data`.

    Raises:
        OSError: it cannot; some of it may have been written.
    """
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def settle(descriptor: int, to: Path) -> None:
    """Puts the claimed part of `to` in its place, so that it survives a power cut.

    Raises:
        OSError: it cannot be renamed.
    """
    os.fsync(descriptor)
    part_of(to).replace(to)
    folder = os.open(to.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_whole(to: Path, data: bytes) -> None:
    """Makes `data` the content of `to`, which is never seen half-written.

    Does not wait for the disk: after a power cut `to` may be empty.

    Raises:
        OSError: it cannot be written.
    """
    with claimed(to) as descriptor, contextlib.ExitStack() as undo:
        undo.callback(part_of(to).unlink)
        os.ftruncate(descriptor, 0)
        write(descriptor, data)
        undo.pop_all()
        part_of(to).replace(to)


def unwritable(to: Path, error: OSError) -> TailraceError:
    """What to tell a user who wanted `to` to be written."""
    if error.errno in NO_ROOM:
        return TailraceError(
            f"no room for {to} ({error.strerror}): make some and run this again to go on"
        )
    return TailraceError(f"cannot write {to}: {error.strerror or error}")


def _is_named(descriptor: int, part: Path) -> bool:
    # Whoever had the lock before may have renamed or deleted the file that was opened here.
    try:
        return os.path.samestat(part.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
