"""Pictures as files: drawn scenes, and PNG and JPEG put together piece by piece."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import cv2
from PIL import Image

from tailrace.datasets.shapes import draw_scene


def scene_bytes(seed: int, suffix: str = ".jpg", size_px: tuple[int, int] | None = None) -> bytes:
    """A drawn scene as a file; `size_px` is width, height."""
    image = cv2.cvtColor(draw_scene(seed).image, cv2.COLOR_RGB2BGR)
    if size_px is not None:
        image = cv2.resize(image, size_px)
    _, encoded = cv2.imencode(suffix, image)
    return encoded.tobytes()


def picture(png: bytes) -> Image.Image:
    """What a file shows."""
    return Image.open(io.BytesIO(png)).convert("RGB")


def image_file(image: Image.Image, form: str, **options: Any) -> bytes:
    """An image as a file of the form, such as "PNG"."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG, with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(
    width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2, interlaced: int = 0
) -> bytes:
    """A PNG that says so of itself, and has these chunks."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


def segment(marker: int, data: bytes) -> bytes:
    """A segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data
