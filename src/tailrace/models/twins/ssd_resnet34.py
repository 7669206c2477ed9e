"""SSD-ResNet34 1200x1200, as MLPerf Inference published it from PyTorch.

Liu et al., "SSD: Single Shot MultiBox Detector" (2016), over He et al., "Deep Residual Learning
for Image Recognition" (2016). ResNet-34 ends with conv4_x, which does not halve conv3_x's 150x150
cells, and the heads step over their maps by three cells: 150, 75, 38, 19, 9 and 7 cells a side
become 50, 25, 13, 7, 3 and 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import TensorProto

from tailrace.models.twins import anchors, detection
from tailrace.models.twins.graph import GraphBuilder, TensorSpec
from tailrace.models.twins.layers import FeatureMap, RandomLayers

_INPUT_PX = 1200
_CLASSES = 81
_KINDS = (4, 6, 6, 6, 4, 4)
_MOST = 200
# Channels, blocks, and the stride of the first one.
_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 1))
# Channels of the 1x1 and of the 3x3 convolution that make each further map; stride and padding of
# the latter.
_EXTRAS = ((256, 512, 2, 1), (256, 512, 2, 1), (128, 256, 2, 1), (128, 256, 2, 0), (128, 256, 1, 0))
_HEAD_STRIDE = 3
# With each block the mean square of the sum would grow threefold; so it grows by half at most.
_BRANCH_GAIN = 0.5
# Of random logits over 81 classes hardly any has a softmax of 0.05. With this gain, which takes
# back the blocks' growth, logits and offsets have a deviation near 2 on COCO pictures; with this
# bias about as many candidates reach suppression there as there are anchors. A trained
# SSD-MobileNet (sigmoid) has two an anchor above 0.05; softmax, whose classes vie with each other,
# lets fewer through.
_HEAD_GAIN = 0.2
_BACKGROUND_BIAS = 8.0


def build(file: Path, seed: int = 0) -> None:
    """Writes the twin to `file`: batch size 1, suppression inside, up to 200 detections."""
    graph = GraphBuilder()
    layers = RandomLayers(graph, seed)
    maps = _feature_maps(layers, FeatureMap("image", 3))
    background = [_BACKGROUND_BIAS, *[0.0] * (_CLASSES - 1)]
    logits = _heads(graph, layers, maps, background)
    offsets = _heads(graph, layers, maps, [0.0] * 4)
    boxes = detection.decode(
        graph, graph.add("Transpose", offsets, perm=[0, 2, 1]), anchors.ssd_resnet34()
    )
    scores = graph.add("Softmax", logits, axis=1)
    scores = graph.add("Slice", scores, *(graph.constant([i]) for i in (1, _CLASSES, 1)))
    _add_detections(graph, boxes, scores)
    graph.save(
        file,
        "ssd-resnet34 twin",
        [TensorSpec("image", TensorProto.FLOAT, (1, 3, _INPUT_PX, _INPUT_PX))],
        [
            TensorSpec("bboxes", TensorProto.FLOAT, (1, "found", 4)),
            TensorSpec("labels", TensorProto.INT64, (1, "found")),
            TensorSpec("scores", TensorProto.FLOAT, (1, "found")),
        ],
    )


def _feature_maps(layers: RandomLayers, x: FeatureMap) -> list[FeatureMap]:
    x = layers.relu(layers.conv(x, 64, 7, 2, padding=3))
    x = layers.max_pool(x, 3, 2, padding=1)
    for channels, blocks, stride in _STAGES:
        for block in range(blocks):
            x = _block(layers, x, channels, 1 if block else stride)
    maps = [x]
    for squeeze, channels, stride, padding in _EXTRAS:
        x = layers.relu(layers.conv(x, squeeze))
        x = layers.relu(layers.conv(x, channels, 3, stride, padding=padding))
        maps.append(x)
    return maps


def _block(layers: RandomLayers, x: FeatureMap, channels: int, stride: int) -> FeatureMap:
    branch = layers.relu(layers.conv(x, channels, 3, stride, padding=1))
    branch = layers.conv(branch, channels, 3, padding=1, gain=_BRANCH_GAIN)
    if x.channels != channels:
        x = layers.conv(x, channels, 1, stride)
    return layers.relu(layers.add(x, branch))


def _heads(
    graph: GraphBuilder, layers: RandomLayers, maps: Sequence[FeatureMap], biases: Sequence[float]
) -> str:
    """[1, len(biases), 15130], in the order of the anchors: by map, kind and cell."""
    parts = []
    for x, kinds in zip(maps, _KINDS, strict=True):
        bias = np.repeat(biases, kinds)
        head = layers.conv(x, len(bias), 3, _HEAD_STRIDE, padding=1, gain=_HEAD_GAIN, bias=bias)
        parts.append(graph.add("Reshape", head.name, graph.constant([0, len(biases), -1])))
    return graph.add("Concat", *parts, axis=2)


def _add_detections(graph: GraphBuilder, boxes: str, scores: str) -> None:
    kept = detection.suppress(graph, boxes, scores, most=_MOST, iou=0.5, lowest_score=0.05)
    found = graph.add("GatherND", scores, kept)
    count = graph.add("Min", graph.add("Shape", found), graph.constant([_MOST]))
    top, place = graph.add_pair("TopK", found, count, axis=0)
    best = graph.add("Gather", kept, place, axis=0)
    number, anchor = (
        graph.add("Gather", best, graph.constant(column), axis=1) for column in (1, 2)
    )
    only = graph.constant([0])
    graph.add("Gather", boxes, anchor, axis=1, name="bboxes")
    graph.add("Unsqueeze", graph.add("Add", number, graph.constant(1)), only, name="labels")
    graph.add("Unsqueeze", top, only, name="scores")
