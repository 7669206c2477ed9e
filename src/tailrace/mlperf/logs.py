"""LoadGen's logs: reading them, and making those of a test that was cut short readable.

LoadGen writes the detail log and the accuracy log while the test runs and the summary at its end. A
process that is killed leaves a half-written last line, an open JSON array and an empty summary.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tailrace.download.part import claimed, part_of, unwritable, write, write_whole
from tailrace.errors import TailraceError
from tailrace.untrusted import UnreadableError, check_value, read_file

DETAIL = "mlperf_log_detail.txt"
SUMMARY = "mlperf_log_summary.txt"
ACCURACY = "mlperf_log_accuracy.json"
TRACE = "mlperf_log_trace.json"

OURS = "Written by Tailrace, not by LoadGen: "
"""How a summary begins that LoadGen did not write."""

MOST_BYTES = 2**28
"""Of a log that is read whole; the accuracy log, which holds every answer, may be longer."""

_MARK = ":::MLLOG "
_NAMESPACE = "tailrace"
_HIGHEST = 2**63
_END = re.compile(r"^(No errors|\d+ ERRORS?) encountered\b", re.MULTILINE)
_ACCURACY_ENDS = (b"[", b"\n]\n")
_TRACE_ENDS = (
    b'{"traceEvents":[',
    b'\n],\n"displayTimeUnit":"ns",\n"otherData":{\n"version":"closed by Tailrace"\n}\n}\n',
)


@dataclass(frozen=True, slots=True)
class Detail:
    """mlperf_log_detail.txt."""

    values: Mapping[str, Any]
    """The last value of each key. MLPerf's own checker takes the first; they differ in a search for
    the peak alone."""
    times_ms: Mapping[str, float]
    """When that was logged, on LoadGen's clock."""
    messages: tuple[str, ...]
    """What LoadGen said of the course of the test."""
    errors: tuple[str, ...]
    own_errors: tuple[str, ...]
    """Those of them that Tailrace has added."""
    warnings: tuple[str, ...]
    broken_lines: tuple[int, ...]
    """Numbers, from 1, of lines that are LoadGen's and cannot be read."""
    truncated: bool
    """Whether the last line is half-written."""

    def number(self, key: str) -> float | None:
        """The value of a key; None if it is missing, or is no number that a test can have."""
        value = self.values.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool):
            return None
        return value if abs(value) <= _HIGHEST else None

    def text(self, key: str) -> str | None:
        """The same, of text."""
        value = self.values.get(key)
        return value if isinstance(value, str) else None

    def flag(self, key: str) -> bool | None:
        """The same, of true and false."""
        value = self.values.get(key)
        return value if isinstance(value, bool) else None


@dataclass(frozen=True, slots=True)
class Summary:
    """mlperf_log_summary.txt."""

    text: str
    fields: Mapping[str, str]
    """What stands before and after the colon of each line, the first of a name."""
    valid: bool | None
    """LoadGen's verdict; None where it has none, as in accuracy mode."""
    complete: bool
    """Whether LoadGen wrote it to its end."""


def read_detail(folder: Path) -> Detail:
    """The detail log, or as much as can be read of it.

    Raises:
        TailraceError: there is none, or it cannot be read.
    """
    text = _read(folder / DETAIL)
    values: dict[str, Any] = {}
    times_ms: dict[str, float] = {}
    messages, errors, own_errors, warnings, broken = [], [], [], [], []
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.startswith(_MARK):
            continue
        entry = _entry(line)
        if entry is None:
            if number < len(lines):
                broken.append(number)
            continue
        values[entry.key] = entry.value
        times_ms[entry.key] = entry.time_ms
        if entry.metadata.is_error:
            errors.append(str(entry.value))
            if entry.namespace == _NAMESPACE:
                own_errors.append(str(entry.value))
        elif entry.metadata.is_warning:
            warnings.append(str(entry.value))
        elif entry.key == "generic_message":
            messages.append(str(entry.value))
    return Detail(
        values,
        times_ms,
        tuple(messages),
        tuple(errors),
        tuple(own_errors),
        tuple(warnings),
        tuple(broken),
        truncated=bool(lines[-1]) and (_entry(lines[-1]) is None),
    )


def read_summary(folder: Path) -> Summary:
    """The summary.

    Raises:
        TailraceError: there is none, or it cannot be read.
    """
    text = _read(folder / SUMMARY)
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip(), value.strip())
    ours = text.startswith(OURS)
    verdict = None if ours else fields.get("Result is")
    return Summary(
        text,
        fields,
        valid={"VALID": True, "INVALID": False}.get(verdict or ""),
        complete=not ours and _END.search(text) is not None,
    )


