"""The names of MLPerf's reference main.py."""

import pytest

from tailrace.errors import UsageError
from tailrace.mlperf.reference import parse_profile, runtime_of


@pytest.mark.parametrize(
    ("profile", "model", "runtime"),
    [
        ("ssd-mobilenet-onnx", "ssd-mobilenet", "onnx"),
        ("ssd-mobilenet-onnxruntime", "ssd-mobilenet", "onnx"),
        ("ssd-resnet34-tf", "ssd-resnet34", "tensorflow"),
        ("resnet50-tensorflow", "resnet50", "tensorflow"),
        ("retinanet-onnxruntime", "retinanet", "onnx"),
        ("shapes-onnx", "shapes", "onnx"),
        ("mobilenet", "mobilenet", "onnx"),
    ],
)
def test_profiles(profile: str, model: str, runtime: str) -> None:
    assert parse_profile(profile) == (model, runtime)


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ("resnet50-pytorch", "no backend 'pytorch' here: there are onnxruntime and tensorflow"),
        ("resnet51-onnx", "did you mean resnet50"),
        ("bert-99-onnx", "there is no model 'bert-99'"),
        ("", "there is no model ''"),
    ],
)
def test_no_profile(profile: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_profile(profile)


def test_backends() -> None:
    assert [runtime_of(name) for name in ("onnxruntime", "ONNX", "tf")] == [
        "onnx",
        "onnx",
        "tensorflow",
    ]
    with pytest.raises(UsageError, match="no backend 'tvm'"):
        runtime_of("tvm")
