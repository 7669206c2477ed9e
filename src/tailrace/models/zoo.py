"""The models Tailrace serves: tensors, labels and MLPerf's targets of each."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from tailrace.errors import UsageError
from tailrace.models import labels


@dataclass(frozen=True, slots=True)
class DetectionTensors:
    """Names of a detector's tensors.

    `image`: uint8 [1, height, width, 3], RGB. `count`: float32 [1], how many rows are meant.
    `boxes`: float32 [1, n, 4], ymin, xmin, ymax, xmax, each 0..1. `scores`: float32 [1, n],
    highest first. `classes`: float32 [1, n].
    """

    image: str
    count: str
    boxes: str
    scores: str
    classes: str

    @property
    def outputs(self) -> tuple[str, str, str, str]:
        """Output names, in the order in which `tailrace.models.outputs.detections` takes them."""
        return self.count, self.boxes, self.scores, self.classes


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model, apart from its weights."""

    name: str
    title: str
    embedded: str | None
    """File name within `tailrace.models.embedded`; None where the user brings the file."""
    size_px: int
    """Width and height of the model's input."""
    tensors: DetectionTensors
    labels: Mapping[int, str]
    map_target: float | None
    """mAP @[.5:.95] on COCO val2017 that a closed-division result must reach, 0..1."""
    server_latency_ms: float | None
    """MLPerf's bound on the p99 in the Server scenario."""


_TENSORFLOW_DETECTION = DetectionTensors(
    image="image_tensor:0",
    count="num_detections:0",
    boxes="detection_boxes:0",
    scores="detection_scores:0",
    classes="detection_classes:0",
)

_SPECS = (
    ModelSpec(
        name="shapes",
        title="SSD-MobileNet-v1 300x300, trained on drawn shapes",
        embedded="shapes.onnx",
        size_px=300,
        tensors=_TENSORFLOW_DETECTION,
        labels=labels.SHAPES,
        map_target=None,
        server_latency_ms=None,
    ),
    ModelSpec(
        name="ssd-mobilenet",
        title="SSD-MobileNet-v1 300x300, COCO (MLPerf Inference v0.5)",
        embedded=None,
        size_px=300,
        tensors=_TENSORFLOW_DETECTION,
        labels=labels.COCO,
        map_target=0.22 * 0.99,
        server_latency_ms=10.0,
    ),
)


def names() -> tuple[str, ...]:
    """Names of all models, as the command line takes them."""
    return tuple(spec.name for spec in _SPECS)


def find(name: str) -> ModelSpec:
    """The model of this name.

    Raises:
        UsageError: there is none; the message names those there are, and a near match.
    """
    for spec in _SPECS:
        if spec.name == name:
            return spec
    near = difflib.get_close_matches(name, names(), n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"there is no model {name!r}: {hint}there are {', '.join(names())}")
