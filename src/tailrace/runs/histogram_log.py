"""Reading `latency.hlog` back: its intervals' histograms, merged or one by one.

The format is HdrHistogram's log 1.2 with histograms in its V2 compressed encoding, whose buckets at
three significant digits are those of `load/measure/histogram.py`. Decoded many at a time, they
take some 10 µs each; hdrhistogram's own reader takes 50 µs.
"""

import base64
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailrace.load.measure.histogram import LOWEST_US, SIZE, WIDTH_US, Histogram, IntArray
from tailrace.untrusted import UnreadableError

_COMPRESSED = 0x1C849304
_PLAIN = 0x1C849303
_WORD_SIZE = 0xF0
"""Bits of a cookie that say how wide counts are; the encoding is the same for all."""
_HEADER = struct.Struct(">II")
"""Cookie and length, before the compressed bytes as well as at the start of what is in them."""
_HEADER_SIZE = 40
"""Of the decompressed form, up to the counts."""
_LONGEST = 9
"""Bytes of the longest number."""
_AT_ONCE = 50
"""Histograms decoded together: many enough for numpy, few enough for the processor's cache."""
MOST_MERGED = 2**29
"""Counts that are added up, of all intervals together: 2,000 in each second of three days."""
MOST_APART = 2**26
"""Counts that are kept apart, some 24 bytes each: 750 in each second of a day."""
_MOST_CELLS = 2**28
"""Of the matrix of intervals and buckets, 8 bytes each."""


@dataclass(frozen=True, slots=True)
class LoggedIntervals:
    """The histograms of a log, one a row, by the buckets that any of them uses."""

    starts: tuple[str, ...]
    """When each began, Unix time in seconds, as the log writes it: six decimals."""
    buckets: IntArray
    """int64 [k]: numbers of the buckets in use, ascending."""
    counts: IntArray
    """int64 [n, k]."""


def read_log(lines: Iterable[bytes], most: int = MOST_APART) -> LoggedIntervals:
    """The histograms of a log, line by line; a line that is damaged is left out.

    Raises:
        UnreadableError: it has more than `most` counts.
    """
    starts: list[str] = []
    cells: list[tuple[IntArray, IntArray, IntArray]] = []
    for batch in _batches(lines, most):
        owner, bucket, count = _cells([payload for _, payload in batch])
        cells.append((len(starts) + owner, bucket, count))
        starts += (line.partition(b",")[0].decode("ascii", "replace") for line, _ in batch)
    none = np.zeros(0, dtype=np.int64)
    owner, bucket, count = (
        (np.concatenate(parts) for parts in zip(*cells, strict=True)) if cells else (none,) * 3
    )
    buckets, column = np.unique(bucket, return_inverse=True)
    if len(starts) * len(buckets) > _MOST_CELLS:
        raise UnreadableError("latency.hlog cannot be read: it holds more than a run has")
    counts = np.zeros((len(starts), len(buckets)), dtype=np.int64)
    np.add.at(counts, (owner, column), count)
    return LoggedIntervals(tuple(starts), buckets, counts)


def merge_log(lines: Iterable[bytes], most: int = MOST_MERGED) -> Histogram:
    """The histograms of all lines of a log added up; a line that is damaged is passed over.

    The log knows buckets alone, so the mean comes from their middles, and the maximum is the last
    one's upper edge.

    Raises:
        UnreadableError: it has more than `most` counts.
    """
    counts = np.zeros(SIZE, dtype=np.int64)
    for batch in _batches(lines, most):
        _, bucket, count = _cells([payload for _, payload in batch])
        np.add.at(counts, bucket, count)
    merged = Histogram()
    merged.counts = counts
    merged.total = int(counts.sum())
    used = np.flatnonzero(counts)
    if len(used):
        middles_ns = 1000 * LOWEST_US[used] + 500 * (WIDTH_US[used] - 1)
        merged.sum_ns = int((counts[used] * middles_ns).sum())
        merged.max_ns = int(LOWEST_US[used[-1]] + WIDTH_US[used[-1]] - 1) * 1000
    return merged


def _batches(lines: Iterable[bytes], most: int) -> Iterator[list[tuple[bytes, bytes]]]:
    """Lines that can be read, each with its encoded counts, some at a time."""
    batch: list[tuple[bytes, bytes]] = []
    unpacked_bytes = 0
    for line in lines:
        if payload := _payload(line):
            batch.append((line, payload))
            unpacked_bytes += len(payload)
        if unpacked_bytes > most:
            raise UnreadableError("latency.hlog cannot be read: it holds more than a run has")
        if len(batch) == _AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _payload(line: bytes) -> bytes:
    """The encoded counts of one line; empty where it has none that can be read."""
    if not line[:1].isdigit():
        return b""
    try:
        packed = base64.b64decode(line.rpartition(b",")[2], validate=True)
        cookie, length = _HEADER.unpack_from(packed)
        if cookie & ~_WORD_SIZE != _COMPRESSED or length != len(packed) - _HEADER.size:
            return b""
        unpacking = zlib.decompressobj()
        plain = unpacking.decompress(packed[_HEADER.size :], _HEADER_SIZE + _LONGEST * SIZE)
        if not unpacking.eof:
            return b""
        cookie, length = _HEADER.unpack_from(plain)
    except (ValueError, struct.error, zlib.error):
        return b""
    counts = plain[_HEADER_SIZE:]
    # The last byte of a LEB128 number is the one whose top bit is clear.
    whole = length == len(counts) and cookie & ~_WORD_SIZE == _PLAIN and counts[-1:] < b"\x80"
    # Of a histogram that counted nothing: the number 0, so that it is not taken for damaged.
    return (counts or b"\0") if whole else b""


def _cells(payloads: list[bytes]) -> tuple[IntArray, IntArray, IntArray]:
    """Payload number, bucket and count, int64 [m] each, of every bucket in use, from ZigZag LEB128
    numbers: n is one bucket's count, -n is n empty buckets.
    """
    data = np.frombuffer(b"".join(payloads), dtype=np.uint8)
    starts = np.concatenate(([0], np.flatnonzero(data < 0x80)[:-1] + 1))
    numbers = _numbers(data, starts)
    steps = np.where(numbers < 0, -numbers, 1)
    place = np.cumsum(steps) - steps
    # Each payload counts its buckets from 0.
    begins = np.cumsum([0, *map(len, payloads[:-1])])
    first = np.searchsorted(starts, begins)
    lengths = np.diff(np.append(first, len(starts)))
    place -= np.repeat(place[first], lengths)
    owner = np.repeat(np.arange(len(payloads)), lengths)
    counted = (numbers > 0) & (place >= 0) & (place < SIZE)
    return owner[counted], place[counted], numbers[counted]


def _numbers(data: NDArray[np.uint8], starts: IntArray) -> IntArray:
    lengths = np.diff(np.append(starts, len(data)))
    raw = (data[starts] & 0x7F).astype(np.uint64)
    longer = np.arange(len(starts))
    for byte in range(1, min(int(lengths.max()), _LONGEST)):
        longer = longer[lengths[longer] > byte]
        part = (data[starts[longer] + byte] & 0x7F).astype(np.uint64)
        raw[longer] |= part << np.uint64(7 * byte)
    sign = -(raw & np.uint64(1)).astype(np.int64)
    numbers: IntArray = (raw >> np.uint64(1)).astype(np.int64) ^ sign
    return numbers
