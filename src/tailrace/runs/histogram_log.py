"""Reading `latency.hlog` back: all its intervals' histograms, merged.

The format is HdrHistogram's log 1.2 with histograms in its V2 compressed encoding, whose buckets at
three significant digits are those of `tailrace.load.histogram`. Decoded many at a time, they take
some 10 µs each; hdrhistogram's own reader takes 50 µs.
"""

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from tailrace.load.histogram import LOWEST_US, SIZE, WIDTH_US, Histogram, IntArray

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


def merge_log(log: bytes) -> Histogram:
    """The histograms of all lines of `log` added up; a line that is damaged is passed over.

    The log knows buckets alone, so the mean comes from their middles, and the maximum is the last
    one's upper edge.
    """
    counts = np.zeros(SIZE, dtype=np.int64)
    payloads = [payload for line in log.splitlines() if (payload := _payload(line))]
    for first in range(0, len(payloads), _AT_ONCE):
        counts += _merge(payloads[first : first + _AT_ONCE])
    merged = Histogram()
    merged.counts = counts
    merged.total = int(counts.sum())
    used = np.flatnonzero(counts)
    if len(used):
        middles_ns = 1000 * LOWEST_US[used] + 500 * (WIDTH_US[used] - 1)
        merged.sum_ns = int((counts[used] * middles_ns).sum())
        merged.max_ns = int(LOWEST_US[used[-1]] + WIDTH_US[used[-1]] - 1) * 1000
    return merged


def _payload(line: bytes) -> bytes:
    """The encoded counts of one line; empty where it has none that can be read."""
    if not line[:1].isdigit():
        return b""
    try:
        packed = base64.b64decode(line.rpartition(b",")[2], validate=True)
        cookie, length = _HEADER.unpack_from(packed)
        if cookie & ~_WORD_SIZE != _COMPRESSED or length != len(packed) - _HEADER.size:
            return b""
        plain = zlib.decompress(packed[_HEADER.size :])
        cookie, length = _HEADER.unpack_from(plain)
    except (ValueError, struct.error, zlib.error):
        return b""
    counts = plain[_HEADER_SIZE:]
    # The last byte of a LEB128 number is the one whose top bit is clear.
    whole = length == len(counts) and cookie & ~_WORD_SIZE == _PLAIN and counts[-1:] < b"\x80"
    return counts if whole else b""


def _merge(payloads: list[bytes]) -> IntArray:
    """Counts, int64 [SIZE], of ZigZag LEB128 numbers: n is one bucket's, -n is n empty buckets."""
    data = np.frombuffer(b"".join(payloads), dtype=np.uint8)
    starts = np.concatenate(([0], np.flatnonzero(data < 0x80)[:-1] + 1))
    numbers = _numbers(data, starts)
    steps = np.where(numbers < 0, -numbers, 1)
    place = np.cumsum(steps) - steps
    # Each payload counts its buckets from 0.
    begins = np.cumsum([0, *map(len, payloads[:-1])])
    first = np.searchsorted(starts, begins)
    place -= np.repeat(place[first], np.diff(np.append(first, len(starts))))
    counted = (numbers > 0) & (place >= 0) & (place < SIZE)
    merged = np.zeros(SIZE, dtype=np.int64)
    np.add.at(merged, place[counted], numbers[counted])
    return merged


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
