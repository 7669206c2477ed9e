"""LoadGen's accuracy log: what the system under test answered to each sample."""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from tailrace.errors import TailraceError
from tailrace.mlperf.system import Record
from tailrace.untrusted import UnreadableError, decode_json, read_file

_MOST_BYTES = 2**32
"""A detector's log of OpenImages has 1 GB."""


class _Entry(msgspec.Struct):
    seq_id: int
    qsl_idx: Annotated[int, msgspec.Meta(ge=0)]
    data: str


def read_log(file: Path, total: int) -> Mapping[int, Record]:
    """The record of each sample, float32 [n], by its index in a data set of `total` samples.

    LoadGen may issue a sample more than once; as in MLPerf's own scripts, its first record counts.

    Raises:
        TailraceError: the file cannot be read, is cut off or not LoadGen's, has no records, or
            those of another data set.
    """
    try:
        data = read_file(file, _MOST_BYTES)
    except UnreadableError as error:
        raise TailraceError(f"{file.parent}: {error}") from error
    if data is None:
        raise TailraceError(f"there is no {file}")
    try:
        entries = decode_json(data, list[_Entry])
    except UnreadableError as error:
        # msgspec has no class of its own for it.
        if "truncated" in str(error):
            message = f"{file} is truncated: the test did not end, or its disk was full"
        else:
            message = f"{file} is not an accuracy log of LoadGen's: {error}"
        raise TailraceError(message) from error
    if not entries:
        raise TailraceError(f"{file} has no records: it is not of an accuracy test")
    records: dict[int, Record] = {}
    for entry in entries:
        if entry.qsl_idx >= total:
            raise TailraceError(
                f"{file} is of another data set: it has sample {entry.qsl_idx}, and the data set "
                f"ends with {total - 1}"
            )
        if entry.qsl_idx not in records:
            records[entry.qsl_idx] = _record(file, entry)
    return records


def _record(file: Path, entry: _Entry) -> Record:
    try:
        record = np.frombuffer(binascii.unhexlify(entry.data), "<f4").astype(np.float32)
    except ValueError as error:
        raise TailraceError(
            f"{file}: the record of sample {entry.qsl_idx} is not float32 in hex ({error})"
        ) from error
    if not np.isfinite(record).all():
        raise TailraceError(f"{file}: the record of sample {entry.qsl_idx} has infinities or NaNs")
    return record
