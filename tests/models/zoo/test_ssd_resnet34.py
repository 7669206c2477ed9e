"""SSD-ResNet34 as MLPerf Inference v0.5 to v2.0 has it, from both frameworks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailrace.models import labels, store, zoo
from tailrace.models.model import RuntimeOptions, load
from tailrace.models.runtimes import TensorInfo

SPEC = zoo.find("ssd-resnet34")
PYTORCH, FROM_TENSORFLOW, TENSORFLOW = SPEC.formats


def test_tensors_from_pytorch() -> None:
    assert PYTORCH.input == TensorInfo("image", "FP32", (1, 3, 1200, 1200))
    assert PYTORCH.outputs == ("bboxes", "labels", "scores")


def test_tensors_from_tensorflow() -> None:
    assert FROM_TENSORFLOW.input == TensorInfo("image:0", "FP32", (-1, 1200, 1200, 3))
    assert TENSORFLOW.input == TensorInfo("image:0", "FP32", (-1, 3, 1200, 1200))
    outputs = ("detection_bboxes:0", "detection_classes:0", "detection_scores:0")
    assert FROM_TENSORFLOW.outputs == TENSORFLOW.outputs == outputs


def test_files() -> None:
    assert [form.runtime for form in SPEC.formats] == ["onnx", "onnx", "tensorflow"]
    assert [form.origin for form in SPEC.formats] == ["PyTorch", "TensorFlow", "TensorFlow"]
    files = [form.file for form in SPEC.formats if form.file is not None]
    assert [file.url for file in files] == [
        "https://zenodo.org/record/3228411/files/resnet34-ssd1200.onnx",
        "https://zenodo.org/record/4735664/files/ssd_resnet34_mAP_20.2.onnx",
        "https://zenodo.org/record/3345892/files/tf_ssd_resnet34_22.1.zip",
    ]
    assert files[2].member == "tf_ssd_resnet34_22.1/resnet34_tf.22.1.pb"
    assert files[2].name == "resnet34_tf.22.1.pb"


def test_targets() -> None:
    assert SPEC.accuracy is not None
    assert (SPEC.accuracy.metric, SPEC.accuracy.reference) == ("mAP", 0.20)
    assert SPEC.accuracy.target == pytest.approx(0.198)
    assert SPEC.server_latency_ms == {"v0.5 to v2.0": 100.0}


def test_cost_and_labels() -> None:
    assert SPEC.cost is not None
    assert (SPEC.cost.parameters, SPEC.cost.flop) == (20e6, 433e9)
    assert SPEC.task == "detection"
    assert SPEC.labels is labels.COCO


def test_its_twin_is_the_one_from_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILRACE_CACHE", str(tmp_path))
    model = load(SPEC, store.model_file(SPEC, twin=True), RuntimeOptions(), twin=True)
    assert model.format is PYTORCH
    assert model.max_batch == 1
