"""SSD-MobileNet-v1 300x300, as TensorFlow's detection API published ssd_mobilenet_v1_coco.

Liu et al., "SSD: Single Shot MultiBox Detector" (2016), over Howard et al., "MobileNets" (2017).
"""

from __future__ import annotations

from pathlib import Path

from tailrace.models.twins import tensorflow_ssd
from tailrace.models.twins.graph import GraphBuilder
from tailrace.models.twins.layers import FeatureMap, RandomLayers

_CLASSES = 91
_KINDS = (3, 6, 6, 6, 6, 6)
# After the first convolution: output channels and stride of each separable one.
_BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
    (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
_FINEST_BLOCK = 10
# Channels of the 1x1 and of the strided 3x3 convolution that make each further map.
_EXTRAS = ((256, 512), (128, 256), (128, 256), (64, 128))
# On COCO pictures, a trained SSD-MobileNet's class logits have a mean of -5 and a deviation of 1,
# its offsets a deviation of 1 to 2. These gains and this bias come out there, so that suppression
# meets scores and overlaps, and takes a time, such as it does in earnest.
_CLASS_GAIN = 1.5
_CLASS_BIAS = -5.0
_BOX_GAIN = 2.5


def build(file: Path, seed: int = 0) -> None:
    """Writes the twin to `file`: free batch size, suppression inside."""
    graph = GraphBuilder()
    layers = RandomLayers(graph, seed)
    class_heads, box_heads = [], []
    maps = _feature_maps(layers, tensorflow_ssd.picture(graph))
    for x, kinds in zip(maps, _KINDS, strict=True):
        logits = layers.conv(x, kinds * _CLASSES, gain=_CLASS_GAIN, bias=_CLASS_BIAS)
        class_heads.append(logits)
        box_heads.append(layers.conv(x, kinds * 4, gain=_BOX_GAIN))
    scores = graph.add("Sigmoid", tensorflow_ssd.rows(graph, class_heads, _CLASSES))
    tensorflow_ssd.save(
        graph,
        file,
        "ssd-mobilenet twin",
        offsets=tensorflow_ssd.rows(graph, box_heads, 4),
        scores=graph.add("Slice", scores, *(graph.constant([i]) for i in (1, _CLASSES, -1))),
        classes=_CLASSES - 1,
        lowest_score=1e-8,
    )


def _feature_maps(layers: RandomLayers, x: FeatureMap) -> list[FeatureMap]:
    x = layers.relu6(layers.conv(x, 32, 3, 2))
    maps = []
    for index, (channels, stride) in enumerate(_BLOCKS):
        x = layers.relu6(layers.conv(x, x.channels, 3, stride, groups=x.channels))
        x = layers.relu6(layers.conv(x, channels))
        if index in (_FINEST_BLOCK, len(_BLOCKS) - 1):
            maps.append(x)
    for squeeze, channels in _EXTRAS:
        x = layers.relu6(layers.conv(x, squeeze))
        x = layers.relu6(layers.conv(x, channels, 3, 2))
        maps.append(x)
    return maps
