"""Raw samples of a run, one row a request: in memory, and read back from a file."""

import csv
import importlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tailrace.errors import TailraceError, UsageError
from tailrace.load.measure.samples import ABSENT, SAMPLE, TIMES, Rows

if TYPE_CHECKING:
    import pandas

COLUMNS = (*TIMES, "status", "failure", "bytes", "target", "worker")
"""Times are ns since the run's start, by CLOCK_MONOTONIC of the worker's machine; `bytes` are those
of the answer, its head included.
"""
TEXTS = ("failure", "target")
FIELDS = SAMPLE.names or ()
ROW = np.dtype([*((name, SAMPLE[name]) for name in FIELDS), ("worker", "<i2")])
GROUP = 1 << 19
"""Rows that are written or read together: some 25 MB."""


class RawSamples:
    """Raw samples in memory: `samples["done_ns"]` is a column, an array.

    What a request did not come to, such as `sent_ns` of one that was never sent, is NA in a table
    of pandas; in an array a time is -1 then, a status 0, a failure "".
    """

    def __init__(self, rows: Rows, reasons: Sequence[str], targets: Sequence[str]) -> None:
        self.rows = rows
        """Of the type ROW: `reason` numbers one of `reasons`, `target` one of `targets`."""
        self.reasons = list(reasons)
        self.targets = list(targets)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"{len(self):,} requests, each with {', '.join(COLUMNS)}"

    def __getitem__(self, column: str) -> NDArray[Any]:
        if column not in COLUMNS:
            raise KeyError(f"{column!r} is none of the columns {', '.join(COLUMNS)}")
        if column in TEXTS:
            numbers, texts = self.numbered(column)
            # The last one is that of ABSENT.
            named: NDArray[Any] = np.array([*texts, ""], dtype=object)[numbers]
            return named
        return np.array(self.rows[column])

    def to_pandas(self) -> "pandas.DataFrame":
        """All columns as a table.

        Raises:
            TailraceError: pandas is not installed.
        """
        pandas = require("pandas", "a table")
        table = {}
        for column in COLUMNS:
            if column in TEXTS:
                numbers, names = self.numbered(column)
                table[column] = pandas.Categorical.from_codes(numbers, names)
            else:
                values = np.array(self.rows[column])
                table[column] = pandas.arrays.IntegerArray(values, values == absent_in(column))
        return pandas.DataFrame(table)

    def numbered(self, column: str) -> tuple[NDArray[Any], list[str]]:
        """One of TEXTS as numbers of the texts in a list; ABSENT is none."""
        if column == "failure":
            return np.array(self.rows["reason"]), self.reasons
        return np.array(self.rows["target"]), self.targets


def absent_in(column: str) -> int:
    """What stands in a column of numbers for what there is not."""
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


def require_arrow() -> None:
    """To be called before pyarrow is imported.

    Raises:
        UsageError: it is not installed.
    """
    require("pyarrow", "a Parquet file", "'tailrace[arrow]' (or name a file that ends in .csv)")


def parts_of(path: Path) -> Path:
    """The directory beside a Parquet file in which its rows are until it is whole."""
    return path.with_name(path.name + ".parts")


def read_raw_samples(path: Path) -> RawSamples:
    """The raw samples in a file; of a run that was killed, those that it had written down.

    Raises:
        TailraceError: they cannot be read.
    """
    chunks = _read_csv(path) if path.suffix == ".csv" else _read_parquet(path)
    found: dict[str, dict[str, int]] = {"failure": {}, "target": {}}
    parts = [np.empty(0, ROW)]
    try:
        for columns in chunks:
            rows = np.empty(len(columns["done_ns"]), ROW)
            for column, values in columns.items():
                if column in found:
                    numbers = found[column]
                    for text in filter(None, dict.fromkeys(values)):
                        numbers.setdefault(text, len(numbers))
                    field = "reason" if column == "failure" else column
                    rows[field] = [numbers.get(text, ABSENT) for text in values]
                else:
                    rows[column] = values
            parts.append(rows)
    except (OSError, ValueError, KeyError) as error:
        raise TailraceError(f"cannot read raw samples from {path}: {error}") from None
    return RawSamples(np.concatenate(parts), list(found["failure"]), list(found["target"]))


_Columns = dict[str, Any]
"""Numbers, or texts of which an empty one is none, by name."""


def _read_csv(path: Path) -> Iterator[_Columns]:
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        header = next(lines, [])
        while rows := list(islice(lines, GROUP)):
            if len(rows[-1]) < len(header):
                rows.pop()  # cut off, with the run
            if not rows:
                return
            yield {
                name: values if name in TEXTS else _integers(values, name)
                for name, values in zip(header, zip(*rows, strict=True), strict=True)
            }


def _integers(values: Sequence[str], column: str) -> list[int]:
    absent = absent_in(column)
    return [int(value) if value else absent for value in values]


def _read_parquet(path: Path) -> Iterator[_Columns]:
    require_arrow()
    import pyarrow.dataset

    data = pyarrow.dataset.dataset(path if path.exists() else parts_of(path), format="parquet")
    for batch in data.to_batches(columns=list(COLUMNS), batch_size=GROUP):
        yield {
            name: batch[name].cast("string").fill_null("").to_pylist()
            if name in TEXTS
            else batch[name].fill_null(absent_in(name)).to_numpy()
            for name in COLUMNS
        }
