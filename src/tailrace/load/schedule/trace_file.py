"""Files of recorded traffic: CSV, JSON lines, or an array of numpy's.

Three kinds of CSV file are told apart by their header:

    timestamp       `timestamp` (or `time`, `t`, `arrival`, …), or a lone column: one arrival a
    0.013           row, in seconds or as a date and time; any order, they are sorted
    minute,count    arrivals in each minute (or `second`): rows of the same bucket are summed, a
    0,1201          missing bucket is an empty one. So are the Azure Functions traces (2019): one
                    row a function, columns `1` to `1440` of counts a minute
    t_s,rate        arrivals a second from t_s on; also what two columns without a header are

Lines of JSON objects are the same, their keys being the header. Numbers are seconds unless the
column's name ends in `_ms`, `_us` or `_ns`, or the unit is given. Empty lines and lines that begin
with `#` are skipped. Times are counted from the first one in the file, and kept to the nanosecond.
A `.npy` file has the arrivals alone, as rising whole nanoseconds (int64).

A file is read line by line into arrays: ten million arrivals take 80 MB.
"""

import csv
import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from tailrace.errors import TailraceError, UsageError
from tailrace.load.schedule.instants import (
    UNITS,
    date_reader,
    is_date,
    is_number,
    meant_unit,
    reader,
)
from tailrace.load.schedule.trace import ArrivalCounts, ArrivalRates, Timestamps
from tailrace.units import MAX_RATE_PER_S

MAX_ROWS = 100_000_000
"""Arrivals of one recording; 800 MB."""
_MAX_LINE = 1 << 20
_BLOCK = 1 << 14
_TIME_NAMES = (
    *("timestamp", "timestamps", "time", "times", "t", "ts", "seconds"),
    *("arrival", "arrivals", "arrived_at", "datetime", "date"),
)
_COUNT_NAMES = ("count", "counts", "requests", "arrivals", "invocations")
_RATE_NAMES = ("rate", "rate_per_s", "rps", "qps")
_BUCKETS = {"second": 1.0, "seconds": 1.0, "minute": 60.0, "minutes": 60.0}
_MAX_BUCKETS = 10_000_000
"""Over three months of seconds: more is a column of dates that were meant as something else."""
_MAX_RATES = 1_000_000
"""Eleven days of seconds: every load worker reads them, and once more at a live change."""
_MAX_COUNT = 1e15
_NUMPY = b"\x93NUMPY"


class Files:
    """How an expression comes by the files that it names: any is read, by its path from `base` on,
    or from the current folder.
    """

    def __init__(self, base: Path | None = None) -> None:
        self._base = base

    def find(self, name: str) -> tuple[str, str]:
        """(where the file lies that an expression calls `name`, what to call it from now on).

        Raises:
            TailraceError: it may not be read.
        """
        path = name if self._base is None else str(self._base / name)
        return path, path


class NoFiles(Files):
    """None may be read, for the reason given."""

    def __init__(self, refusal: TailraceError) -> None:
        super().__init__()
        self._refusal = refusal

    def find(self, name: str) -> tuple[str, str]:
        raise self._refusal


ANY_FILE = Files()

Row = tuple[int, list[str]]
"""The number of a line, and its fields."""


