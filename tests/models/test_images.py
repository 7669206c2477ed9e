"""Decoding and MLPerf's preprocessing."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tailrace.models import images
from tailrace.models.images import (
    MAX_PIXELS,
    ImageError,
    ImageTooLargeError,
    NotAnImageError,
    TooManyPixelsError,
    decode,
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


# MLPerf's reference, step by step and in its order, for one picture: RGB, [height, width, 3].


def _stretched(image: NDArray[np.uint8], size_px: int) -> NDArray[np.float32]:
    rgb = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_BGR2RGB)
    return np.asarray(cv2.resize(rgb, (size_px, size_px), interpolation=cv2.INTER_LINEAR))


def _cropped(image: NDArray[np.uint8], interpolation: int) -> NDArray[np.float32]:
    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    height, width, _ = rgb.shape
    if height > width:
        wide, high = 256, int(256 * height / width)
    else:
        wide, high = int(256 * width / height), 256
    rgb = cv2.resize(rgb, (wide, high), interpolation=interpolation)
    left, right = int((wide - 224) / 2), int((wide + 224) / 2)
    top, bottom = int((high - 224) / 2), int((high + 224) / 2)
    return np.asarray(rgb[top:bottom, left:right], np.float32)


def _ssd_mobilenet(image: NDArray[np.uint8]) -> NDArray[Any]:
    return _stretched(image, 300).astype(np.uint8)


def _ssd_resnet34(image: NDArray[np.uint8]) -> NDArray[Any]:
    mean = np.array([0.485, 0.456, 0.406], np.float32)
    deviation = np.array([0.229, 0.224, 0.225], np.float32)
    return (_stretched(image, 1200) / 255.0 - mean) / deviation


def _retinanet(image: NDArray[np.uint8]) -> NDArray[Any]:
    return _stretched(image, 800) / 255.0


def _resnet50(image: NDArray[np.uint8]) -> NDArray[Any]:
    return _cropped(image, cv2.INTER_AREA) - np.array([123.68, 116.78, 103.94], np.float32)


def _mobilenet(image: NDArray[np.uint8]) -> NDArray[Any]:
    return (_cropped(image, cv2.INTER_LINEAR) / 255.0 - 0.5) * 2


Preprocess = Callable[[NDArray[np.uint8]], NDArray[Any]]

DETECTORS: list[tuple[Preprocess, Preprocess]] = [
    (images.ssd_mobilenet, _ssd_mobilenet),
    (images.ssd_resnet34, _ssd_resnet34),
    (images.retinanet, _retinanet),
]
CLASSIFIERS: list[tuple[Preprocess, Preprocess]] = [
    (images.resnet50, _resnet50),
    (images.mobilenet, _mobilenet),
]
PUBLISHED = {
    images.ssd_mobilenet: (np.uint8, (1, 300, 300, 3)),
    images.ssd_resnet34: (np.float32, (1, 3, 1200, 1200)),
    images.retinanet: (np.float32, (1, 3, 800, 800)),
    images.resnet50: (np.float32, (1, 3, 224, 224)),
    images.mobilenet: (np.float32, (1, 3, 224, 224)),
}


# One unit in the last place of a pixel resized in float32, 2**-16 of 255, after the division by 255
# and by the smallest deviation, and the rounding of these steps. The others are equal bit for bit.
TOLERANCE = {images.ssd_resnet34: 1e-6, images.retinanet: 2e-7}


def _picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _check_pixels(preprocess: Preprocess, reference: Preprocess, image: NDArray[np.uint8]) -> None:
    before = image.copy()
    tensor = preprocess(image)
    assert (tensor.dtype, tensor.shape) == PUBLISHED[preprocess]
    assert tensor.flags.c_contiguous
    assert np.array_equal(image, before), "the picture itself is left alone"
    packed = tensor[0] if tensor.shape[-1] == 3 else tensor[0].transpose(1, 2, 0)
    difference = np.abs(packed.astype(np.float64) - reference(image)).max()
    assert difference <= TOLERANCE.get(preprocess, 0)


_FEW = settings(max_examples=25)


@pytest.mark.parametrize(("preprocess", "reference"), DETECTORS + CLASSIFIERS)
@pytest.mark.parametrize("size", [(480, 640), (640, 480), (300, 300), (224, 224), (333, 1001)])
def test_values_are_mlperfs(
    preprocess: Preprocess, reference: Preprocess, size: tuple[int, int]
) -> None:
    _check_pixels(preprocess, reference, _picture(*size))


@given(st.integers(1, 900), st.integers(1, 900), st.integers(0, 2**32))
@settings(max_examples=200)
def test_values_of_ssd_mobilenet_are_mlperfs_at_any_size(
    height: int, width: int, seed: int
) -> None:
    _check_pixels(images.ssd_mobilenet, _ssd_mobilenet, _picture(height, width, seed))


@pytest.mark.parametrize(("preprocess", "reference"), DETECTORS[1:])
@given(height=st.integers(1, 900), width=st.integers(1, 900), seed=st.integers(0, 2**32))
@_FEW
def test_values_of_detectors_are_mlperfs_at_any_size(
    preprocess: Preprocess, reference: Preprocess, height: int, width: int, seed: int
) -> None:
    _check_pixels(preprocess, reference, _picture(height, width, seed))


@pytest.mark.parametrize(("preprocess", "reference"), CLASSIFIERS)
@given(height=st.integers(9, 900), width=st.integers(9, 900), seed=st.integers(0, 2**32))
@_FEW
def test_values_of_classifiers_are_mlperfs_at_any_size(
    preprocess: Preprocess, reference: Preprocess, height: int, width: int, seed: int
) -> None:
    _check_pixels(preprocess, reference, _picture(height, width, seed))


@pytest.mark.parametrize(("preprocess", "reference"), DETECTORS)
@pytest.mark.parametrize(
    "size", [(1, 1), (1, 2), (1, 65_000), (65_000, 1), (2, 9_000), (9_000, 3), (1, 2_000_000)]
)
def test_detectors_take_any_shape(
    preprocess: Preprocess, reference: Preprocess, size: tuple[int, int]
) -> None:
    _check_pixels(preprocess, reference, _picture(*size))


@pytest.mark.parametrize(("preprocess", "reference"), CLASSIFIERS)
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (1, 300), (300, 1), (3, 1100)])
def test_classifiers_take_small_and_long_pictures(
    preprocess: Preprocess, reference: Preprocess, size: tuple[int, int]
) -> None:
    _check_pixels(preprocess, reference, _picture(*size))


@pytest.mark.parametrize(("preprocess", "_reference"), CLASSIFIERS)
@pytest.mark.parametrize("size", [(1, 382), (382, 1), (2, 65_000), (65_000, 1)])
def test_classifiers_refuse_what_would_grow_beyond_the_limit(
    preprocess: Preprocess, _reference: Preprocess, size: tuple[int, int]
) -> None:
    # The short side becomes 256, so 382 x 1 pixels become 97,792 x 256: 25,034,752.
    with pytest.raises(ImageTooLargeError, match="too long for its breadth"):
        preprocess(_picture(*size))


def test_every_value_of_a_pixel_is_mapped_as_published() -> None:
    for value in (0, 1, 127, 128, 254, 255):
        blue, green, red = value, 255 - value, 7
        image = np.full((40, 60, 3), (blue, green, red), np.uint8)
        assert images.ssd_mobilenet(image)[0, 150, 150].tolist() == [red, green, blue]
        scaled = np.array([red, green, blue]) / 255
        expected = {
            images.ssd_resnet34: (scaled - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225),
            images.retinanet: scaled,
            images.resnet50: np.array([red - 123.68, green - 116.78, blue - 103.94]),
            images.mobilenet: scaled * 2 - 1,
        }
        for preprocess, rgb in expected.items():
            tensor = preprocess(image)
            middle = tensor[0, :, tensor.shape[2] // 2, tensor.shape[3] // 2]
            assert middle == pytest.approx(rgb, abs=1e-5)


@pytest.mark.parametrize(
    ("preprocess", "shape"),
    [(images.ssd_resnet34, (1, 1200, 1200, 3)), (images.resnet50, (1, 224, 224, 3))],
)
def test_channels_last_holds_the_same_values(
    preprocess: Callable[[NDArray[np.uint8]], NDArray[np.float32]], shape: tuple[int, ...]
) -> None:
    packed = images.channels_last(preprocess)(IMAGE)
    assert (packed.dtype, packed.shape) == (np.float32, shape)
    assert packed.flags.c_contiguous
    assert np.array_equal(packed.transpose(0, 3, 1, 2), preprocess(IMAGE))


def test_a_picture_may_have_as_many_pixels_as_the_limit_says_and_no_more() -> None:
    data = cv2.imencode(".png", np.zeros((30, 40, 3), np.uint8))[1].tobytes()
    assert decode(data, 1200).shape == (30, 40, 3)
    with pytest.raises(TooManyPixelsError, match="40 x 30 = 1,200 pixels: the limit is 1,199"):
        decode(data, 1199)
