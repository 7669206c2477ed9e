"""Standard streams that nobody has to read: what a command measures outlives whoever watches it.

A pipe whose reader has gone, a terminal that was closed or a full disk would raise an error at
whatever line happens to be printed, and end a run there. Here it ends the printing alone.
"""

import errno
import io
import os
import select
import sys
import textwrap
from typing import Any, TextIO

_COLUMNS = 80


class Outlet(io.RawIOBase):
    """A descriptor to write to; from its first error on, what is written to it is dropped.

    Args:
        fd: stays open when this is closed.
    """

    def __init__(self, fd: int) -> None:
        self.error: OSError | None = None
        self._fd = fd

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._fd)

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: Any) -> int:
        """Write some of `data`, or drop it all; returns how much that is, in bytes."""
        while self.error is None:
            try:
                return os.write(self._fd, data)
            except BlockingIOError:
                # Somebody else who has this descriptor wants it so.
                select.select([], [self._fd], [])
            except OSError as error:
                self.error = error
        return len(data)


def outlast_readers() -> tuple[Outlet, Outlet]:
    """Put outlets in the place of stdout and stderr; returns them.

    A stream that was closed before the command began is /dev/null, so that no file or socket
    opened later gets its number and what was meant for it.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    outlets = Outlet(1), Outlet(2)
    for name, outlet in zip(("stdout", "stderr"), outlets, strict=True):
        old = getattr(sys, name)
        if old is not None:
            old.flush()
        text = io.TextIOWrapper(
            io.BufferedWriter(outlet),
            encoding=getattr(old, "encoding", "utf-8"),
            # A character that a terminal has no code for must not end a run either.
            errors="replace",
            line_buffering=name == "stderr" or outlet.isatty(),
        )
        setattr(sys, name, text)
    return outlets


def lost(outlet: Outlet) -> str | None:
    """Why something written to `outlet` did not get to where its reader could find it; None if it
    did, or if the reader went away of its own accord.
    """
    error = outlet.error
    if error is None or error.errno == errno.EPIPE:
        return None
    return error.strerror or str(error)


def columns(stream: TextIO) -> int:
    """How wide the terminal behind `stream` is; 80 where it does not know."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or _COLUMNS
    except OSError:
        return _COLUMNS


def wrapped(text: str, stream: TextIO) -> str:
    """A line of `text` as it goes to `stream`: for a terminal broken between words."""
    if not stream.isatty():
        return text
    return textwrap.fill(
        text,
        columns(stream),
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
