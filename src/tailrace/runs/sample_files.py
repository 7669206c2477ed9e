"""Raw samples of a run, written to a file as it goes.

A Parquet file cannot be read before its end is written. So each interval's rows go into a small one
of its own, in a directory beside it, and these are joined when the run is over: of a run that is
killed, that directory is a data set that any reader of Parquet takes.
"""

import asyncio
import csv
import io
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tailrace.errors import UsageError
from tailrace.load.measure.samples import ABSENT, SAMPLE, TIMES, Rows
from tailrace.load.worker.messages import SampleBatch
from tailrace.runs.directory import written
from tailrace.runs.samples import (
    COLUMNS,
    FIELDS,
    GROUP,
    ROW,
    TEXTS,
    RawSamples,
    absent_in,
    parts_of,
    read_raw_samples,
    require_arrow,
)

if TYPE_CHECKING:
    import pyarrow

_MOST_REASONS = 10_000
_OTHER = "other reasons"
_MOST_WAITING = 2**28
"""Bytes of samples that wait for a disk: some 5 million."""
_ENCODING = {
    "use_dictionary": [name for name in COLUMNS if name not in TIMES],
    "column_encoding": dict.fromkeys(TIMES, "DELTA_BINARY_PACKED"),
}
"""A third of the size that Parquet files have otherwise, and of the time to write them."""


class _File(Protocol):
    def open(self) -> None:
        """Begin it anew. Raises OSError and UsageError."""

    def write(self, samples: RawSamples, about: Mapping[str, str]) -> None:
        """Add rows. Raises OSError, and leaves what was there whole."""

    def finish(self) -> None:
        """No rows follow. Raises OSError."""

    def discard(self) -> None:
        """Leave nothing behind."""


class SampleSink:
    """Takes a run's raw samples as they come, to the file `path` or, without one, into memory.

    Open it, add samples and write them each interval, and finish.

    Args:
        path: ends in `.parquet` or `.csv`; a file that is there is written anew.
        share: so many of all requests; None: all of them.

    Raises:
        UsageError: it does not, or what its format needs is not installed; there is no such share.
    """

    def __init__(self, path: Path | None, share: float | None = None) -> None:
        share = 1.0 if share is None else share
        if not 1e-9 <= share <= 1:
            raise UsageError(f"the share of samples must be from 1e-9 to 1, not {share:g}")
        self.path = path
        self.share = share
        self.broken: str | None = None
        """Why writing stopped, once it has; the run itself goes on."""
        self._targets: Sequence[str] = ()
        self._reasons: dict[str, int] = {}
        self._batches: list[tuple[int, SampleBatch]] = []
        self._waiting = 0
        """Bytes of them."""
        self.about: dict[str, str] = {}
        """What a Parquet file says of the run, as metadata; to be set before the first `write`."""
        self._file: _File = _format_of(path)

    def open(self, targets: Sequence[str]) -> None:
        """Make the file, for samples of these URLs.

        Raises:
            UsageError: it cannot be written.
        """
        self._targets = targets
        try:
            self._file.open()
        except OSError as error:
            raise UsageError(f"cannot write {self.path}: {error.strerror}") from None

    def add(self, worker: int, batch: SampleBatch) -> None:
        """Take what has come from a worker."""
        if self.broken is None:
            self._batches.append((worker, batch))
        self._waiting += batch.rows.nbytes
        if self._waiting > _MOST_WAITING:
            self._break("it takes too long")

    async def write(self) -> None:
        """Write down what has come. A disk that fails ends the writing, not the run."""
        batches, self._batches = self._batches, []
        self._waiting = 0
        if batches and self.broken is None:
            await asyncio.to_thread(self._write, batches)

    async def finish(self) -> None:
        """Write down what has come, and the end."""
        await self.write()
        try:
            await asyncio.to_thread(self._file.finish)
        except (OSError, ValueError) as error:
            self._break(error)

    def discard(self) -> None:
        """Take the file back: no run came of it."""
        self._file.discard()

    def read(self) -> RawSamples:
        """All samples, once it is finished."""
        if self.path is not None:
            return read_raw_samples(self.path)
        assert isinstance(self._file, _Memory)
        return RawSamples(np.concatenate(self._file.parts), list(self._reasons), self._targets)

    def _write(self, batches: list[tuple[int, SampleBatch]]) -> None:
        rows = np.concatenate([self._whole(worker, batch) for worker, batch in batches])
        try:
            self._file.write(RawSamples(rows, list(self._reasons), self._targets), self.about)
        except (OSError, ValueError) as error:
            self._break(error)

    def _whole(self, worker: int, batch: SampleBatch) -> Rows:
        """A batch's rows, with its worker and the run's own numbers of reasons."""
        taken = np.frombuffer(batch.rows, SAMPLE)
        rows = np.empty(len(taken), ROW)
        for name in FIELDS:
            rows[name] = taken[name]
        rows["worker"] = worker
        rows["reason"] = np.array([*map(self._number, batch.reasons), ABSENT])[taken["reason"]]
        return rows

    def _number(self, reason: str) -> int:
        if reason not in self._reasons and len(self._reasons) >= _MOST_REASONS:
            reason = _OTHER
        return self._reasons.setdefault(reason, len(self._reasons))

    def _break(self, error: Exception | str) -> None:
        why = (isinstance(error, OSError) and error.strerror) or error
        if self.broken is None:
            self.broken = f"cannot write raw samples to {self.path}: {why}"
            self._batches.clear()


