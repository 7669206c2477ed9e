"""What we know of a test beside LoadGen's own logs: `tailrace.json` in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from tailrace.download.part import unwritable, write_whole
from tailrace.errors import TailraceError
from tailrace.load.measure.point import Percentiles
from tailrace.untrusted import UnreadableError, read_json

FILE = "tailrace.json"
_MOST_BYTES = 16 * 2**20

Mode = Literal["performance", "accuracy", "find-peak"]
Ended = Literal["finished", "interrupted", "failed"]
"""`failed`: it could not go on."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a test went, by our own count."""

    tailrace: str
    """Version of Tailrace."""
    model: str
    scenario: str
    mode: Mode
    system: str
    """What the system under test calls itself."""
    targets: list[str]
    """URLs of the nodes; none in process."""
    dataset: str
    payload: str
    started: str
    """UTC, ISO 8601."""
    ended: Ended
    elapsed_s: float
    issued: int
    """Samples; as the next two."""
    completed: int
    failed: int
    failures: dict[str, int]
    """Reasons of the failed, and how often each."""
    problems: list[str]
    """Whatever else makes the run INVALID."""
    notes: list[str]
    """What a reader of the result must know."""
    latency_ms: Percentiles
    """From issue to completion, as seen by the system under test."""


def faults(outcome: Outcome) -> list[str]:
    """What, by our own count, makes a test INVALID."""
    found = list(outcome.problems)
    if outcome.ended != "finished":
        ended = "failed" if outcome.ended == "failed" else "was interrupted"
        found.append(f"the test {ended} after {outcome.elapsed_s:.1f} s")
    if outcome.failed:
        kinds = "; ".join(f"{count:,} x {kind}" for kind, count in outcome.failures.items())
        found.append(f"{outcome.failed:,} of {outcome.issued:,} samples failed: {kinds}")
    lost = outcome.issued - outcome.completed - outcome.failed
    if lost and outcome.ended == "finished":
        found.append(f"{lost:,} of {outcome.issued:,} samples have no answer")
    return found


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Writes `tailrace.json` into the folder of a test.

    Raises:
        TailraceError: it cannot be written.
    """
    document = msgspec.json.format(msgspec.json.encode(outcome), indent=2) + b"\n"
    try:
        write_whole(folder / FILE, document)
    except OSError as error:
        raise unwritable(folder / FILE, error) from error


def read_outcome(folder: Path) -> Outcome | None:
    """What `tailrace.json` says; None where there is none, as in a test that others ran.

    Raises:
        TailraceError: it cannot be read.
    """
    try:
        return read_json(folder / FILE, Outcome, _MOST_BYTES)
    except UnreadableError as error:
        raise TailraceError(f"{folder}: {error}") from error
