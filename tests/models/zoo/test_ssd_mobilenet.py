"""SSD-MobileNet-v1 as MLPerf Inference v0.5 has it."""

from __future__ import annotations

import pytest

from tailrace.models import labels, zoo
from tailrace.models.runtimes import TensorInfo

SPEC = zoo.find("ssd-mobilenet")
ONNX, TENSORFLOW = SPEC.formats


@pytest.mark.parametrize("form", SPEC.formats, ids=["onnx", "tensorflow"])
def test_tensors(form: zoo.spec.Format) -> None:
    assert form.input == TensorInfo("image_tensor:0", "UINT8", (-1, 300, 300, 3))
    assert form.outputs == (
        "num_detections:0",
        "detection_boxes:0",
        "detection_scores:0",
        "detection_classes:0",
    )


def test_files() -> None:
    assert (ONNX.runtime, TENSORFLOW.runtime) == ("onnx", "tensorflow")
    assert ONNX.file is not None
    assert ONNX.file.url == (
        "https://zenodo.org/record/4735652/files/ssd_mobilenet_v1_coco_2018_01_28.onnx"
    )
    assert TENSORFLOW.file is not None
    assert TENSORFLOW.file.url.endswith("/ssd_mobilenet_v1_coco_2018_01_28.tar.gz")
    assert TENSORFLOW.file.member == "ssd_mobilenet_v1_coco_2018_01_28/frozen_inference_graph.pb"
    assert TENSORFLOW.file.name == "frozen_inference_graph.pb"


def test_targets() -> None:
    assert SPEC.accuracy is not None
    assert (SPEC.accuracy.metric, SPEC.accuracy.reference) == ("mAP", 0.22)
    assert SPEC.accuracy.target == pytest.approx(0.2178)
    assert SPEC.server_latency_ms == {"v0.5": 10.0}


def test_cost_and_labels() -> None:
    assert SPEC.cost is not None
    assert (SPEC.cost.parameters, SPEC.cost.flop) == (6.8e6, 2.5e9)
    assert SPEC.task == "detection"
    assert SPEC.labels is labels.COCO
