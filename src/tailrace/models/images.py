"""From the bytes of a picture to a model's input, with the operations of MLPerf's reference."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tailrace.errors import TailraceError
from tailrace.models.headers import looks_like_image, read_header

MAX_PIXELS = 25_000_000
"""Largest picture decoded. Resizing in float32, as MLPerf does, takes 12 bytes a pixel."""


class ImageError(TailraceError):
    """The bytes are not a picture that can be decoded."""


class NotAnImageError(ImageError):
    """The bytes are neither JPEG nor PNG."""


class ImageTooLargeError(ImageError):
    """The picture has more than MAX_PIXELS."""


def decode(data: bytes) -> NDArray[np.uint8]:
    """The picture in a JPEG or PNG: uint8 [height, width, 3], BGR as OpenCV has it.

    An EXIF orientation is ignored: boxes refer to the pixels as stored.

    Raises:
        NotAnImageError: neither JPEG nor PNG.
        ImageTooLargeError: more than MAX_PIXELS, by its header; nothing was decoded.
        ImageError: empty, truncated or broken.
    """
    if not data:
        raise ImageError("the body is empty: send the bytes of a JPEG or PNG")
    if not looks_like_image(data):
        raise NotAnImageError("the body is not a JPEG or PNG image")
    header = read_header(data)
    if header is None:
        raise ImageError("the image is broken or truncated: its header tells no size")
    if header.width_px * header.height_px > MAX_PIXELS:
        raise ImageTooLargeError(
            f"the image has {header.width_px} x {header.height_px} pixels: "
            f"the limit is {MAX_PIXELS:,} in all"
        )
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


def resize_to_uint8(image: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    """SSD-MobileNet's input: uint8 [1, size_px, size_px, 3], RGB, from a BGR picture.

    As MLPerf's reference: float32, INTER_LINEAR without keeping the aspect, truncated. Channels
    are resized apart from each other, so swapping them last gives the same values for less work.
    """
    resized = cv2.resize(
        image.astype(np.float32), (size_px, size_px), interpolation=cv2.INTER_LINEAR
    )
    return np.ascontiguousarray(resized.astype(np.uint8)[None, :, :, ::-1])
