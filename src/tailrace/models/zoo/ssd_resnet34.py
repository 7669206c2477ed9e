"""SSD-ResNet34 1200x1200 on COCO: MLPerf Inference v0.5 to v2.0's heavy detector."""

import dataclasses
from pathlib import Path

from tailrace.models import images, labels, outputs
from tailrace.models.runtimes import TensorInfo
from tailrace.models.zoo.spec import Accuracy, Cost, Format, ModelSpec, RemoteFile


def _twin(file: Path) -> None:
    from tailrace.models.twins import ssd_resnet34

    ssd_resnet34.build(file)


FROM_PYTORCH = Format(
    runtime="onnx",
    origin="PyTorch",
    input=TensorInfo("image", "FP32", (1, 3, 1200, 1200)),
    outputs=("bboxes", "labels", "scores"),
    preprocess=images.ssd_resnet34,
    postprocess=outputs.resnet34_from_pytorch,
    file=RemoteFile("https://zenodo.org/record/3228411/files/resnet34-ssd1200.onnx"),
    twin=_twin,
)

FROM_TENSORFLOW = Format(
    runtime="onnx",
    origin="TensorFlow",
    input=TensorInfo("image:0", "FP32", (-1, 1200, 1200, 3)),
    outputs=("detection_bboxes:0", "detection_classes:0", "detection_scores:0"),
    preprocess=images.channels_last(images.ssd_resnet34),
    postprocess=outputs.resnet34_from_tensorflow,
    file=RemoteFile("https://zenodo.org/record/4735664/files/ssd_resnet34_mAP_20.2.onnx"),
)

TENSORFLOW = dataclasses.replace(
    FROM_TENSORFLOW,
    runtime="tensorflow",
    input=TensorInfo("image:0", "FP32", (-1, 3, 1200, 1200)),
    preprocess=images.ssd_resnet34,
    file=RemoteFile(
        "https://zenodo.org/record/3345892/files/tf_ssd_resnet34_22.1.zip",
        member="tf_ssd_resnet34_22.1/resnet34_tf.22.1.pb",
    ),
)

SPEC = ModelSpec(
    name="ssd-resnet34",
    title="SSD-ResNet34 1200x1200, COCO",
    task="detection",
    formats=(FROM_PYTORCH, FROM_TENSORFLOW, TENSORFLOW),
    labels=labels.COCO,
    accuracy=Accuracy("mAP", "COCO val2017", 0.20, 0.99),
    server_latency_ms={"v0.5 to v2.0": 100.0},
    cost=Cost(parameters=20e6, flop=433e9),
)
