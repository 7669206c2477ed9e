"""From the bytes of a picture to a model's input, with the operations of MLPerf's reference.

Each model's function takes a picture, uint8 [height, width, 3], BGR, as `decode` gives it.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from tailrace.errors import TailraceError
from tailrace.models.headers import looks_like_image, read_header

MAX_PIXELS = 25_000_000
"""Largest picture decoded, unless another limit is set, and the largest that one may become on its
way. Resizing in float32, as MLPerf does, takes 12 bytes a pixel."""
MAX_EXTRAS = 100
"""Most scans of a JPEG, of which some ten are usual, and chunks of a PNG besides its pixels."""

# Of a pixel, with 16 bits for each of four channels; and what rows and compression may add.
_MOST_BYTES = 8
_SLACK_BYTES = 64 * 2**10
_CROP_PERCENT = 87.5
# By channel, to be taken from [1, 3, height, width].
_IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)[:, None, None]
_IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]
_CHANNEL_MEANS = np.array([123.68, 116.78, 103.94], np.float32)[:, None, None]


class ImageError(TailraceError):
    """The bytes are not a picture that can be decoded."""


class NotAnImageError(ImageError):
    """The bytes are neither JPEG nor PNG."""


class ImageTooLargeError(ImageError):
    """The picture would have more than MAX_PIXELS on its way into the model."""


class TooManyPixelsError(ImageTooLargeError):
    """The picture has more pixels than are decoded."""


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """The picture in a JPEG or PNG: uint8 [height, width, 3], BGR as OpenCV has it.

    An EXIF orientation is ignored: boxes refer to the pixels as stored.

    Raises:
        NotAnImageError: neither JPEG nor PNG.
        TooManyPixelsError: more than `max_pixels`, by its header; nothing was decoded.
        ImageError: empty, truncated or broken.
    """
    if not data:
        raise ImageError("the body is empty: send the bytes of a JPEG or PNG")
    if not looks_like_image(data):
        raise NotAnImageError("the body is not a JPEG or PNG image")
    header = read_header(data)
    if header is None:
        raise ImageError("the image is broken or truncated: its header tells no size")
    if (pixels := header.width_px * header.height_px) > max_pixels:
        raise TooManyPixelsError(
            f"the image has {header.width_px} x {header.height_px} = {pixels:,} pixels: "
            f"the limit is {max_pixels:,}"
        )
    if header.animated:
        # A broken one makes OpenCV's decoder reach out of its memory.
        raise ImageError("the PNG is animated: send a still picture")
    if max(header.scans, header.extras) > MAX_EXTRAS:
        what = "scans" if header.format == "JPEG" else "chunks besides its pixels"
        raise ImageError(f"the {header.format} has more than {MAX_EXTRAS} {what}")
    if header.data_bytes > header.width_px * header.height_px * _MOST_BYTES + _SLACK_BYTES:
        raise ImageError("the PNG has more data than pixels")
    if not header.complete:
        raise ImageError(f"the {header.format} is truncated: its end is missing")
    try:
        image = cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error as error:
        raise ImageError(f"the {header.format} cannot be decoded: {error.err}") from error
    if image is None:
        raise ImageError(f"the {header.format} cannot be decoded: its data is broken")
    return np.asarray(image, np.uint8)


def ssd_mobilenet(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """SSD-MobileNet's input: uint8 [1, 300, 300, 3], RGB, truncated from float32."""
    # Swapping the channels last, or resizing one by one, would round some pixels the other way:
    # which of them OpenCV computes in vectors depends on where they lie in a row.
    rgb = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.float32)
    resized = cv2.resize(rgb, (300, 300), interpolation=cv2.INTER_LINEAR)
    return resized.astype(np.uint8)[None]


def ssd_resnet34(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """SSD-ResNet34's input: float32 [1, 3, 1200, 1200], RGB, by ImageNet's mean and deviation."""
    planes = _stretched(image, 1200)
    planes /= np.float32(255)
    planes -= _IMAGENET_MEAN
    planes /= _IMAGENET_STD
    return planes


def retinanet(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """RetinaNet's input: float32 [1, 3, 800, 800], RGB, 0..1."""
    planes = _stretched(image, 800)
    planes /= np.float32(255)
    return planes


def resnet50(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """ResNet-50's input: float32 [1, 3, 224, 224], RGB, 0..255 less the mean of each channel."""
    planes = _cropped(image, 224, cv2.INTER_AREA)
    planes -= _CHANNEL_MEANS
    return planes


def mobilenet(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """MobileNet's input: float32 [1, 3, 224, 224], RGB, -1..1."""
    planes = _cropped(image, 224, cv2.INTER_LINEAR)
    planes /= np.float32(255)
    planes -= np.float32(0.5)
    planes *= np.float32(2)
    return planes


def channels_last(
    preprocess: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """`preprocess` with its result as [1, height, width, 3]."""
    return lambda image: np.asarray(cv2.merge(list(preprocess(image)[0])), np.float32)[None]


def _stretched(image: NDArray[np.uint8], size_px: int) -> NDArray[np.float32]:
    # As MLPerf's reference: float32, without keeping the aspect. It resizes the channels together
    # and takes them apart afterwards, which differs in the last bit of some pixels.
    planes = np.empty((1, 3, size_px, size_px), np.float32)
    for channel, plane in zip((2, 1, 0), planes[0], strict=True):
        cv2.resize(
            cv2.extractChannel(image, channel).astype(np.float32),
            (size_px, size_px),
            dst=plane,
            interpolation=cv2.INTER_LINEAR,
        )
    return planes


def _cropped(image: NDArray[np.uint8], size_px: int, interpolation: int) -> NDArray[np.float32]:
    # As MLPerf's reference: the short side becomes size / 0.875, the long one in proportion, both
    # truncated; then the middle is cut out.
    height, width = image.shape[:2]
    short = int(100.0 * size_px / _CROP_PERCENT)
    if height > width:
        to_width, to_height = short, int(short * height / width)
    else:
        to_width, to_height = int(short * width / height), short
    if to_width * to_height > MAX_PIXELS:
        raise ImageTooLargeError(
            f"the image is too long for its breadth: {width} x {height} pixels become "
            f"{to_width} x {to_height} for this model, and the limit is {MAX_PIXELS:,} in all"
        )
    resized = cv2.resize(image, (to_width, to_height), interpolation=interpolation)
    left, top = int((to_width - size_px) / 2), int((to_height - size_px) / 2)
    crop = resized[top : top + size_px, left : left + size_px, ::-1]
    return crop.transpose(2, 0, 1)[None].astype(np.float32, order="C")
