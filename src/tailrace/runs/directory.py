"""A run directory: `run.json` (what was asked), `timeline.jsonl` (one Point a line) and
`latency.hlog` (HdrHistogram log), both written interval by interval as the run goes, and
`result.json` at its end. A run that is killed keeps every interval it had finished. A search has a
directory too: `find.json` (its outcome), and `find.svg`, a drawing of it.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import msgspec
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogWriter

from tailrace import __version__
from tailrace.errors import TailraceError, UsageError
from tailrace.load.config import LoadConfig, of_path
from tailrace.load.judge.slo import parse_slo
from tailrace.load.measure.histogram import HIGHEST_US, LOWEST_US, Histogram
from tailrace.load.measure.point import Interval
from tailrace.load.session.found import Found
from tailrace.load.session.plan import Plan
from tailrace.load.session.result import Result
from tailrace.load.settings import settings_of
from tailrace.machine.environment import read_environment
from tailrace.runs.files import Asked
from tailrace.untrusted import UnreadableError, read_json

RUNS_DIR = Path("runs")
"""Where runs go unless told otherwise, below the current directory."""

LABEL = "label.json"
PARTS = ".parts"
"""Ends the name of a directory of raw samples whose file is not whole yet; that of a killed run
stays."""
_MOST_LABEL_BYTES = 2**17
_MOST_TITLE, _MOST_NOTE = 200, 10_000
_MOST_SEARCH_BYTES = 4 * 2**20
_MOST_SEARCHED = 1e12
"""Of a rate or a percentile that a search's file may name."""
_encoder = msgspec.json.Encoder()


class RunDirectoryError(TailraceError):
    """The run directory cannot be made or written."""


def new_directory(base: Path, label: str) -> Path:
    """A directory made for the caller alone, below `base`, named by the time (UTC) and `label`.

    Raises:
        RunDirectoryError: it cannot be made.
    """
    stem = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{label}"
    try:
        base.mkdir(parents=True, exist_ok=True)
        for name in chain([stem], (f"{stem}-{number}" for number in count(2))):
            # Making it is the only look that nobody can come in after.
            with contextlib.suppress(FileExistsError):
                (base / name).mkdir()
                break
    except OSError as error:
        raise RunDirectoryError(f"cannot write {base}: {error.strerror}") from None
    return base / name


class RunDirectory:
    """The files of one run, open while it goes on.

    Args:
        path: the directory, made with its parents; must be empty or absent.
        samples: the file that raw samples go to, if any do.

    Raises:
        RunDirectoryError: it cannot be made, or holds files already.
    """

    def __init__(self, path: Path, plan: Plan, samples: Path | None = None) -> None:
        self.path = path
        self.broken: str | None = None
        """Why writing stopped, once it has; the run itself goes on."""
        described = _describe(plan, path, samples)
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise _not_its_own(path)
            with contextlib.ExitStack() as opened:
                try:
                    self._timeline: TextIO = opened.enter_context(_open(path / "timeline.jsonl"))
                except FileExistsError:
                    # Another run has begun in it since.
                    raise _not_its_own(path) from None
                # Held while the run goes on: it tells readers that nobody has killed it. Before
                # run.json, which makes it a run to them, so that none has the lock meanwhile.
                with contextlib.suppress(OSError):
                    fcntl.flock(self._timeline, fcntl.LOCK_EX | fcntl.LOCK_NB)
                write_atomically(path / "run.json", described)
                self._log_file: TextIO = opened.enter_context(_open(path / "latency.hlog"))
                self._log = HistogramLogWriter(self._log_file)
                self._log.output_comment("latency from the intended time, microseconds")
                self._log.output_log_format_version()
                self._log.output_legend()
                opened.pop_all()
        except OSError as error:
            raise RunDirectoryError(f"cannot write {path}: {error.strerror}") from None

    def append(self, interval: Interval) -> None:
        """Write one interval down, through to the operating system.

        A disk that fails ends the writing, not the run: see `broken`.
        """
        if self.broken is not None:
            return
        point = interval.point
        try:
            if os.fstat(self._timeline.fileno()).st_nlink == 0:
                self.broken = f"the run directory {self.path} was removed: the run is not kept"
                return
            self._timeline.write(_encoder.encode(point).decode() + "\n")
            self._timeline.flush()
            self._log.output_interval_histogram(
                _hdr(interval.measured.latency),
                start_time_stamp_sec=point.wall_time - point.interval_s,
                end_time_stamp_sec=point.wall_time,
                max_value_unit_ratio=1000.0,
            )
            self._log_file.flush()
        except OSError as error:
            self._break(error)

    def finish(self, result: Result) -> None:
        """Write the result and close the files; a failure to do so shows in `broken`."""
        try:
            write_atomically(self.path / "result.json", _pretty(result))
        except OSError as error:
            self._break(error)
        self.close()

    def discard(self) -> None:
        """Take the directory back: no run came of it."""
        self.close()
        with contextlib.suppress(OSError):
            for file in self.path.iterdir():
                file.unlink()
            self.path.rmdir()

    def close(self) -> None:
        """Close the files: from now on a run without a result shows as interrupted."""
        for file in (self._log_file, self._timeline):
            try:
                file.close()
            except OSError as error:
                self._break(error)

    def _break(self, error: OSError) -> None:
        if self.broken is None:
            self.broken = f"cannot write the run directory {self.path}: {error.strerror}"


