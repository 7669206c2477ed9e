"""COCO's run-length masks, which mark crowds: resized, in either of their two encodings.

A mask is {"size": [height, width], "counts": ...}: lengths of the runs of 0, 1, 0, ... down the
columns, as a list, or packed in a string as pycocotools packs them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def resize(mask: Mapping[str, Any], size_px: tuple[int, int]) -> dict[str, Any]:
    """The mask at `size_px` (width, height), by nearest neighbours; its counts become a list.

    Raises:
        ValueError: the counts do not cover the size.
    """
    resized = cv2.resize(decode(mask), size_px, interpolation=cv2.INTER_NEAREST)
    return encode(np.asarray(resized, np.uint8))


def decode(mask: Mapping[str, Any]) -> NDArray[np.uint8]:
    """The mask as uint8 [height, width], 0 or 1.

    Raises:
        ValueError: the counts do not cover the size.
    """
    height, width = mask["size"]
    counts = mask["counts"]
    runs = np.array(unpack(counts) if isinstance(counts, str) else counts, np.int64)
    if np.any(runs < 0) or runs.sum() != height * width or height * width == 0:
        raise ValueError(f"run lengths do not cover a mask of {width} x {height}")
    flat = np.repeat((np.arange(len(runs)) % 2).astype(np.uint8), runs)
    return np.ascontiguousarray(flat.reshape(width, height).T)


def encode(mask: NDArray[np.uint8]) -> dict[str, Any]:
    """The run lengths of a mask, uint8 [height, width], 0 or 1."""
    flat = mask.T.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    # Runs begin with one of zeros, be it empty.
    start = [0] if flat[0] == 0 else [0, 0]
    counts = np.diff([*start, *edges, flat.size])
    return {"size": list(mask.shape), "counts": counts.tolist()}


def unpack(text: str) -> Sequence[int]:
    """Run lengths from a string: five bits a character from `0` on, least first, bit 5 for more
    to come, the sign in the last; from the fourth length on, differences to the second last.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts
