"""As much of a terminal as the command line makes use of, and what it looks like meanwhile."""

import contextlib
import os
import pty
import re
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path

_PIECE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+")


class Screen:
    """Rows of a terminal with so many columns, wrapped where a line is longer."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.rows = [""]
        self._x = 0
        self._y = 0

    def feed(self, text: str) -> Iterator[list[str]]:
        """Show `text`, as it is after each time the cursor comes back to the start of a row."""
        pieces = _PIECE.findall(text)
        assert "".join(pieces) == text, "a control code that no terminal has"
        for piece in pieces:
            match piece:
                case "\r":
                    self._x = 0
                    yield list(self.rows)
                case "\n":
                    self._next_row()
                case "\x1b[J":
                    del self.rows[self._y + 1 :]
                    self.rows[self._y] = self.rows[self._y][: self._x]
                case _ if piece.startswith("\x1b"):
                    assert piece.endswith("m"), f"{piece!r} is nothing that this terminal knows"
                case _:
                    for char in piece:
                        self._put(char)

    def resize(self, columns: int) -> None:
        """Wrap anew what stands on the last row, at whose start the cursor is."""
        assert (self._x, self._y) == (0, len(self.rows) - 1)
        line = self.rows.pop() or " "
        self.columns = columns
        self.rows += [line[at : at + columns] for at in range(0, len(line), columns)]

    def _put(self, char: str) -> None:
        if self._x == self.columns:
            self._x = 0
            self._next_row()
        row = self.rows[self._y].ljust(self._x)
        self.rows[self._y] = row[: self._x] + char + row[self._x + 1 :]
        self._x += 1

    def _next_row(self) -> None:
        self._y += 1
        if self._y == len(self.rows):
            self.rows.append("")


@contextlib.contextmanager
def terminal(columns: int) -> Iterator[tuple[int, int]]:
    """A pseudo-terminal of so many columns: our end of it, and a program's."""
    ours, theirs = pty.openpty()
    resize(theirs, columns)
    try:
        yield ours, theirs
    finally:
        for fd in (ours, theirs):
            # Whoever was given one may have closed it.
            with contextlib.suppress(OSError):
                os.close(fd)


def resize(fd: int, columns: int) -> None:
    """Give the terminal so many columns."""
    termios.tcsetwinsize(fd, (24, columns))


def drained(fd: int) -> bytes:
    """What is left to read of our end, once nobody can write any more; closes it."""
    shown = b""
    # Linux ends a terminal whose other side is closed with an error.
    with contextlib.suppress(OSError):
        while chunk := os.read(fd, 65536):
            shown += chunk
    os.close(fd)
    return shown


def watched(
    command: list[str],
    columns: int,
    cwd: Path,
    *,
    stdout_too: bool = False,
    code: int = 0,
) -> tuple[str, list[list[str]]]:
    """Run a command whose stderr is a terminal, or `stdout_too`: its stdout elsewhere, and the
    terminal's rows at each time that the cursor came back to the start of one.
    """
    with terminal(columns) as (ours, theirs):
        process = subprocess.Popen(
            command,
            cwd=cwd,
            stdout=theirs if stdout_too else subprocess.PIPE,
            stderr=theirs,
            text=True,
            env={**os.environ, "TERM": "xterm"},
        )
        os.close(theirs)
        shown = drained(ours)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == code, shown
    return out or "", list(Screen(columns).feed(shown.decode()))
