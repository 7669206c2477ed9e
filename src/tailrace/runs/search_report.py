"""What a search leaves in its directory: `find.json`, and `find.svg`, a drawing of it."""

from pathlib import Path

import msgspec

from tailrace.errors import UsageError
from tailrace.load.judge.slo import parse_slo
from tailrace.load.session.search import Found
from tailrace.runs.directory import RunDirectoryError, write_atomically
from tailrace.untrusted import UnreadableError, read_json

_MOST_BYTES = 4 * 2**20
_HIGHEST = 1e12


def write_search(path: Path, found: Found, drawing: str | None = None) -> None:
    """Write `find.json`, and of a `drawing` `find.svg`, into the directory `path`, which is made.

    Raises:
        RunDirectoryError: they cannot be written.
    """
    document = msgspec.json.format(msgspec.json.encode(found), indent=2)
    try:
        path.mkdir(parents=True, exist_ok=True)
        write_atomically(path / "find.json", document + b"\n")
        if drawing is not None:
            write_atomically(path / "find.svg", drawing.encode())
    except OSError as error:
        raise RunDirectoryError(f"cannot write {path}: {error.strerror}") from None


def read_search(path: Path) -> Found:
    """The outcome that `find.json` in the directory `path` holds.

    Raises:
        UsageError: there is none, or it cannot be read.
    """
    try:
        found = read_json(path / "find.json", Found, _MOST_BYTES)
    except UnreadableError as error:
        raise UsageError(f"{path}: {error}") from None
    if found is None:
        raise UsageError(f"{path} is not a search's directory: it has no find.json")
    parse_slo(found.slo)
    drawn = [found.rate_per_s, *(step.rate_per_s for step in found.steps)]
    drawn += [step.percentile_ms for step in found.steps]
    if not all(value is None or 0 <= value <= _HIGHEST for value in drawn):
        raise UsageError(f"{path}: find.json cannot be read: it has rates that no search has")
    return found
