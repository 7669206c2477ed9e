"""Traces: what a recording of real traffic says, read from a CSV file.

Three kinds of file are told apart by their header:

    timestamp       `timestamp` (or `time`, `t`, `arrival`, …), or a lone column: one arrival a
    0.013           row, in seconds or as a date and time; any order, they are sorted
    minute,count    arrivals in each minute (or `second`): rows of the same bucket are summed, a
    0,1201          missing bucket is an empty one. So are the Azure Functions traces (2019): one
                    row a function, columns `1` to `1440` of counts a minute
    t_s,rate        arrivals a second from t_s on; also what two columns without a header are

Empty lines and lines that begin with `#` are skipped. Times are counted from the first one in the
file. A timestamp of this century in seconds since 1970 is kept to 0.25 µs, as doubles are.
"""

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tailrace.errors import UsageError
from tailrace.load.segments import Floats
from tailrace.units import MAX_RATE_PER_S

_TIME_NAMES = (
    *("timestamp", "timestamps", "timestamp_s", "time", "times", "time_s", "t", "t_s", "seconds"),
    *("arrival", "arrivals", "arrival_s", "arrived_at", "datetime", "date"),
)
_COUNT_NAMES = ("count", "counts", "requests", "arrivals", "invocations")
_RATE_NAMES = ("rate", "rate_per_s", "rps", "qps")
_BUCKETS = {"second": 1.0, "seconds": 1.0, "minute": 60.0, "minutes": 60.0}
_MAX_BUCKETS = 10_000_000
"""Over three months of seconds: more is a column of dates that were meant as something else."""