def close_logs(folder: Path, reason: str) -> None:
    """Makes the logs of a test that did not end by itself readable; changes none that are.

    Cuts the half-written last line off the detail log, closes the accuracy log and the trace after
    their last whole entry, and says in an empty summary that LoadGen wrote none, and the `reason`
    of that.

    Raises:
        TailraceError: a file cannot be read or written.
    """
    _cut_detail(folder / DETAIL)
    _close_json(folder / ACCURACY, *_ACCURACY_ENDS)
    if _size(folder / TRACE):
        _close_json(folder / TRACE, *_TRACE_ENDS)
    if not _size(folder / SUMMARY):
        text = f"{OURS}LoadGen wrote no summary, for the test did not end by itself: "
        _replace(folder / SUMMARY, f"{text}{' '.join(reason.split())}\n".encode())


def add_error(folder: Path, message: str) -> None:
    """Appends an error in LoadGen's own format to the detail log, unless it is there already:
    MLPerf's submission checker then refuses the test, too.

    Raises:
        TailraceError: the log cannot be read or written.
    """
    file = folder / DETAIL
    _cut_detail(file)
    known = _read(file) if file.exists() else ""
    entries = [entry for line in known.split("\n") if (entry := _entry(line)) is not None]
    if any(entry.namespace == _NAMESPACE and entry.value == message for entry in entries):
        return
    frame = inspect.currentframe()
    line_no = frame.f_lineno if frame else 0
    error = {
        "key": "error_runtime",
        "value": message,
        # LoadGen's clock cannot be read from here: no earlier than what it logged last.
        "time_ms": entries[-1].time_ms if entries else 0.0,
        "namespace": _NAMESPACE,
        "event_type": "POINT_IN_TIME",
        "metadata": {
            "is_error": True,
            "is_warning": False,
            "file": Path(__file__).name,
            "line_no": line_no,
            "pid": os.getpid(),
            "tid": threading.get_native_id(),
        },
    }
    line = _MARK.encode() + msgspec.json.encode(error) + b"\n"
    _replace(file, (file.read_bytes() if known else b"") + line)


class _Metadata(msgspec.Struct):
    is_error: bool = False
    is_warning: bool = False


class _Line(msgspec.Struct):
    key: str
    value: Any
    time_ms: float = 0.0
    namespace: str = ""
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


def _entry(line: str) -> _Line | None:
    if not line.startswith(_MARK):
        return None
    try:
        entry = msgspec.json.decode(line[len(_MARK) :].rstrip("\r"), type=_Line)
        check_value(entry.value)
    # UTF-8 that surrogates stand in for, and JSON that is nested without end.
    except (msgspec.MsgspecError, ValueError, RecursionError, UnreadableError):
        return None
    return entry


def _read(file: Path) -> str:
    try:
        data = read_file(file, MOST_BYTES)
    except UnreadableError as error:
        raise TailraceError(f"{file.parent}: {error}") from error
    if data is None:
        raise TailraceError(f"there is no {file}")
    return data.decode("utf-8-sig", errors="replace")


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise TailraceError(f"cannot read {file}: {error.strerror or error}") from error


def _replace(file: Path, data: bytes) -> None:
    try:
        write_whole(file, data)
    except OSError as error:
        raise unwritable(file, error) from error


def _cut_detail(file: Path) -> None:
    if not _size(file):
        return
    data = file.read_bytes()
    head, newline, last = data.rpartition(b"\n")
    if not last:
        return
    whole = _entry(last.decode(errors="replace")) is not None
    _replace(file, data + b"\n" if whole else head + newline)


def _close_json(file: Path, first: bytes, last: bytes) -> None:
    """Keeps the entries, one a line, that are whole: in memory there is one at a time, since a
    trace can be larger than that. LoadGen 6.0 also writes some into its trace that are no JSON."""
    try:
        if not file.exists() or _is_closed(file, last):
            return
        with (
            file.open("rb") as source,
            claimed(file) as descriptor,
            contextlib.ExitStack() as undo,
        ):
            undo.callback(part_of(file).unlink)
            os.ftruncate(descriptor, 0)
            write(descriptor, first)
            separator = b"\n"
            for entry in _whole_entries(source):
                write(descriptor, separator + entry)
                separator = b",\n"
            write(descriptor, last)
            undo.pop_all()
            part_of(file).replace(file)
    except OSError as error:
        raise unwritable(file, error) from error


def _is_closed(file: Path, last: bytes) -> bool:
    """Whether the end of the file is that of a whole log, LoadGen's or ours: no line of an entry
    looks like it."""
    end = b"\n]" if last == _ACCURACY_ENDS[1] else b"}\n}"
    with file.open("rb") as source:
        source.seek(0, os.SEEK_END)
        source.seek(max(source.tell() - 64, 0))
        return source.read().rstrip().endswith(end)


def _whole_entries(lines: Iterator[bytes]) -> Iterator[bytes]:
    for line in lines:
        entry = line.strip().removesuffix(b",")
        if entry.startswith(b"{"):
            try:
                msgspec.json.decode(entry)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                continue
            yield entry
