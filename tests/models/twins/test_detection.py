"""Boxes from offsets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto

from tailrace.models.twins import detection
from tailrace.models.twins.graph import GraphBuilder, TensorSpec


def test_offsets_shift_and_stretch_anchors(tmp_path: Path) -> None:
    anchors = np.array([[0.5, 0.5, 0.2, 0.4], [0.1, 0.9, 0.4, 0.4]], np.float32)
    graph = GraphBuilder()
    boxes = detection.decode(graph, "offsets", anchors)
    shape = ("batch", 2, 4)
    graph.save(
        tmp_path / "decode.onnx",
        "decode",
        [TensorSpec("offsets", TensorProto.FLOAT, shape)],
        [TensorSpec(boxes, TensorProto.FLOAT, shape)],
    )
    twice = 5 * np.log(2)
    offsets = np.array(
        [[[0, 0, 0, 0], [0, 0, 0, 0]], [[10, -10, 0, 0], [0, 0, twice, -twice]]], np.float32
    )
    (result,) = onnxruntime.InferenceSession(tmp_path / "decode.onnx").run(
        None, {"offsets": offsets}
    )
    np.testing.assert_allclose(
        result,
        [
            [[0.4, 0.3, 0.6, 0.7], [0, 0.7, 0.3, 1]],
            [[0.6, -0.1 + 0.1, 0.8, 0.3], [0, 0.8, 0.5, 1]],
        ],
        atol=1e-6,
    )