@dataclass(frozen=True, slots=True, eq=False)
class Timestamps:
    """One instant an arrival: rising seconds since the first; `resolution_s` of the file's text."""

    seconds: Floats
    resolution_s: float

    @property
    def duration_s(self) -> float:
        """From the first arrival to a mean gap after the last one."""
        count = len(self.seconds)
        return float(self.seconds[-1]) * count / (count - 1)

    @property
    def total(self) -> int:
        """The number of arrivals."""
        return len(self.seconds)

    def arrivals(self, draw: np.random.Generator, scale: float, _size: int) -> Iterator[Floats]:
        """Instants of `scale` times the arrivals, rising seconds, in batches.

        The whole part of `scale` is copies, the rest a coin for each arrival. The first copy
        stays where it was recorded; the others lie evenly at random within `resolution_s` of it.
        """
        copies = _scaled(np.ones(self.total, dtype=np.int64), scale, draw)
        row = np.repeat(np.arange(self.total), copies)
        first = np.diff(row, prepend=-1) > 0
        jitter = draw.random(len(row)) * self.resolution_s
        yield np.sort(self.seconds[row] + np.where(first, 0.0, jitter))


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Arrivals in consecutive buckets of `width_s`, int64 [buckets]."""

    counts: NDArray[np.int64]
    width_s: float

    @property
    def duration_s(self) -> float:
        """All buckets together."""
        return len(self.counts) * self.width_s

    @property
    def total(self) -> int:
        """The number of arrivals."""
        return int(self.counts.sum())

    def arrivals(self, draw: np.random.Generator, scale: float, size: int) -> Iterator[Floats]:
        """Instants of `scale` times the arrivals, rising seconds, in batches of about `size`.

        Each lies evenly at random within its bucket, independent of all others.
        """
        expected = np.cumsum(self.counts) * scale
        marks = np.arange(size, expected[-1] + size, size)
        ends = np.unique(np.append(np.searchsorted(expected, marks), len(expected) - 1)) + 1
        begin = 0
        for end in np.minimum(ends, len(expected)).tolist():
            counts = _scaled(self.counts[begin:end], scale, draw)
            buckets = np.repeat(np.arange(begin, end, dtype=np.float64), counts)
            yield np.sort((buckets + draw.random(len(buckets))) * self.width_s)
            begin = end


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """A rate a second from each start on, rising seconds since the first."""

    starts_s: Floats
    rates_per_s: Floats


def read_trace(path: str, column: str | None = None) -> Timestamps | Counts | Rates:
    """What the CSV file `path` holds; with `column`, the timestamps in the column of that name.

    Raises:
        UsageError: the file cannot be read, its header says nothing known, or a row is unusable;
            the message names the row's line.
    """
    rows = _rows(path)
    first = next(rows, None)
    if first is None:
        raise UsageError(f"trace {path!r} is empty")
    header = [name.strip() for name in first[1]]
    names = [name.lower() for name in header]
    if _is_number(names[0]) and (len(names) == 1 or _is_number(names[-1])):
        if column is not None:
            raise UsageError(f"trace {path!r} has no header to find column {column!r} in")
        if len(names) > 2:
            raise UsageError(
                f"trace {path!r} has {len(names)} columns and no header: name them in a first line"
            )
        read = _rates if len(names) == 2 else _timestamps
        return read(path, [first, *rows])
    if column is not None:
        if column.lower() not in names:
            raise UsageError(f"trace {path!r} has no column {column!r}, only {header}")
        return _timestamps(path, list(rows), names.index(column.lower()))
    if "1" in names:
        return _minutes(path, rows, names)
    if names[0] in _BUCKETS and len(names) > 1 and names[1] in _COUNT_NAMES:
        return _counts(path, list(rows), _BUCKETS[names[0]])
    if names[0] in _TIME_NAMES and len(names) > 1 and names[1] in _RATE_NAMES:
        return _rates(path, list(rows))
    times = [number for number, name in enumerate(names) if name in _TIME_NAMES]
    if len(times) == 1 or len(names) == 1:
        # A lone column that is no number may be a date already.
        unnamed = [first] if len(names) == 1 and _is_date(names[0]) else []
        return _timestamps(path, [*unnamed, *rows], times[0] if times else 0)
    raise UsageError(
        f"trace {path!r}: the header {','.join(header)!r} names no column of timestamps: "
        "say which with ?column=NAME, or write minute,count or t_s,rate"
    )


Row = tuple[int, list[str]]


def _rows(path: str) -> Iterator[Row]:
    """(line number, fields) of all lines but the empty ones and comments."""
    try:
        if not Path(path).is_file():
            raise UsageError(f"trace {path!r}: there is no such file")
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            for fields in reader:
                if fields and any(fields) and not fields[0].startswith("#"):
                    yield reader.line_num, fields
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"trace {path!r} cannot be read as CSV text: {error}") from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_date(text: str) -> bool:
    try:
        return not np.isnat(_date(text)) and text.strip()[:1].isdigit()
    except ValueError:
        return False


def _date(text: str) -> np.datetime64:
    # numpy takes a date without a zone for UTC, and warns of every "Z" that says so.
    return np.datetime64(text.strip().rstrip("Zz"), "ns")


def _unusable(path: str, line: int, what: str, row: Sequence[str]) -> UsageError:
    shown = ",".join(row)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return UsageError(f"trace {path!r}, line {line}: {what}, not {shown!r}")


def _numbers(path: str, rows: list[Row], column: int, what: str) -> Floats:
    """The column's values, all finite."""
    values = np.empty(len(rows))
    for place, (line, row) in enumerate(rows):
        try:
            values[place] = value = float(row[column])
        except (ValueError, IndexError):
            raise _unusable(path, line, f"expected {what}", row) from None
        if not math.isfinite(value):
            raise _unusable(path, line, f"expected {what}", row)
    return values


