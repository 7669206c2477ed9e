"""What people say of a run or a search, kept in its directory; and the end of that directory."""

from pathlib import Path

import msgspec

from tailrace.errors import TailraceError, UsageError
from tailrace.runs.directory import RunDirectoryError, write_atomically
from tailrace.untrusted import UnreadableError, read_json

LABEL = "label.json"

_MOST_TITLE, _MOST_NOTE = 200, 10_000
_MOST_BYTES = 2**17


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """Both are empty until somebody says something."""

    title: str = ""
    note: str = ""


def read_label(path: Path) -> Label:
    """The label of the run or search in the directory `path`."""
    try:
        label = read_json(path / LABEL, Label, _MOST_BYTES) or Label()
    except UnreadableError:
        return Label()
    return Label(title=label.title[:_MOST_TITLE], note=label.note[:_MOST_NOTE])


def write_label(path: Path, title: str | None, note: str | None) -> None:
    """Give the run or search in the directory `path` a title, a note, or both.

    Raises:
        UsageError: the title is no line of at most 200 characters, or the note is longer than
            10,000.
        RunDirectoryError: it cannot be written.
    """
    label = read_label(path)
    title = (label.title if title is None else title).strip()
    note = (label.note if note is None else note).strip()
    if len(title) > _MOST_TITLE or not title.isprintable():
        raise UsageError(f"a title is one line of at most {_MOST_TITLE} characters")
    if len(note) > _MOST_NOTE:
        raise UsageError(f"a note has at most {_MOST_NOTE:,} characters, not {len(note):,}")
    try:
        write_atomically(path / LABEL, msgspec.json.encode(Label(title=title, note=note)))
    except (OSError, ValueError) as error:
        raise RunDirectoryError(f"cannot write {path / LABEL}: {_reason(error)}") from None


def delete(path: Path) -> None:
    """Delete the directory `path` of a run or search; of a link to one, the link alone.

    Raises:
        UsageError: there are directories in it, which no run makes.
        TailraceError: it cannot be deleted.
    """
    try:
        if path.is_symlink():
            path.unlink()
            return
        files = list(path.iterdir())
        if any(file.is_dir() and not file.is_symlink() for file in files):
            raise UsageError(f"{path} holds more than a run's files: delete it by hand")
        for file in files:
            file.unlink()
        path.rmdir()
    except OSError as error:
        raise TailraceError(f"cannot delete {path}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
