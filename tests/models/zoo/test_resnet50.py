"""ResNet-50 v1.5 as MLPerf Inference has it."""

from __future__ import annotations

import numpy as np
import pytest

from tailrace.models import zoo
from tailrace.models.outputs import Classes
from tailrace.models.runtimes import TensorInfo

SPEC = zoo.find("resnet50")
ONNX, TENSORFLOW = SPEC.formats


def test_tensors() -> None:
    assert ONNX.input == TensorInfo("input_tensor:0", "FP32", (-1, 3, 224, 224))
    assert TENSORFLOW.input == TensorInfo("input_tensor:0", "FP32", (-1, 224, 224, 3))
    assert ONNX.outputs == TENSORFLOW.outputs == ("ArgMax:0",)


def test_files() -> None:
    assert (ONNX.runtime, TENSORFLOW.runtime) == ("onnx", "tensorflow")
    assert ONNX.file == zoo.spec.RemoteFile(
        "https://zenodo.org/record/4735647/files/resnet50_v1.onnx",
        md5="f6a4da60cd5f084d97efc2c1ddb10beb",
    )
    assert TENSORFLOW.file == zoo.spec.RemoteFile(
        "https://zenodo.org/record/2535873/files/resnet50_v1.pb",
        md5="7b94a2da05dd30f6c0af23a46bc08886",
    )


def test_targets() -> None:
    assert SPEC.accuracy is not None
    assert (SPEC.accuracy.metric, SPEC.accuracy.reference) == ("top-1", 0.7646)
    assert SPEC.accuracy.target == pytest.approx(0.756954)
    assert SPEC.server_latency_ms == {"v0.5 on": 15.0}


def test_cost_and_classes() -> None:
    assert SPEC.cost is not None
    assert (SPEC.cost.parameters, SPEC.cost.flop) == (25.6e6, 8.2e9)
    assert SPEC.task == "classification"
    found = ONNX.postprocess([np.array([1000], np.int64)], 640, 480)
    assert isinstance(found, Classes)
    assert found.class_ids.tolist() == [999]
