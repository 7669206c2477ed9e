"""From a model's output tensors to detections in the pixels of the picture sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Detections:
    """What a detector saw, highest score first.

    `boxes`: float32 [n, 4], xmin, ymin, xmax, ymax in pixels. `scores`: float32 [n], 0..1.
    `class_ids`: int64 [n].
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]

    def above(self, threshold: float) -> Detections:
        """Those with a score of at least `threshold`."""
        keep = self.scores >= threshold
        return Detections(self.boxes[keep], self.scores[keep], self.class_ids[keep])


def detections(tensors: Sequence[NDArray[np.float32]], width_px: int, height_px: int) -> Detections:
    """The detections in TensorFlow's four output tensors, for a picture of this size.

    `tensors`: count [1], boxes [1, n, 4] as ymin, xmin, ymax, xmax in 0..1, scores [1, n] and
    classes [1, n], all float32.
    """
    count, boxes, scores, classes = tensors
    n = int(count[0])
    scale = np.array([width_px, height_px, width_px, height_px], np.float32)
    return Detections(
        boxes=boxes[0, :n][:, [1, 0, 3, 2]] * scale,
        scores=scores[0, :n],
        class_ids=classes[0, :n].astype(np.int64),
    )
