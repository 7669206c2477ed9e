"""The work on one picture, from its bytes to the answer; it runs on an inference thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tailrace.models.images import ImageError
from tailrace.models.model import Model
from tailrace.models.outputs import Classes, Detections
from tailrace.service.errors import PictureError
from tailrace.service.pictures import Pictures
from tailrace.service.stages import DECODE, PREPROCESS, StageClock


class Detection(msgspec.Struct, frozen=True):
    """One object in a picture."""

    label: str
    class_id: int
    score: float
    """0..1, to six digits."""
    box: tuple[float, float, float, float]
    """xmin, ymin, xmax, ymax in pixels of the picture sent, to a thousandth."""


class ImageClass(msgspec.Struct, frozen=True):
    """What a picture may be as a whole."""

    label: str
    class_id: int
    score: float | None
    """0..1, to six digits; None from a model that names its best class alone."""


class Detected(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer of `/predict` from a detector."""

    model: str
    detections: list[Detection]
    notice: str | None = None
    """What must be known of this model's answers."""


class Classified(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer of `/predict` from a classifier."""

    model: str
    classes: list[ImageClass]
    notice: str | None = None


Prediction = Detected | Classified


class PictureWork:
    """What is in one picture. See `tailrace.service.work.Work`."""

    rows = 1
    kind = "picture"

    def __init__(
        self, model: Model, read: Callable[[], bytes], threshold: float, clock: StageClock
    ) -> None:
        """`read` gives the bytes of the picture when its turn has come; reading counts as
        decoding. What scores less than `threshold` is left out of the answer."""
        self.model = model
        self.clock = clock
        self.outputs = model.format.outputs
        self._read = read
        self._threshold = threshold
        self._size_px = (0, 0)

    def prepare(self) -> Mapping[str, NDArray[Any]]:
        """See Work.

        Raises:
            ImageError: it is no picture that can be decoded.
        """
        image = self.model.decode(self._read())
        self.clock.end(DECODE)
        height_px, width_px = image.shape[:2]
        self._size_px = width_px, height_px
        tensor = self.model.preprocess(image)
        self.clock.end(PREPROCESS)
        return {self.model.format.input.name: tensor}

    def finish(self, tensors: Sequence[NDArray[Any]]) -> bytes:
        """The prediction, as JSON."""
        found = self.model.postprocess(tensors, *self._size_px)
        if self._threshold > 0:
            found = found.above(self._threshold)
        return msgspec.json.encode(prediction(self.model, found))


class RandomPictureWork:
    """One of the service's own pictures through a model, as `/gpu` does it."""

    rows = 1
    kind = "picture"

    def __init__(self, model: Model, pictures: Pictures, clock: StageClock) -> None:
        """Draws the picture when its turn has come."""
        self._pictures = pictures
        self._name = ""
        self._work = PictureWork(model, self._draw, 0.0, clock)
        self.model = model
        self.clock = clock
        self.outputs = self._work.outputs

    def prepare(self) -> Mapping[str, NDArray[Any]]:
        """See Work.

        Raises:
            PictureError: the picture cannot be read or decoded.
        """
        try:
            return self._work.prepare()
        except ImageError as error:
            raise PictureError(f"{self._name} of the data set: {error}") from error

    def finish(self, tensors: Sequence[NDArray[Any]]) -> None:
        """The prediction is made and thrown away: its cost is what matters."""
        self._work.finish(tensors)

    def _draw(self) -> bytes:
        picture = self._pictures.draw()
        self._name = picture.name
        return picture.data


def prediction(model: Model, found: Detections | Classes) -> Prediction:
    """The answer for what `model` has found."""
    label, name = model.spec.labels.get, model.spec.name
    class_ids = found.class_ids.tolist()
    scores = None if found.scores is None else _rounded(found.scores, 6)
    if isinstance(found, Classes):
        rows = zip(class_ids, scores or [None] * len(class_ids), strict=True)
        return Classified(name, [ImageClass(label(i, str(i)), i, s) for i, s in rows], model.notice)
    boxes = _rounded(found.boxes, 3)
    return Detected(
        name,
        [
            Detection(label(class_id, str(class_id)), class_id, score, tuple(box))
            for class_id, score, box in zip(class_ids, scores or (), boxes, strict=True)
        ],
        model.notice,
    )


def _rounded(values: NDArray[np.float32], digits: int) -> list[Any]:
    rounded: list[Any] = values.astype(np.float64).round(digits).tolist()
    return rounded
