"""From a model's output tensors to what is in the picture sent.

Each function takes the output tensors of one picture, a batch of one, in the order in which its
model's format names them, and the picture's size in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailrace.models.labels import COCO

_BEST = 5
# MLPerf's reference drops detections of SSD-ResNet34 (TensorFlow) and RetinaNet below this score.
_LOWEST_SCORE = 0.05
_RETINANET_PX = np.float32(800)
# These models have a background class before ImageNet's thousand.
_BACKGROUND = 1
_COCO_IDS = np.array([0, *sorted(COCO)], np.int64)


@dataclass(frozen=True, slots=True)
class Detections:
    """What a detector saw, highest score first.

    `boxes`: float32 [n, 4], xmin, ymin, xmax, ymax in pixels. `scores`: float32 [n], 0..1.
    `class_ids`: int64 [n].
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]

    @classmethod
    def none(cls) -> Detections:
        """Nothing seen."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))

    def above(self, threshold: float) -> Detections:
        """Those with a score of at least `threshold`."""
        keep = self.scores >= threshold
        return Detections(self.boxes[keep], self.scores[keep], self.class_ids[keep])


@dataclass(frozen=True, slots=True)
class Classes:
    """What a classifier takes a picture for, likeliest first.

    `class_ids`: int64 [n], 0..999 for ImageNet. `scores`: float32 [n], 0..1; None where the model
    names its best class alone.
    """

    class_ids: NDArray[np.int64]
    scores: NDArray[np.float32] | None

    def above(self, threshold: float) -> Classes:
        """Those with a score of at least `threshold`; without scores, all."""
        if self.scores is None:
            return self
        keep = self.scores >= threshold
        return Classes(self.class_ids[keep], self.scores[keep])


def tensorflow_detections(
    tensors: Sequence[NDArray[Any]], width_px: int, height_px: int
) -> Detections:
    """Of TensorFlow's detection API: count [1], boxes [1, n, 4] as ymin, xmin, ymax, xmax in 0..1,
    scores [1, n] and classes [1, n], all float32."""
    count, boxes, scores, classes = tensors
    n = int(count[0])
    scale = np.array([width_px, height_px, width_px, height_px], np.float32)
    return Detections(
        # y before x, twice.
        boxes=boxes[0, :n].reshape(n, 2, 2)[:, :, ::-1].reshape(n, 4) * scale,
        scores=scores[0, :n],
        class_ids=classes[0, :n].astype(np.int64),
    )


def resnet34_from_pytorch(
    tensors: Sequence[NDArray[Any]], width_px: int, height_px: int
) -> Detections:
    """Of SSD-ResNet34: boxes [1, n, 4] as xmin, ymin, xmax, ymax in 0..1, labels [1, n], 1..80,
    which become COCO's ids, and scores [1, n]."""
    boxes, numbers, scores = tensors
    scale = np.array([width_px, height_px, width_px, height_px], np.float32)
    return _sorted(boxes[0] * scale, scores[0], _COCO_IDS[numbers[0].astype(np.int64)])


def resnet34_from_tensorflow(
    tensors: Sequence[NDArray[Any]], width_px: int, height_px: int
) -> Detections:
    """Of SSD-ResNet34: boxes [1, n, 4] as ymin, xmin, ymax, xmax in 0..1, labels [1, n], 1..80,
    which become COCO's ids, and scores [1, n]; those below 0.05 are left out, as in MLPerf."""
    boxes, numbers, scores = tensors
    found = resnet34_from_pytorch((boxes[..., [1, 0, 3, 2]], numbers, scores), width_px, height_px)
    return found.above(_LOWEST_SCORE)


def retinanet(tensors: Sequence[NDArray[Any]], width_px: int, height_px: int) -> Detections:
    """Of RetinaNet: boxes [n, 4] as xmin, ymin, xmax, ymax in pixels of 800x800, labels [n],
    scores [n]; those below 0.05 are left out, as in MLPerf."""
    boxes, numbers, scores = tensors
    scale = np.array([width_px, height_px, width_px, height_px], np.float32) / _RETINANET_PX
    return _sorted(boxes * scale, scores, numbers.astype(np.int64)).above(_LOWEST_SCORE)


def only_class(tensors: Sequence[NDArray[Any]], width_px: int, height_px: int) -> Classes:
    """Of a classifier that gives its best class alone: number [1], 1..1000, 0 for background."""
    return Classes(tensors[0].astype(np.int64)[:1] - _BACKGROUND, None)


def best_classes(tensors: Sequence[NDArray[Any]], width_px: int, height_px: int) -> Classes:
    """The five likeliest of a classifier's probabilities, [1, 1001], the first for background."""
    scores = tensors[0][0]
    order = np.argsort(-scores, kind="stable")[:_BEST]
    return Classes(order.astype(np.int64) - _BACKGROUND, scores[order].astype(np.float32))


def _sorted(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], class_ids: NDArray[np.int64]
) -> Detections:
    order = np.argsort(-scores, kind="stable")
    return Detections(boxes[order].astype(np.float32), scores[order], class_ids[order])
