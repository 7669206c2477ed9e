"""Raw samples of a run, one row a request: written to a file as it goes, read back, in memory.

A Parquet file cannot be read before its end is written. So each interval's rows go into a small one
of its own, in a directory beside it, and these are joined when the run is over: of a run that is
killed, that directory is a data set that any reader of Parquet takes.
"""

import csv
import importlib
import io
import os
import shutil
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tailrace.errors import TailraceError, UsageError
from tailrace.load.measure.samples import ABSENT, SAMPLE, TIMES, Rows
from tailrace.runs.directory import PARTS, written

if TYPE_CHECKING:
    import pandas
    import pyarrow

COLUMNS = (*TIMES, "status", "failure", "bytes", "target", "worker")
"""Times are ns since the run's start, by CLOCK_MONOTONIC of the worker's machine; `bytes` are those
of the answer, its head included.
"""
TEXTS = ("failure", "target")
ROW = np.dtype([*SAMPLE.descr, ("worker", "<i2")])
_GROUP = 1 << 19
"""Rows that are written or read together: some 25 MB."""
_ENCODING = {
    "use_dictionary": [name for name in COLUMNS if name not in TIMES],
    "column_encoding": dict.fromkeys(TIMES, "DELTA_BINARY_PACKED"),
}
"""A third of the size that Parquet files have otherwise, and of the time to write them."""


class RawSamples:
    """Raw samples in memory: `samples["done_ns"]` is a column, an array.

    What a request did not come to, such as `sent_ns` of one that was never sent, is NA in a table
    of pandas; in an array a time is -1 then, a status 0, a failure "".
    """

    def __init__(self, rows: Rows, failures: Sequence[str], targets: Sequence[str]) -> None:
        self.rows = rows
        """`failure` and `target` are numbers of texts; ABSENT is none."""
        self.texts = {"failure": list(failures), "target": list(targets)}

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"{len(self):,} requests, each with {', '.join(COLUMNS)}"

    def __getitem__(self, column: str) -> NDArray[Any]:
        if column not in COLUMNS:
            raise KeyError(f"{column!r} is none of the columns {', '.join(COLUMNS)}")
        values = np.array(self.rows[column])
        if column in TEXTS:
            # The last one is that of ABSENT.
            values = np.array([*self.texts[column], ""], dtype=object)[values]
        return values

    def to_pandas(self) -> "pandas.DataFrame":
        """All columns as a table.

        Raises:
            UsageError: pandas is not installed.
        """
        pandas = require("pandas", "a table")
        table = {}
        for column in COLUMNS:
            values = np.array(self.rows[column])
            if column in TEXTS:
                table[column] = pandas.Categorical.from_codes(values, self.texts[column])
            else:
                table[column] = pandas.arrays.IntegerArray(values, self.absent(column))
        return pandas.DataFrame(table)

    def absent(self, column: str) -> NDArray[np.bool_]:
        """Which rows have nothing in a column."""
        found: NDArray[np.bool_] = self.rows[column] == _absent_in(column)
        return found


def _absent_in(column: str) -> int:
    return 0 if column == "status" else ABSENT


