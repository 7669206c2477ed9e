"""The line on stderr that follows long work: redrawn in place on a terminal, now and then a new one
in a file or a pipe.
"""

import os
import select
import sys
import time
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

from tailrace.cli.streams import columns, wrapped
from tailrace.plain import plain

SEPARATOR = "  "
EVERY_S = 5.0
"""How often a line goes to what is no terminal."""
_ERASE_BELOW = "\x1b[J"


class LiveLine:
    """One line that follows what goes on, and notes above it that stay."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._reported: list[str] = []
        self._next_s = 0.0

    def draw(self, fields: Sequence[str]) -> None:
        """Put `fields`, the most important first, in the place of those before: as many as the
        terminal is wide enough for.
        """
        if self._terminal:
            # A terminal that was paused, by Ctrl-S for one, must not hold up what is followed.
            if select.select([], [sys.stderr], [], 0)[1]:
                # The cursor stays at the start: wherever a narrower window wraps what was drawn,
                # all of it is below.
                self._write(f"{fit(fields, columns(sys.stderr) - 1)}{_ERASE_BELOW}\r")
        elif time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + EVERY_S
            self._write(fit(fields) + "\n")

    def note(self, text: str) -> None:
        """Say something on a line of its own, which stays."""
        self.close()
        self._write(wrapped(plain(text), sys.stderr) + "\n")

    def report(self, problems: Sequence[str]) -> None:
        """Say what is new in `problems`, all that have come up so far."""
        for problem in problems:
            if problem not in self._reported:
                self._reported.append(problem)
                self.note(f"tailrace: error: {problem}")

    def close(self) -> None:
        """Take the line away: what is printed next begins at the start of an empty one."""
        if self._terminal:
            self._write(f"\r{_ERASE_BELOW}")

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def fit(fields: Sequence[str], cells: int | None = None) -> str:
    """As many of `fields`, whole and from the first on, as stand in `cells` of a terminal; of the
    first as much as does.
    """
    line, *others = map(plain, fields)
    if cells is None:
        return SEPARATOR.join([line, *others])
    if cell_len(line) > cells:
        return set_cell_size(line, cells)
    for field in others:
        longer = line + SEPARATOR + field
        if cell_len(longer) > cells:
            break
        line = longer
    return line
