"""SSD-MobileNet-v1 300x300 on COCO: MLPerf Inference v0.5's light detector."""

import dataclasses
from pathlib import Path

from tailrace.models import images, labels, outputs
from tailrace.models.runtimes import TensorInfo
from tailrace.models.zoo.spec import Accuracy, Cost, Format, ModelSpec, RemoteFile


def _twin(file: Path) -> None:
    from tailrace.models.twins import ssd_mobilenet

    ssd_mobilenet.build(file)


ONNX = Format(
    runtime="onnx",
    origin="TensorFlow",
    input=TensorInfo("image_tensor:0", "UINT8", (-1, 300, 300, 3)),
    outputs=(
        "num_detections:0",
        "detection_boxes:0",
        "detection_scores:0",
        "detection_classes:0",
    ),
    preprocess=images.ssd_mobilenet,
    postprocess=outputs.tensorflow_detections,
    file=RemoteFile(
        "https://zenodo.org/record/4735652/files/ssd_mobilenet_v1_coco_2018_01_28.onnx"
    ),
    twin=_twin,
)

TENSORFLOW = dataclasses.replace(
    ONNX,
    runtime="tensorflow",
    file=RemoteFile(
        "http://download.tensorflow.org/models/object_detection/"
        "ssd_mobilenet_v1_coco_2018_01_28.tar.gz",
        member="ssd_mobilenet_v1_coco_2018_01_28/frozen_inference_graph.pb",
    ),
    twin=None,
)

SPEC = ModelSpec(
    name="ssd-mobilenet",
    title="SSD-MobileNet-v1 300x300, COCO",
    task="detection",
    formats=(ONNX, TENSORFLOW),
    labels=labels.COCO,
    accuracy=Accuracy("mAP", "COCO val2017", 0.22, 0.99),
    server_latency_ms={"v0.5": 10.0},
    cost=Cost(parameters=6.8e6, flop=2.5e9),
)