def _not_its_own(path: Path) -> RunDirectoryError:
    return RunDirectoryError(f"{path} is not empty: a run needs a directory of its own")


def _open(path: Path) -> TextIO:
    """A file that is not there yet: of two runs in one directory, one is refused."""
    return path.open("x", encoding="utf-8")


def _pretty(document: Any) -> bytes:
    return msgspec.json.format(_encoder.encode(document), indent=2) + b"\n"


def _describe(plan: Plan, path: Path, samples: Path | None) -> bytes:
    asked = Asked(
        **msgspec.structs.asdict(plan.config),
        tailrace=__version__,
        started=datetime.now(UTC).isoformat(timespec="milliseconds"),
        requests=len(plan.traffic.requests),
        expect=str(plan.expect),
        samples=os.path.relpath(samples, path) if samples is not None else "",
        environment=read_environment(),
    )
    fields = msgspec.to_builtins(asked, enc_hook=of_path)
    secret = {each.name for each in settings_of(LoadConfig).values() if each.secret}
    told = {name: value for name, value in fields.items() if name not in secret}
    document = json.dumps(told, indent=2, ensure_ascii=False)
    try:
        # The result names the directory, too.
        str(path).encode()
        return document.encode()
    except UnicodeEncodeError as error:
        name = error.object[: error.start].rpartition('"')[2]
        name += error.object[error.start :].partition('"')[0]
        raise RunDirectoryError(
            f"{name!r} is not UTF-8: no file of a run could name it; rename it"
        ) from None


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it has `content` or what it had before, whatever happens meanwhile.

    Raises:
        OSError: it cannot be written.
    """
    with written(path) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_document(path: Path, document: Any) -> None:
    """Write a struct as JSON that a person can read.

    Raises:
        RunDirectoryError: it cannot be written.
    """
    try:
        write_atomically(path, _pretty(document))
    except OSError as error:
        raise RunDirectoryError(f"cannot write {path}: {error.strerror}") from None


@contextlib.contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """A new file to write, which is at `path` once it is whole.

    Until then its name begins with a dot: who reads a directory as one set of data passes it over.

    Raises:
        OSError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    # Where somebody else left a link, it is not written through.
    temporary.unlink(missing_ok=True)
    with contextlib.ExitStack() as unless_written:
        unless_written.callback(temporary.unlink, missing_ok=True)
        with temporary.open("xb") as file:
            yield file
        temporary.replace(path)
        unless_written.pop_all()


def _hdr(latency: Histogram) -> HdrHistogram:
    hdr = HdrHistogram(1, HIGHEST_US, 3)
    values_us = LOWEST_US[latency.buckets].tolist()
    for value_us, times in zip(values_us, latency.counts.tolist(), strict=True):
        hdr.record_value(value_us, times)
    return hdr


def write_search(path: Path, found: Found, drawing: str | None = None) -> None:
    """Write `find.json`, and of a `drawing` `find.svg`, into the directory `path`, which is made.

    Raises:
        RunDirectoryError: they cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        write_atomically(path / "find.json", _pretty(found))
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
        found = read_json(path / "find.json", Found, _MOST_SEARCH_BYTES)
    except UnreadableError as error:
        raise UsageError(f"{path}: {error}") from None
    if found is None:
        raise UsageError(f"{path} is not a search's directory: it has no find.json")
    for expression in {found.slo, *found.slos}:
        parse_slo(expression)
    drawn = [found.rate_per_s, found.estimate_per_s, *(found.interval_per_s or ())]
    for step in found.steps:
        drawn += [step.rate_per_s, step.percentile_ms]
    for point in found.curve:
        drawn += [point.rate_per_s, point.statistic_ms, point.share, point.low, point.high]
    if not all(value is None or 0 <= value <= _MOST_SEARCHED for value in drawn):
        raise UsageError(f"{path}: find.json cannot be read: it has rates that no search has")
    return found


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """Both are empty until somebody says something."""

    title: str = ""
    note: str = ""


def read_label(path: Path) -> Label:
    """The label of the run or search in the directory `path`."""
    try:
        label = read_json(path / LABEL, Label, _MOST_LABEL_BYTES) or Label()
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
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise RunDirectoryError(f"cannot write {path / LABEL}: {reason}") from None


def delete(path: Path) -> None:
    """Delete the directory `path` of a run or search; of a link to one, the link alone.

    Raises:
        UsageError: there are directories in it that no run makes.
        TailraceError: it cannot be deleted.
    """
    try:
        if path.is_symlink():
            path.unlink()
            return
        files = list(path.iterdir())
        parts = [file for file in files if _is_directory(file) and file.name.endswith(PARTS)]
        inner = [file for directory in parts for file in directory.iterdir()]
        if any(_is_directory(file) for file in (*files, *inner) if file not in parts):
            raise UsageError(f"{path} holds more than a run's files: delete it by hand")
        for file in (*inner, *files):
            if file in parts:
                file.rmdir()
            else:
                file.unlink()
        path.rmdir()
    except OSError as error:
        raise TailraceError(f"cannot delete {path}: {error.strerror}") from None


def _is_directory(file: Path) -> bool:
    return file.is_dir() and not file.is_symlink()
