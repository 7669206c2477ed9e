"""A part of a schedule: what one of several runs, each with its own session, sends of it."""

import re
import time
from dataclasses import dataclass
from datetime import datetime

from tailrace.errors import UsageError

_PART = re.compile(r"(\d{1,6})/(\d{1,6})")
_AHEAD_S = 366 * 86400
"""A start further away is a slip in the date."""


@dataclass(frozen=True, slots=True)
class Part:
    """Every arrival whose number is ≡ `index` (mod `parts`): all parts together are the schedule.

    Runs that share a schedule so need nothing of each other but the start, whatever their arrivals,
    and each may have as many workers as it likes.
    """

    index: int = 0
    parts: int = 1

    def share(self, worker: int, workers: int) -> tuple[int, int]:
        """Which share of the whole schedule worker `worker` of a part's `workers` sends."""
        return self.index + self.parts * worker, self.parts * workers

    def __str__(self) -> str:
        return f"{self.index}/{self.parts}"


WHOLE = Part()


def parse_part(text: str) -> Part:
    """The part in `0/8`, the first of eight, to `7/8`.

    Raises:
        UsageError: it is none.
    """
    match = _PART.fullmatch(text.strip())
    part = Part(int(match[1]), int(match[2])) if match else None
    if part is None or part.index >= part.parts:
        raise UsageError(f"{text!r} is no part: write 0/8 for the first of eight, 7/8 for the last")
    return part


def parse_start(text: str) -> float:
    """The instant in `2026-11-26T22:00:00Z`, as ISO 8601 with its zone, in seconds since 1970.

    Raises:
        UsageError: it is none, has passed, or is more than a year ahead.
    """
    try:
        start = datetime.fromisoformat(text.strip())
    except ValueError:
        start = None
    if start is None or start.tzinfo is None:
        raise UsageError(f"{text!r} is no time with its zone: write it as 2026-11-26T22:00:00Z")
    ago_s = time.time() - start.timestamp()
    if ago_s > 0:
        raise UsageError(f"the start {text} was {ago_s:.0f} s ago")
    if -ago_s > _AHEAD_S:
        raise UsageError(f"the start {text} is more than a year ahead")
    return start.timestamp()
