"""MobileNet-v1 on ImageNet: MLPerf Inference v0.5's light classifier."""

from tailrace.models import images, outputs
from tailrace.models.runtimes import TensorInfo
from tailrace.models.zoo.spec import Accuracy, Cost, Format, ModelSpec, RemoteFile

ONNX = Format(
    runtime="onnx",
    origin="TensorFlow",
    input=TensorInfo("input:0", "FP32", (-1, 3, 224, 224)),
    outputs=("MobilenetV1/Predictions/Reshape_1:0",),
    preprocess=images.mobilenet,
    postprocess=outputs.best_classes,
    file=RemoteFile("https://zenodo.org/record/4735651/files/mobilenet_v1_1.0_224.onnx"),
)

SPEC = ModelSpec(
    name="mobilenet",
    title="MobileNet-v1 1.0 224x224, ImageNet",
    task="classification",
    formats=(ONNX,),
    accuracy=Accuracy("top-1", "ImageNet 2012 validation", 0.7168, 0.98),
    server_latency_ms={"v0.5": 10.0},
    cost=Cost(parameters=4.2e6, flop=1.14e9),
)