def read_trace(
    path: str, column: str | None = None, unit: str | None = None
) -> Timestamps | ArrivalCounts | ArrivalRates:
    """What the file `path` holds; with `column`, the timestamps in the column of that name; with
    `unit`, numbers are of that: s, ms, us or ns.

    Raises:
        UsageError: the file cannot be read, its header says nothing known, or a row is unusable;
            the message names the row's line.
    """
    if unit is not None and unit not in UNITS:
        raise UsageError(f"a trace's unit is one of {', '.join(UNITS)}, not {unit!r}")
    if _magic(path) == _NUMPY:
        return _array(path)
    rows = _rows(path)
    first = next(rows, None)
    if first is None:
        raise UsageError(f"trace {path!r} is empty")
    header = [name.strip() for name in first[1]]
    names = [name.lower() for name in header]
    if is_number(names[0]) and (len(names) == 1 or is_number(names[-1])):
        if column is not None:
            raise UsageError(f"trace {path!r} has no header to find column {column!r} in")
        if len(names) > 2:
            raise UsageError(
                f"trace {path!r} has {len(names)} columns and no header: name them in a first line"
            )
        rows = chain([first], rows)
        if len(names) == 2:
            return _rates(path, rows, unit or "s")
        return _timestamps(path, rows, 0, unit, "s")
    if column is not None:
        if column.lower() not in names:
            raise UsageError(f"trace {path!r} has no column {column!r}, only {header}")
        place = names.index(column.lower())
        return _timestamps(path, rows, place, unit, _unit_of(names[place]))
    if "1" in names:
        return _minutes(path, rows, names)
    if names[0] in _BUCKETS and len(names) > 1 and names[1] in _COUNT_NAMES:
        return _counts(path, rows, _BUCKETS[names[0]])
    if _is_time(names[0]) and len(names) > 1 and names[1] in _RATE_NAMES:
        return _rates(path, rows, unit or _unit_of(names[0]))
    times = [number for number, name in enumerate(names) if _is_time(name)]
    if len(times) == 1 or len(names) == 1:
        place = times[0] if times else 0
        # A lone column that is no number may be a date already.
        rows = chain([first], rows) if len(names) == 1 and is_date(names[0]) else rows
        return _timestamps(path, rows, place, unit, _unit_of(names[place]))
    raise UsageError(
        f"trace {path!r}: the header {_cut(','.join(header))!r} names no column of timestamps: "
        "say which with ?column=NAME, or write minute,count or t_s,rate"
    )


def _magic(path: str) -> bytes:
    try:
        if not Path(path).is_file():
            there = path and Path(path).exists()
            what = "it is no file" if there else "there is no such file"
            raise UsageError(f"trace {path!r}: {what}")
        with Path(path).open("rb") as file:
            return file.read(len(_NUMPY))
    except (OSError, ValueError) as error:
        raise UsageError(f"trace {path!r} cannot be read: {error}") from None


def _array(path: str) -> Timestamps:
    try:
        times_ns = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"trace {path!r} cannot be read: {error}") from None
    if times_ns.dtype != np.int64 or times_ns.ndim != 1 or not 2 <= len(times_ns) <= MAX_ROWS:
        raise UsageError(f"trace {path!r} is no array of at least two int64")
    if times_ns[0] != 0 or times_ns[-1] <= 0 or np.any(times_ns[1:] < times_ns[:-1]):
        raise UsageError(f"trace {path!r} does not rise from 0")
    return Timestamps(times_ns)


def _rows(path: str) -> Iterator[Row]:
    """(line number, fields) of all lines but the empty ones and comments."""
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            # Cut where one has no end: neither CSV nor JSON takes the pieces.
            lines = iter(partial(file.readline, _MAX_LINE), "")
            said = (line for line in lines if line.strip() and not line.startswith("#"))
            first = next(said, "")
            file.seek(0)
            if first.lstrip().startswith("{"):
                yield from _objects(path, lines)
                return
            parsed = csv.reader(lines)
            for fields in parsed:
                if fields and not fields[0].startswith("#") and (fields[0] or any(fields)):
                    yield parsed.line_num, fields
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"trace {path!r} cannot be read as CSV text: {error}") from None


def _objects(path: str, lines: Iterator[str]) -> Iterator[Row]:
    """The keys of the first object, then the values of each under them."""
    decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
    names: list[str] | None = None
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            found = decode(line)
            if names is None:
                names = list(found)
                yield number, names
            yield number, [_field(found[name]) if name in found else "" for name in names]
        except (msgspec.DecodeError, RecursionError):
            raise _unusable(path, number, "expected a JSON object", [line.strip()]) from None


