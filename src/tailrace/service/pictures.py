"""The pictures `/gpu` sends through the model: a folder's, or drawn ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2

from tailrace.datasets import shapes
from tailrace.service.errors import PictureError

_DRAWN = 16
_JPEG_QUALITY = 95


@dataclass(frozen=True, slots=True)
class Picture:
    """The bytes of a JPEG or PNG, and what to call it."""

    name: str
    data: bytes


class Pictures(Protocol):
    """Where pictures come from. Threads may share one."""

    def draw(self) -> Picture:
        """A random one.

        Raises:
            PictureError: it cannot be read.
        """


class FolderPictures:
    """Pictures in files, read each time, as a service with a data set does."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = tuple(files)

    def draw(self) -> Picture:
        """See Pictures."""
        file = random.choice(self._files)
        try:
            return Picture(file.name, file.read_bytes())
        except OSError as error:
            raise PictureError(f"cannot read {file.name}: {error.strerror}") from error


class DrawnPictures:
    """A few held-out scenes of the embedded model's own kind, each drawn when first wanted."""

    def __init__(self) -> None:
        self._drawn: dict[int, Picture] = {}

    def draw(self) -> Picture:
        """See Pictures."""
        seed = random.choice(shapes.HELD_OUT_SEEDS[:_DRAWN])
        picture = self._drawn.get(seed)
        if picture is None:
            # Two threads may draw the same one at first; they draw the same.
            scene = cv2.cvtColor(shapes.draw_scene(seed).image, cv2.COLOR_RGB2BGR)
            _, encoded = cv2.imencode(".jpg", scene, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
            picture = self._drawn[seed] = Picture(f"scene {seed}", encoded.tobytes())
        return picture
