"""MobileNet-v1 as MLPerf Inference v0.5 has it."""

from __future__ import annotations

import numpy as np
import pytest

from tailrace.models import zoo
from tailrace.models.outputs import Classes
from tailrace.models.runtimes import TensorInfo

SPEC = zoo.find("mobilenet")
(ONNX,) = SPEC.formats


def test_tensors() -> None:
    assert ONNX.input == TensorInfo("input:0", "FP32", (-1, 3, 224, 224))
    assert ONNX.outputs == ("MobilenetV1/Predictions/Reshape_1:0",)


def test_file() -> None:
    assert ONNX.runtime == "onnx"
    assert ONNX.file == zoo.spec.RemoteFile(
        "https://zenodo.org/record/4735651/files/mobilenet_v1_1.0_224.onnx"
    )


def test_targets() -> None:
    assert SPEC.accuracy is not None
    assert (SPEC.accuracy.metric, SPEC.accuracy.reference) == ("top-1", 0.7168)
    assert SPEC.accuracy.target == pytest.approx(0.702464)
    assert SPEC.server_latency_ms == {"v0.5": 10.0}


def test_the_likeliest_class_is_counted_without_the_background() -> None:
    assert SPEC.task == "classification"
    scores = np.zeros((1, 1001), np.float32)
    scores[0, 66] = 1
    found = ONNX.postprocess([scores], 640, 480)
    assert isinstance(found, Classes)
    assert found.class_ids[0] == 65