def _field(raw: msgspec.Raw) -> str:
    text = bytes(raw).decode()
    return str(msgspec.json.decode(raw)) if text.startswith('"') else text


def _is_time(name: str) -> bool:
    base, _, end = name.rpartition("_")
    return name in _TIME_NAMES or (end in UNITS and base in _TIME_NAMES)


def _unit_of(name: str) -> str:
    end = name.rpartition("_")[2]
    return end if end in UNITS else "s"


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _unusable(path: str, line: int, what: str, row: Sequence[str]) -> UsageError:
    return UsageError(f"trace {path!r}, line {line}: {what}, not {_cut(','.join(row))!r}")


def _numbers(path: str, line: int, row: list[str], what: str) -> tuple[float, float]:
    """The first two of a row."""
    try:
        first, second = float(row[0]), float(row[1])
    except (ValueError, IndexError):
        first = second = math.nan
    if not (math.isfinite(first) and math.isfinite(second)):
        raise _unusable(path, line, f"expected {what}", row)
    return first, second


def _timestamps(
    path: str, rows: Iterator[Row], column: int, unit: str | None, own_unit: str
) -> Timestamps:
    """`unit` is what is asked for, `own_unit` what the column's name says."""
    times = array("q")
    read: Callable[[list[Row]], NDArray[np.int64]] | None = None
    while block := list(islice(rows, _BLOCK)):
        read = read or _block_reader(path, block[0], column, unit, own_unit)
        times.frombytes(read(block).tobytes())
        if len(times) > MAX_ROWS:
            raise UsageError(f"trace {path!r} has more than {MAX_ROWS:,} arrivals")
    if len(times) < 2:
        raise UsageError(f"trace {path!r} needs at least two arrivals")
    sorted_ns: NDArray[np.int64] = np.frombuffer(times, dtype=np.int64)
    if np.any(sorted_ns[1:] < sorted_ns[:-1]):
        sorted_ns = np.sort(sorted_ns)
    if int(sorted_ns[-1]) - int(sorted_ns[0]) >= 2**63:
        raise UsageError(f"trace {path!r} lasts longer than 292 years")
    if sorted_ns[-1] == sorted_ns[0]:
        raise UsageError(f"trace {path!r}: all arrivals are at one instant")
    return Timestamps(sorted_ns - sorted_ns[0])


_UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


def _block_reader(
    path: str, first: Row, column: int, unit: str | None, own_unit: str
) -> Callable[[list[Row]], NDArray[np.int64]]:
    """What reads a column of instants that begins with that row, in nanoseconds."""
    line, row = first
    text = row[column] if column < len(row) else ""
    per_unit_ns = None
    if is_date(text) and not is_number(text):
        read, expected = date_reader(), "a date and time"
    else:
        named = unit or own_unit
        if unit is None and named == "s" and is_number(text) and (meant := meant_unit(text)):
            raise UsageError(
                f"trace {path!r}, line {line}: {_cut(text)} is no time in seconds, and can only be "
                f"{_UNIT_NAMES[meant]} since 1970: say so with unit={meant}"
            )
        read, per_unit_ns = reader(named), float(UNITS[named])
        expected = f"a time in {_UNIT_NAMES[named]} or as 2024-05-10 13:00:00.5"

    def read_block(block: list[Row]) -> NDArray[np.int64]:
        if per_unit_ns is not None:
            try:
                values = np.array([float(row[column]) for _, row in block]) * per_unit_ns
            except (ValueError, IndexError):
                values = np.array([np.inf])
            # As exact as one by one, and several times as fast.
            if np.abs(values).max() < 2**52:
                return np.rint(values).astype(np.int64)
        times = []
        for line, row in block:
            try:
                times.append(read(row[column]))
            except (ValueError, IndexError):
                raise _unusable(path, line, f"expected {expected}", row) from None
            except OverflowError:
                what = "an instant lies between 1677 and 2262"
                raise _unusable(path, line, what, row) from None
        return np.array(times, dtype=np.int64)

    return read_block


