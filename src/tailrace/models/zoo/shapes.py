"""The embedded detector, trained on scenes that `tailrace.datasets.shapes` draws."""

import dataclasses

from tailrace.models import labels
from tailrace.models.zoo import ssd_mobilenet
from tailrace.models.zoo.spec import Cost, ModelSpec

SPEC = ModelSpec(
    name="shapes",
    title="SSD-MobileNet-v1 0.5 300x300, trained on drawn shapes",
    task="detection",
    formats=(dataclasses.replace(ssd_mobilenet.ONNX, file=None, twin=None),),
    labels=labels.SHAPES,
    cost=Cost(parameters=1.47e6, flop=0.602e9),
    embedded="shapes.onnx",
)