def require(module: str, what: str, install: str | None = None) -> Any:
    """The module.

    Raises:
        UsageError: it is not installed, but is needed for `what`.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise UsageError(
            f"{what} needs {module}, which is not installed: pip install {install or module}"
        ) from None


def _require_arrow() -> None:
    require("pyarrow", "a Parquet file", "'tailrace[arrow]' (or name a file that ends in .csv)")


def read_raw_samples(path: Path) -> RawSamples:
    """The raw samples in a file; of a run that was killed, those that it had written down.

    Raises:
        TailraceError: they cannot be read.
    """
    try:
        return _read_csv(path) if path.suffix == ".csv" else _read_parquet(path)
    except (OSError, ValueError, KeyError) as error:
        raise TailraceError(f"cannot read raw samples from {path}: {error}") from None


def _read_csv(path: Path) -> RawSamples:
    numbers: dict[str, dict[str, int]] = {column: {"": ABSENT} for column in TEXTS}
    parts = [np.empty(0, ROW)]
    with path.open(newline="", encoding="utf-8") as file:
        # The last line has no end where it was cut off, with the run.
        lines = csv.reader(line for line in file if line.endswith("\n"))
        if next(lines, None) != [*COLUMNS]:
            raise ValueError(f"its columns are not {', '.join(COLUMNS)}")
        while group := list(islice(lines, _GROUP)):
            rows = np.empty(len(group), ROW)
            for column, values in zip(COLUMNS, zip(*group, strict=True), strict=True):
                if column in TEXTS:
                    known = numbers[column]
                    for text in dict.fromkeys(values):
                        known.setdefault(text, len(known) - 1)
                    rows[column] = [known[text] for text in values]
                else:
                    rows[column] = [int(value or _absent_in(column)) for value in values]
            parts.append(rows)
    failures, targets = (list(known)[1:] for known in numbers.values())
    return RawSamples(np.concatenate(parts), failures, targets)


def _read_parquet(path: Path) -> RawSamples:
    _require_arrow()
    import pyarrow.dataset

    data = pyarrow.dataset.dataset(path if path.exists() else _parts_of(path), format="parquet")
    table = data.to_table(columns=list(COLUMNS))
    rows = np.empty(len(table), ROW)
    texts = {}
    for name in COLUMNS:
        column = table[name]
        if name in TEXTS:
            whole = column.dictionary_encode().unify_dictionaries().combine_chunks()
            texts[name] = whole.dictionary.to_pylist()
            column = whole.indices
        rows[name] = column.fill_null(_absent_in(name)).to_numpy()
    return RawSamples(rows, texts["failure"], texts["target"])


class _Csv:
    """A file begun anew. What fails raises OSError, and leaves what was there whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb", buffering=0)
        self._append(",".join(COLUMNS) + "\n")

    def write(self, samples: RawSamples, about: Mapping[str, str]) -> None:
        columns = []
        for name in COLUMNS:
            values = samples[name].astype(object)
            values[samples.absent(name)] = None
            columns.append(values.tolist())
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(zip(*columns, strict=True))
        self._append(text.getvalue())

    def finish(self, about: Mapping[str, str]) -> None:
        self._file.close()

    def discard(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _append(self, text: str) -> None:
        whole = self._file.tell()
        data = memoryview(text.encode())
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError:
            self._file.truncate(whole)
            raise


class _Parquet:
    """As `_Csv`; its metadata are `about`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parts = _parts_of(path)
        self._count = 0
        try:
            self._parts.mkdir()
        except FileExistsError:
            raise UsageError(
                f"{self._parts} has the raw samples of a run that was killed: move or delete it"
            ) from None
        path.unlink(missing_ok=True)
        # What pyarrow imports when it is first used takes 0.2 s of a core: not while load flows.
        _write_part(RawSamples(np.empty(0, ROW), (), ()), {}, io.BytesIO())

    def write(self, samples: RawSamples, about: Mapping[str, str]) -> None:
        with written(self._part(self._count)) as file:
            _write_part(samples, about, file)
        self._count += 1

    def finish(self, about: Mapping[str, str]) -> None:
        """Join the parts, one after another: a scanner would read far ahead."""
        import pyarrow
        from pyarrow import parquet

        waiting = [_table(RawSamples(np.empty(0, ROW), (), ()), about)]
        with written(self._path) as file:
            with parquet.ParquetWriter(file, waiting[0].schema, **_ENCODING) as writer:
                for number in range(self._count):
                    waiting.append(parquet.read_table(self._part(number)))
                    if sum(map(len, waiting)) >= _GROUP:
                        writer.write_table(pyarrow.concat_tables(waiting))
                        waiting.clear()
                if waiting:
                    writer.write_table(pyarrow.concat_tables(waiting))
            file.flush()
            os.fsync(file.fileno())
        shutil.rmtree(self._parts)

    def discard(self) -> None:
        shutil.rmtree(self._parts, ignore_errors=True)

    def _part(self, number: int) -> Path:
        return self._parts / f"{number:06}.parquet"


SampleFile = _Csv | _Parquet


def file_kind(path: Path) -> type[SampleFile]:
    """What writes raw samples to a file of this name.

    Raises:
        UsageError: nothing does, or what it needs is not installed.
    """
    match path.suffix:
        case ".csv":
            return _Csv
        case ".parquet":
            _require_arrow()
            return _Parquet
    raise UsageError(f"raw samples go to a .parquet or .csv file, not to {path}")


def _parts_of(path: Path) -> Path:
    """The directory beside a Parquet file in which its rows are until it is whole."""
    return path.with_name(path.name + PARTS)


def _write_part(samples: RawSamples, about: Mapping[str, str], file: IO[bytes]) -> None:
    from pyarrow import parquet

    parquet.write_table(_table(samples, about), file, **_ENCODING)


def _table(samples: RawSamples, about: Mapping[str, str]) -> "pyarrow.Table":
    import pyarrow

    columns = {}
    for name in COLUMNS:
        numbers = pyarrow.array(np.array(samples.rows[name]), mask=samples.absent(name))
        if name in TEXTS:
            texts = pyarrow.array(samples.texts[name], "string")
            numbers = pyarrow.DictionaryArray.from_arrays(numbers, texts)
        columns[name] = numbers
    return pyarrow.table(columns, metadata=about)
