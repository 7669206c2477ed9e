"""Decoding and MLPerf's preprocessing."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from tailrace.models.images import (
    MAX_PIXELS,
    ImageError,
    ImageTooLargeError,
    NotAnImageError,
    decode,
    resize_to_uint8,
)

IMAGE = np.random.default_rng(2).integers(0, 255, (480, 640, 3), dtype=np.uint8)


def test_png_comes_back_as_it_was() -> None:
    assert np.array_equal(decode(cv2.imencode(".png", IMAGE)[1].tobytes()), IMAGE)


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_alpha_become_three_channels(channels: int) -> None:
    image = IMAGE[:, :, :1] if channels == 1 else cv2.cvtColor(IMAGE, cv2.COLOR_BGR2BGRA)
    assert decode(cv2.imencode(".png", image)[1].tobytes()).shape == (480, 640, 3)


def test_orientation_is_ignored() -> None:
    jpeg = cv2.imencode(".jpg", IMAGE)[1].tobytes()
    # One EXIF entry: Orientation (0x0112) = 6, a quarter turn.
    tiff = b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 0)
    exif = b"Exif\0\0" + tiff
    turned = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(exif)) + exif + jpeg[2:]
    data = np.frombuffer(turned, np.uint8)
    assert cv2.imdecode(data, cv2.IMREAD_COLOR).shape == (640, 480, 3), "the tag is understood"
    assert np.array_equal(decode(turned), decode(jpeg))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", ImageError),
        (b"nothing", NotAnImageError),
        (cv2.imencode(".jpg", IMAGE)[1].tobytes()[:-2], ImageError),
        (cv2.imencode(".png", IMAGE)[1].tobytes()[:-1], ImageError),
        (cv2.imencode(".bmp", IMAGE)[1].tobytes(), NotAnImageError),
    ],
)
def test_refused(data: bytes, error: type[ImageError]) -> None:
    with pytest.raises(error):
        decode(data)


def test_large_pictures_are_refused_by_their_header() -> None:
    png = bytearray(cv2.imencode(".png", IMAGE)[1].tobytes())
    struct.pack_into(">II", png, 16, MAX_PIXELS, 2)
    with pytest.raises(ImageTooLargeError, match="25,000,000"):
        decode(bytes(png))


def test_resize_is_that_of_mlperf() -> None:
    # Step by step: decode to RGB, float32, INTER_LINEAR to 300x300, truncate.
    rgb = cv2.cvtColor(IMAGE, cv2.COLOR_BGR2RGB).astype(np.float32)
    expected = cv2.resize(rgb, (300, 300), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    tensor = resize_to_uint8(IMAGE, 300)
    assert tensor.shape == (1, 300, 300, 3)
    assert tensor.flags.c_contiguous
    assert np.array_equal(tensor[0], expected)