class _Memory:
    def __init__(self) -> None:
        self.parts = [np.empty(0, ROW)]

    def open(self) -> None:
        pass

    def write(self, samples: RawSamples, about: Mapping[str, str]) -> None:
        self.parts.append(samples.rows)

    def finish(self) -> None:
        pass

    def discard(self) -> None:
        pass


class _Csv:
    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self) -> None:
        self._file = self._path.open("wb", buffering=0)
        self._append(",".join(COLUMNS) + "\n")

    def write(self, samples: RawSamples, about: Mapping[str, str]) -> None:
        columns = []
        for name in COLUMNS:
            values = samples[name].astype(object)
            if name not in TEXTS:
                values[samples[name] == absent_in(name)] = None
            columns.append(values.tolist())
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(zip(*columns, strict=True))
        self._append(text.getvalue())

    def finish(self) -> None:
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
    def __init__(self, path: Path) -> None:
        require_arrow()
        self._path = path
        self._parts = parts_of(path)
        self._count = 0

    def open(self) -> None:
        try:
            self._parts.mkdir()
        except FileExistsError:
            raise UsageError(
                f"{self._parts} has the raw samples of a run that was killed: move or delete it"
            ) from None
        self._path.unlink(missing_ok=True)
        self._schema = _schema({})

    def write(self, samples: RawSamples, about: Mapping[str, str]) -> None:
        from pyarrow import parquet

        self._schema = _schema(about)
        with written(self._part(self._count)) as file:
            parquet.write_table(_table(samples, self._schema), file, **_ENCODING)
        self._count += 1

    def finish(self) -> None:
        """Join the parts, one after another: a scanner would read far ahead."""
        import pyarrow
        from pyarrow import parquet

        with written(self._path) as file:
            with parquet.ParquetWriter(file, self._schema, **_ENCODING) as writer:
                waiting = [self._schema.empty_table()]
                for number in range(self._count):
                    waiting.append(parquet.read_table(self._part(number)))
                    if sum(map(len, waiting)) >= GROUP:
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


def _format_of(path: Path | None) -> _File:
    if path is None:
        return _Memory()
    match path.suffix:
        case ".csv":
            return _Csv(path)
        case ".parquet":
            return _Parquet(path)
    raise UsageError(f"raw samples go to a .parquet or .csv file, not to {path}")


def _schema(about: Mapping[str, str]) -> "pyarrow.Schema":
    import pyarrow

    text = pyarrow.dictionary(pyarrow.int16(), pyarrow.string())
    return pyarrow.schema(
        [
            (name, text if name in TEXTS else pyarrow.from_numpy_dtype(ROW[name]))
            for name in COLUMNS
        ],
        about,
    )


def _table(samples: RawSamples, schema: "pyarrow.Schema") -> "pyarrow.Table":
    import pyarrow

    arrays = []
    for name in COLUMNS:
        if name in TEXTS:
            numbers, names = samples.numbered(name)
            indices = pyarrow.array(numbers, mask=numbers == ABSENT)
            texts = pyarrow.array(names, "string")
            arrays.append(pyarrow.DictionaryArray.from_arrays(indices, texts))
        else:
            values = np.array(samples[name])
            arrays.append(pyarrow.array(values, mask=values == absent_in(name)))
    return pyarrow.Table.from_arrays(arrays, schema=schema)
