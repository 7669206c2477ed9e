"""RetinaNet (ResNeXt50 32x4d FPN) 800x800 on OpenImages: MLPerf Inference since v2.1."""

from tailrace.models import images, outputs
from tailrace.models.runtimes import TensorInfo
from tailrace.models.zoo.spec import Accuracy, Format, ModelSpec, RemoteFile

ONNX = Format(
    runtime="onnx",
    origin="PyTorch",
    input=TensorInfo("images", "FP32", (1, 3, 800, 800)),
    outputs=("boxes", "labels", "scores"),
    preprocess=images.retinanet,
    postprocess=outputs.retinanet,
    file=RemoteFile(
        "https://zenodo.org/record/6617879/files/resnext50_32x4d_fpn.onnx",
        md5="4544f4e56e0a4684215831cc937ea45c",
    ),
)

SPEC = ModelSpec(
    name="retinanet",
    title="RetinaNet ResNeXt50 800x800, OpenImages",
    task="detection",
    formats=(ONNX,),
    accuracy=Accuracy("mAP", "OpenImages (MLPerf's 264 classes)", 0.3755, 0.99),
    server_latency_ms={"v2.1 on": 100.0},
)
