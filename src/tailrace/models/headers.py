"""What the bytes of a JPEG or PNG say about themselves, read without decoding.

Decoders allocate what a header asks for, and OpenCV fills the rest of a truncated JPEG with
grey: both must be known before it is called.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_JPEG_SIGNATURE = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_START_OF_SCAN = 0xDA
# Of some 64 kB each at most; more of them than this are an attack on whoever walks them.
_MAX_SEGMENTS = 4096
# SOF0 to SOF15 without DHT (C4), JPG (C8) and DAC (CC): ITU-T T.81, table B.1.
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers that stand alone, with no length after them: TEM, RST0 to RST7.
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})


@dataclass(frozen=True, slots=True)
class Header:
    """Format and size of a picture; `complete` is False where its end is missing."""

    format: Literal["JPEG", "PNG"]
    width_px: int
    height_px: int
    complete: bool


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
    if len(data) < 33 or data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack_from(">II", data, 16)
    return Header("PNG", width, height, complete=data.find(_PNG_END, 33) >= 0)


def _jpeg(data: bytes) -> Header | None:
    size: tuple[int, int] | None = None
    offset = 2
    for _ in range(_MAX_SEGMENTS):
        if offset + 4 > len(data):
            break
        if data[offset] != 0xFF:
            return None
        marker = data[offset + 1]
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
            # Within scans FF is followed by 00 or a marker, so this is the end, whatever
            # a camera has put behind it.
            complete = data.find(_JPEG_END, offset) >= 0
            return Header("JPEG", *size, complete) if size is not None else None
    return Header("JPEG", *size, complete=False) if size is not None else None
