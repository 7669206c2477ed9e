"""From bytes to detections, and files that are not the model they should be."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tailrace.datasets.shapes import draw_scene
from tailrace.errors import UsageError
from tailrace.models import store, zoo
from tailrace.models.model import Model, load
from tailrace.models.outputs import detections
from tailrace.models.runtimes import RuntimeFailedError, TensorInfo
from tailrace.models.runtimes.onnx import OnnxRuntime

SHAPES = zoo.find("shapes")


class Fixed:
    """A runtime of given tensors, as a file would have them."""

    platform = "fixed"

    def __init__(self, inputs: Sequence[TensorInfo], outputs: Sequence[str]) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(TensorInfo(name, "FP32", (1, -1)) for name in outputs)

    def run(self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        raise RuntimeFailedError("never runs")


IMAGE_TENSOR = TensorInfo("image_tensor:0", "UINT8", (1, 300, 300, 3))


@pytest.fixture(scope="module")
def shapes() -> Model:
    return load(SHAPES, store.model_file(SHAPES), threads=1)


def test_four_steps(shapes: Model) -> None:
    scene = draw_scene(1_000_003)
    data = cv2.imencode(".png", cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR))[1].tobytes()
    image = shapes.decode(data)
    tensor = shapes.preprocess(image)
    assert np.array_equal(tensor[0], scene.image), "300x300 already, so untouched"
    found = shapes.postprocess(shapes.infer(tensor), 300, 300)
    assert len(found.boxes) == len(found.scores) == len(found.class_ids) > 0
    assert set(found.class_ids.tolist()) <= set(SHAPES.labels)
    assert np.all(np.diff(found.scores) <= 0)


def test_missing_tensors_are_named() -> None:
    outputs = SHAPES.tensors.outputs
    with pytest.raises(UsageError, match="lacks the input image_tensor:0"):
        Model(SHAPES, Fixed([TensorInfo("x", "UINT8", (1, 300, 300, 3))], outputs))
    with pytest.raises(UsageError, match="lacks the output num_detections:0, detection_boxes:0"):
        Model(SHAPES, Fixed([IMAGE_TENSOR], outputs[2:]))


@pytest.mark.parametrize(
    ("datatype", "shape"),
    [("FP32", (1, 300, 300, 3)), ("UINT8", (1, 3, 300, 300)), ("UINT8", (300, 300, 3))],
)
def test_wrong_input_is_described(datatype: str, shape: tuple[int, ...]) -> None:
    tensor = dataclasses.replace(IMAGE_TENSOR, datatype=datatype, shape=shape)
    with pytest.raises(UsageError, match=datatype):
        Model(SHAPES, Fixed([tensor], SHAPES.tensors.outputs))


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x01" * 50])
def test_file_that_is_not_onnx(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.onnx"
    file.write_bytes(content)
    with pytest.raises(UsageError, match="not a usable ONNX model"):
        OnnxRuntime(file, threads=1)


def test_input_that_does_not_fit_is_refused(shapes: Model) -> None:
    with pytest.raises(RuntimeFailedError):
        shapes.infer(np.zeros((1, 10, 10, 3), np.uint8))


def test_outputs_are_scaled_turned_and_cut() -> None:
    boxes = np.array([[[0.1, 0.2, 0.5, 0.6], [0.0, 0.0, 1.0, 1.0], [9, 9, 9, 9]]], np.float32)
    tensors = [
        np.array([2], np.float32),
        boxes,
        np.array([[0.9, 0.4, 0.0]], np.float32),
        np.array([[3, 1, 7]], np.float32),
    ]
    found = detections(tensors, width_px=1000, height_px=100)
    assert np.allclose(found.boxes, [[200, 10, 600, 50], [0, 0, 1000, 100]])
    assert found.class_ids.tolist() == [3, 1]
    assert found.above(0.5).class_ids.tolist() == [3]
    assert len(found.above(0.0).scores) == 2
