"""The work on one request, from picture to answer; it runs on an inference thread."""

from __future__ import annotations

import msgspec
import numpy as np

from tailrace.models.images import ImageError
from tailrace.models.model import Model
from tailrace.models.outputs import Detections
from tailrace.service.errors import PictureError
from tailrace.service.pictures import Pictures
from tailrace.service.stages import StageClock


class Detection(msgspec.Struct, frozen=True):
    """One object in a picture."""

    label: str
    class_id: int
    score: float
    """0..1, to six digits."""
    box: tuple[float, float, float, float]
    """xmin, ymin, xmax, ymax in pixels of the picture sent, to a thousandth."""


class Prediction(msgspec.Struct, frozen=True):
    """The answer of `/predict`."""

    model: str
    detections: list[Detection]


def predict(model: Model, data: bytes, threshold: float, clock: StageClock) -> Prediction:
    """What is in the JPEG or PNG `data`, with a score of at least `threshold`.

    Raises:
        ImageError: `data` is no picture that can be decoded.
        RuntimeFailedError: computing failed.
    """
    clock.end("queue")
    detections = _detect(model, data, clock)
    answer = Prediction(model.spec.name, _rows(model, detections.above(threshold)))
    clock.end("postprocess")
    return answer


def predict_random(model: Model, pictures: Pictures, clock: StageClock) -> None:
    """Sends one of `pictures` through the model; reading it counts as decoding.

    Raises:
        PictureError: the picture cannot be read or decoded.
        RuntimeFailedError: computing failed.
    """
    clock.end("queue")
    picture = pictures.draw()
    try:
        _detect(model, picture.data, clock)
    except ImageError as error:
        raise PictureError(f"{picture.name} of the data set: {error}") from error
    clock.end("postprocess")


def _detect(model: Model, data: bytes, clock: StageClock) -> Detections:
    image = model.decode(data)
    clock.end("decode")
    tensor = model.preprocess(image)
    clock.end("preprocess")
    tensors = model.infer(tensor)
    clock.end("infer")
    height_px, width_px = image.shape[:2]
    return model.postprocess(tensors, width_px, height_px)


def _rows(model: Model, detections: Detections) -> list[Detection]:
    labels = model.spec.labels
    return [
        Detection(labels.get(class_id, str(class_id)), class_id, score, tuple(box))
        for class_id, score, box in zip(
            detections.class_ids.tolist(),
            np.round(detections.scores.astype(np.float64), 6).tolist(),
            np.round(detections.boxes.astype(np.float64), 3).tolist(),
            strict=True,
        )
    ]
