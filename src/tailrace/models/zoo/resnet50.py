"""ResNet-50 v1.5 on ImageNet."""

import dataclasses
from pathlib import Path

from tailrace.models import images, outputs
from tailrace.models.runtimes import TensorInfo
from tailrace.models.zoo.spec import Accuracy, Cost, Format, ModelSpec, RemoteFile


def _twin(file: Path) -> None:
    from tailrace.models.twins import resnet50

    resnet50.build(file)


ONNX = Format(
    runtime="onnx",
    origin="TensorFlow",
    input=TensorInfo("input_tensor:0", "FP32", (-1, 3, 224, 224)),
    outputs=("ArgMax:0",),
    preprocess=images.resnet50,
    postprocess=outputs.only_class,
    file=RemoteFile(
        "https://zenodo.org/record/4735647/files/resnet50_v1.onnx",
        md5="f6a4da60cd5f084d97efc2c1ddb10beb",
    ),
    twin=_twin,
)

TENSORFLOW = dataclasses.replace(
    ONNX,
    runtime="tensorflow",
    input=TensorInfo("input_tensor:0", "FP32", (-1, 224, 224, 3)),
    preprocess=images.channels_last(images.resnet50),
    file=RemoteFile(
        "https://zenodo.org/record/2535873/files/resnet50_v1.pb",
        md5="7b94a2da05dd30f6c0af23a46bc08886",
    ),
    twin=None,
)

SPEC = ModelSpec(
    name="resnet50",
    title="ResNet-50 v1.5 224x224, ImageNet",
    task="classification",
    formats=(ONNX, TENSORFLOW),
    accuracy=Accuracy("top-1", "ImageNet 2012 validation", 0.7646, 0.99),
    server_latency_ms={"v0.5 on": 15.0},
    cost=Cost(parameters=25.6e6, flop=8.2e9),
)
