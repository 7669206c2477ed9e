"""RetinaNet as MLPerf Inference has it since v2.1."""

from __future__ import annotations

import numpy as np
import pytest

from tailrace.models import zoo
from tailrace.models.outputs import Detections
from tailrace.models.runtimes import TensorInfo

SPEC = zoo.find("retinanet")
(ONNX,) = SPEC.formats


def test_tensors() -> None:
    assert ONNX.input == TensorInfo("images", "FP32", (1, 3, 800, 800))
    assert ONNX.outputs == ("boxes", "labels", "scores")


def test_file() -> None:
    assert ONNX.runtime == "onnx"
    assert ONNX.file == zoo.spec.RemoteFile(
        "https://zenodo.org/record/6617879/files/resnext50_32x4d_fpn.onnx",
        md5="4544f4e56e0a4684215831cc937ea45c",
    )


def test_targets() -> None:
    assert SPEC.accuracy is not None
    assert (SPEC.accuracy.metric, SPEC.accuracy.reference) == ("mAP", 0.3755)
    assert SPEC.accuracy.target == pytest.approx(0.371745)
    assert SPEC.server_latency_ms == {"v2.1 on": 100.0}


def test_boxes_are_of_its_own_input() -> None:
    assert SPEC.task == "detection"
    boxes = np.array([[0, 0, 800, 400]], np.float32)
    found = ONNX.postprocess([boxes, np.array([7]), np.array([0.9], np.float32)], 640, 480)
    assert isinstance(found, Detections)
    assert np.allclose(found.boxes, [[0, 0, 640, 240]])