def _timestamps(path: str, rows: list[Row], column: int = 0) -> Timestamps:
    if len(rows) < 2:
        raise UsageError(f"trace {path!r} needs at least two arrivals")
    texts = [row[column].strip() if column < len(row) else "" for _, row in rows]
    if _is_date(texts[0]) and not _is_number(texts[0]):
        dates = np.empty(len(rows), dtype="datetime64[ns]")
        for place, ((line, row), text) in enumerate(zip(rows, texts, strict=True)):
            if not _is_date(text):
                raise _unusable(path, line, "expected a date and time", row)
            dates[place] = _date(text)
        dates.sort()
        seconds = (dates - dates[0]).astype(np.int64) / 1e9
    else:
        what = "expected a time in seconds or as 2024-05-10 13:00:00.5"
        seconds = np.sort(_numbers(path, rows, column, what.removeprefix("expected ")))
        seconds -= seconds[0]
    if seconds[-1] <= 0:
        raise UsageError(f"trace {path!r}: all arrivals are at one instant")
    decimals = max(len(text.partition(".")[2].rstrip("Zz")) for text in texts)
    return Timestamps(seconds, 10.0 ** -min(decimals, 9))


def _count(path: str, line: int, row: Sequence[str], value: float) -> int:
    if not (0 <= value <= 1e15 and value == int(value)):
        raise _unusable(path, line, "a count is a whole number, 0 or more", row)
    return int(value)


def _counts(path: str, rows: list[Row], width_s: float) -> Counts:
    buckets = _numbers(path, rows, 0, "a bucket's number and a count")
    values = _numbers(path, rows, 1, "a bucket's number and a count")
    for (line, row), bucket, value in zip(rows, buckets.tolist(), values.tolist(), strict=True):
        _count(path, line, row, value)
        if bucket != int(bucket):
            raise _unusable(path, line, "a bucket's number is a whole one", row)
    if not len(buckets):
        raise UsageError(f"trace {path!r} holds no arrivals")
    buckets -= buckets.min()
    if buckets.max() >= _MAX_BUCKETS:
        raise UsageError(f"trace {path!r}: its buckets span more than {_MAX_BUCKETS:,}")
    counts = np.zeros(int(buckets.max()) + 1, dtype=np.int64)
    np.add.at(counts, buckets.astype(np.int64), values.astype(np.int64))
    return _some(path, Counts(counts, width_s))


def _minutes(path: str, rows: Iterable[Row], names: list[str]) -> Counts:
    first = names.index("1")
    minutes = names[first:]
    if minutes != [str(number) for number in range(1, len(minutes) + 1)]:
        raise UsageError(f"trace {path!r}: the columns from 1 on must be minutes 1, 2, 3, …")
    counts = np.zeros(len(minutes), dtype=np.int64)
    for line, row in rows:
        try:
            values = np.array(row[first:], dtype=np.float64)
        except ValueError:
            raise _unusable(path, line, "expected counts a minute", row) from None
        if len(values) != len(minutes):
            raise _unusable(path, line, f"expected {len(minutes)} counts a minute", row)
        if not np.all((values >= 0) & (values <= 1e15) & (values == np.floor(values))):
            raise _unusable(path, line, "a count is a whole number, 0 or more", row)
        counts += values.astype(np.int64)
    return _some(path, Counts(counts, 60.0))


def _some(path: str, counts: Counts) -> Counts:
    if counts.total <= 0:
        raise UsageError(f"trace {path!r} holds no arrivals")
    return counts


def _rates(path: str, rows: list[Row]) -> Rates:
    if not rows:
        raise UsageError(f"trace {path!r} holds no rates")
    starts = _numbers(path, rows, 0, "a time in seconds and a rate")
    rates = _numbers(path, rows, 1, "a time in seconds and a rate")
    starts -= starts[0]
    last = -math.inf
    for (line, row), start, rate in zip(rows, starts.tolist(), rates.tolist(), strict=True):
        if not 0 <= rate <= MAX_RATE_PER_S:
            raise _unusable(path, line, "a rate is a number from 0 to 1e12", row)
        if start <= last:
            raise _unusable(path, line, "the times of a trace of rates must rise", row)
        last = start
    return Rates(starts, rates)


def _scaled(
    counts: NDArray[np.int64], scale: float, draw: np.random.Generator
) -> NDArray[np.int64]:
    """`counts` times `scale`: the whole part of it as copies, the rest by a coin for each."""
    whole = int(scale)
    if scale == whole:
        return counts * whole
    return counts * whole + draw.binomial(counts, scale - whole)
