"""What the bytes of a JPEG or PNG say about themselves, read without decoding.

Decoders allocate what a header asks for, and OpenCV fills the rest of a truncated JPEG with
grey: both must be known before it is called.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Literal

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_FIRST = b"\0\0\0\rIHDR"
_ANIMATION = frozenset({b"acTL", b"fcTL"})
_JPEG_SIGNATURE = b"\xff\xd8\xff"
_END, _START_OF_SCAN = 0xD9, 0xDA
# Of a JPEG and of a PNG; more of them than this are an attack on whoever walks them.
_MAX_SEGMENTS = 4096
_MAX_CHUNKS = 65_536
# SOF0 to SOF15 without DHT (C4), JPG (C8) and DAC (CC): ITU-T T.81, table B.1.
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers that stand alone, with no length after them: TEM, RST0 to RST7.
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
# Any other marker. Within scans FF that is data is followed by 00.
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_FIRST_IN_USE = 0xC0


@dataclass(frozen=True, slots=True)
class Header:
    """Format and size of a picture; `complete` is False where its end is missing."""

    format: Literal["JPEG", "PNG"]
    width_px: int
    height_px: int
    complete: bool
    scans: int = 1
    """Times that a JPEG's decoder goes over the whole picture, in however few bytes."""
    data_bytes: int = 0
    """Compressed pixels of a PNG, which its decoder inflates to their end, needed or not."""
    extras: int = 0
    """Chunks of a PNG besides its pixels: texts that are inflated to megabytes each, and such."""
    animated: bool = False
    """Whether a PNG has more than one picture, or says so."""


def read_header(data: bytes) -> Header | None:
    """The header of a picture file.

    None for anything but JPEG (ITU-T T.81) and PNG (ISO/IEC 15948), and for files that end or
    break before their size is told.
    """
    if data.startswith(_PNG_SIGNATURE):
        return _png(data)
    if data.startswith(_JPEG_SIGNATURE):
        return _jpeg(data)
    return None


def looks_like_image(data: bytes) -> bool:
    """Whether the first bytes are those of a JPEG or PNG, whatever comes after."""
    return data.startswith((_PNG_SIGNATURE, _JPEG_SIGNATURE))


def _png(data: bytes) -> Header | None:
    if len(data) < 33 or data[8:16] != _PNG_FIRST:
        return None
    width, height = struct.unpack_from(">II", data, 16)
    offset, data_bytes, extras, animated, complete = 33, 0, 0, False, False
    for _ in range(_MAX_CHUNKS):
        if offset + 12 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, offset)
        offset += 12 + length
        if kind == b"IEND":
            complete = offset <= len(data)
            break
        if kind == b"IDAT":
            data_bytes += length
        else:
            extras += 1
        animated |= kind in _ANIMATION
    return Header("PNG", width, height, complete, 1, data_bytes, extras, animated)


def _jpeg(data: bytes) -> Header | None:
    size: tuple[int, int] | None = None
    offset = 2
    for _ in range(_MAX_SEGMENTS):
        if offset + 4 > len(data):
            break
        if data[offset] != 0xFF:
            return None
        marker = data[offset + 1]
        if marker == 0:  # none: decoders would find theirs in what follows
            return None
        if marker == 0xFF:  # a fill byte
            offset += 1
            continue
        if marker in _STANDALONE:
            offset += 2
            continue
        (length,) = struct.unpack_from(">H", data, offset + 2)
        if length < 2:
            return None
        if marker in _START_OF_FRAME and offset + 9 <= len(data):
            height, width = struct.unpack_from(">HH", data, offset + 5)
            size = width, height
        offset += 2 + length
        if marker == _START_OF_SCAN:
            return Header("JPEG", *size, *_scans(data, offset)) if size is not None else None
    return Header("JPEG", *size, complete=False) if size is not None else None


def _scans(data: bytes, offset: int) -> tuple[bool, int]:
    # Whether the end is there, whatever a camera has put behind it, and how many scans before it;
    # `offset` is where the first one's data begins.
    scans = 1
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.search(data, offset)
        if found is None:
            break
        offset = found.end()
        marker = data[offset - 1]
        if marker == _END:
            return True, scans
        if marker < _FIRST_IN_USE or offset + 2 > len(data):
            break
        scans += marker == _START_OF_SCAN
        offset += struct.unpack_from(">H", data, offset)[0]
    return False, scans
