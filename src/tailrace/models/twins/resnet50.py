"""ResNet-50 v1.5 224x224, as MLPerf Inference published it from TensorFlow.

He et al., "Deep Residual Learning for Image Recognition" (2016); v1.5 halves a map in the 3x3
convolution of a block, not in the 1x1 before it.
"""

from __future__ import annotations

from pathlib import Path

from onnx import TensorProto

from tailrace.models.twins.graph import GraphBuilder, TensorSpec
from tailrace.models.twins.layers import FeatureMap, RandomLayers

_INPUT_PX = 224
_CLASSES = 1001
# Inner channels, blocks, and the stride of the first one; a block ends with four times as many.
_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
_EXPANSION = 4
# Pixels come as 0..255 less their mean, so with a deviation near 64.
_PIXEL_GAIN = 1 / 64
# With each block the mean square of the sum would grow threefold; so it grows by half at most.
_BRANCH_GAIN = 0.5
# Takes back the growth, so that no class has it all.
_CLASS_GAIN = 0.2


def build(file: Path, seed: int = 0) -> None:
    """Writes the twin to `file`: free batch size, the best class and the probability of each."""
    graph = GraphBuilder()
    layers = RandomLayers(graph, seed)
    x = _features(layers, FeatureMap("input_tensor:0", 3))
    pooled = graph.add("Flatten", graph.add("GlobalAveragePool", x.name))
    logits = layers.dense(pooled, x.channels, _CLASSES, gain=_CLASS_GAIN)
    graph.add("ArgMax", logits, axis=1, keepdims=0, name="ArgMax:0")
    graph.add("Softmax", logits, axis=1, name="softmax_tensor:0")
    size = (_INPUT_PX, _INPUT_PX)
    graph.save(
        file,
        "resnet50 twin",
        [TensorSpec("input_tensor:0", TensorProto.FLOAT, ("batch", 3, *size))],
        [
            TensorSpec("ArgMax:0", TensorProto.INT64, ("batch",)),
            TensorSpec("softmax_tensor:0", TensorProto.FLOAT, ("batch", _CLASSES)),
        ],
    )


def _features(layers: RandomLayers, x: FeatureMap) -> FeatureMap:
    x = layers.relu(layers.conv(x, 64, 7, 2, padding=3, gain=_PIXEL_GAIN))
    x = layers.max_pool(x, 3, 2)
    for channels, blocks, stride in _STAGES:
        for block in range(blocks):
            x = _block(layers, x, channels, 1 if block else stride)
    return x


def _block(layers: RandomLayers, x: FeatureMap, channels: int, stride: int) -> FeatureMap:
    outputs = channels * _EXPANSION
    branch = layers.relu(layers.conv(x, channels))
    branch = layers.relu(layers.conv(branch, channels, 3, stride, padding=1))
    branch = layers.conv(branch, outputs, gain=_BRANCH_GAIN)
    if x.channels != outputs:
        x = layers.conv(x, outputs, 1, stride)
    return layers.relu(layers.add(x, branch))