def _counts(path: str, rows: Iterator[Row], width_s: float) -> ArrivalCounts:
    buckets, values = array("q"), array("q")
    for line, row in rows:
        bucket, value = _numbers(path, line, row, "a bucket's number and a count")
        if not (0 <= value <= _MAX_COUNT and value == int(value)):
            raise _unusable(path, line, "a count is a whole number, 0 to 1e15", row)
        if bucket != int(bucket) or abs(bucket) > _MAX_COUNT:
            raise _unusable(path, line, "a bucket's number is a whole one", row)
        buckets.append(int(bucket))
        values.append(int(value))
        if len(buckets) > MAX_ROWS:
            raise UsageError(f"trace {path!r} has more than {MAX_ROWS:,} rows")
    if not buckets:
        raise UsageError(f"trace {path!r} holds no arrivals")
    places = np.frombuffer(buckets, dtype=np.int64)
    places = places - places.min()
    if places.max() >= _MAX_BUCKETS:
        raise UsageError(f"trace {path!r}: its buckets span more than {_MAX_BUCKETS:,}")
    counts = np.zeros(int(places.max()) + 1, dtype=np.int64)
    np.add.at(counts, places, np.frombuffer(values, dtype=np.int64))
    return _some(path, ArrivalCounts(counts, width_s), sum(values))


def _minutes(path: str, rows: Iterator[Row], names: list[str]) -> ArrivalCounts:
    first = names.index("1")
    minutes = names[first:]
    if minutes != [str(number) for number in range(1, len(minutes) + 1)]:
        raise UsageError(f"trace {path!r}: the columns from 1 on must be minutes 1, 2, 3, …")
    counts = np.zeros(len(minutes))
    for line, row in rows:
        try:
            values = np.array(row[first:], dtype=np.float64)
        except ValueError:
            raise _unusable(path, line, "expected counts a minute", row) from None
        if len(values) != len(minutes):
            raise _unusable(path, line, f"expected {len(minutes)} counts a minute", row)
        if not np.all((values >= 0) & (values <= _MAX_COUNT) & (values == np.floor(values))):
            raise _unusable(path, line, "a count is a whole number, 0 to 1e15", row)
        counts += values
    total = float(counts.sum())
    return _some(path, ArrivalCounts(np.minimum(counts, _MAX_COUNT).astype(np.int64), 60.0), total)


def _some(path: str, counts: ArrivalCounts, total: float) -> ArrivalCounts:
    if total <= 0:
        raise UsageError(f"trace {path!r} holds no arrivals")
    if total > _MAX_COUNT:
        raise UsageError(f"trace {path!r} holds more than 1e15 arrivals")
    return counts


def _rates(path: str, rows: Iterator[Row], unit: str) -> ArrivalRates:
    starts, rates = array("d"), array("d")
    per_s = UNITS[unit] / 1e9
    for line, row in rows:
        start, rate = _numbers(path, line, row, "a time in seconds and a rate")
        start *= per_s
        if not 0 <= rate <= MAX_RATE_PER_S:
            raise _unusable(path, line, "a rate is a number from 0 to 1e12", row)
        if starts and start - starts[0] <= starts[-1] - starts[0]:
            raise _unusable(path, line, "the times of a trace of rates must rise", row)
        starts.append(start)
        rates.append(rate)
        if len(starts) > _MAX_RATES:
            raise UsageError(f"trace {path!r} has more than {_MAX_RATES:,} rates")
    if not rates:
        raise UsageError(f"trace {path!r} holds no rates")
    times: NDArray[np.float64] = np.frombuffer(starts)
    if times[-1] - times[0] > 1e12:
        raise UsageError(f"trace {path!r} lasts longer than 1e12 s")
    return ArrivalRates(times - times[0], np.frombuffer(rates))
