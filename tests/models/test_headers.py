"""Headers of pictures, and whether their ends are there."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.models.headers import Header, read_header

RNG = np.random.default_rng(1)
IMAGE = RNG.integers(0, 255, (37, 53, 3), dtype=np.uint8)


def _encode(suffix: str, *parameters: int) -> bytes:
    return cv2.imencode(suffix, IMAGE, list(parameters))[1].tobytes()


JPEG = _encode(".jpg")
PNG = _encode(".png")
PROGRESSIVE = _encode(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
RESTARTS = _encode(".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 1)


@pytest.mark.parametrize(
    ("data", "kind"),
    [(JPEG, "JPEG"), (PROGRESSIVE, "JPEG"), (RESTARTS, "JPEG"), (PNG, "PNG")],
    ids=["jpeg", "progressive", "restarts", "png"],
)
def test_size_and_end(data: bytes, kind: str) -> None:
    whole = read_header(data)
    assert whole is not None
    assert (whole.format, whole.width_px, whole.height_px, whole.complete) == (kind, 53, 37, True)
    behind = read_header(data + bytes(50))
    assert behind == whole
    for length in range(len(data)):
        header = read_header(data[:length])
        assert header is None or not header.complete


def test_end_of_a_thumbnail_is_not_the_end() -> None:
    # An EXIF segment may hold a whole JPEG of its own.
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(JPEG)) + JPEG
    data = JPEG[:2] + segment + JPEG[2:]
    assert read_header(data) == Header("JPEG", 53, 37, complete=True)
    cut = read_header(data[: len(data) - 2])
    assert cut is not None
    assert not cut.complete


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"RIFF____WEBP", b"\xff\xd8", b"\x89PNG"])
def test_others_have_none(data: bytes) -> None:
    assert read_header(data) is None


def test_endless_segments_are_given_up() -> None:
    assert read_header(b"\xff\xd8" + b"\xff\xe0\x00\x02" * 1_000_000) is None
    assert read_header(b"\xff\xd8" + b"\xff" * 1_000_000) is None


@given(st.binary(max_size=400), st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", JPEG, PNG]))
def test_nothing_breaks_it(tail: bytes, start: bytes) -> None:
    read_header(start + tail)
    read_header(start[: len(start) // 2] + tail)
