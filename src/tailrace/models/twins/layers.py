"""Layers with random weights, scaled so that a signal neither dies nor grows on its way through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tailrace.models.twins.graph import GraphBuilder


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """A float32 tensor [batch, channels, height, width]."""

    name: str
    channels: int


class RandomLayers:
    """Adds layers to a graph; batch norm is taken as folded into the convolutions.

    At a gain of 1 weights have the variance 2 / fan-in of He et al., "Delving Deep into
    Rectifiers" (2015), which holds the mean square from one rectified layer to the next; else
    `gain` times that deviation. `padding` is the zeros on each side, None TensorFlow's SAME.
    """

    def __init__(self, graph: GraphBuilder, seed: int) -> None:
        self._graph = graph
        self._random = np.random.default_rng(seed)

    def conv(
        self,
        x: FeatureMap,
        channels: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        padding: int | None = None,
        groups: int = 1,
        gain: float = 1.0,
        bias: ArrayLike = 0.0,
    ) -> FeatureMap:
        """A convolution to `channels`."""
        name = self._graph.add(
            "Conv",
            x.name,
            self._weight((channels, x.channels // groups, kernel, kernel), gain),
            self._bias(channels, bias),
            strides=[stride, stride],
            group=groups,
            **_window(kernel, padding),
        )
        return FeatureMap(name, channels)

    def dense(self, x: str, inputs: int, outputs: int, *, gain: float = 1.0) -> str:
        """A fully connected layer: [batch, outputs] from [batch, inputs]."""
        weight = self._weight((outputs, inputs), gain)
        return self._graph.add("Gemm", x, weight, self._bias(outputs, 0.0), transB=1)

    def max_pool(
        self, x: FeatureMap, kernel: int, stride: int, *, padding: int | None = None
    ) -> FeatureMap:
        """The largest of each window."""
        window = _window(kernel, padding)
        name = self._graph.add("MaxPool", x.name, strides=[stride, stride], **window)
        return FeatureMap(name, x.channels)

    def relu(self, x: FeatureMap) -> FeatureMap:
        """What is above zero."""
        return FeatureMap(self._graph.add("Relu", x.name), x.channels)

    def relu6(self, x: FeatureMap) -> FeatureMap:
        """What is above zero, at most 6."""
        low, high = self._graph.constant(0.0), self._graph.constant(6.0)
        return FeatureMap(self._graph.add("Clip", x.name, low, high), x.channels)

    def add(self, x: FeatureMap, y: FeatureMap) -> FeatureMap:
        """The sum of two maps of one shape."""
        return FeatureMap(self._graph.add("Add", x.name, y.name), x.channels)

    def _weight(self, shape: tuple[int, ...], gain: float) -> str:
        weight = self._random.standard_normal(shape, np.float32)
        weight *= np.float32(gain * np.sqrt(2 / np.prod(shape[1:])))
        return self._graph.constant(weight)

    def _bias(self, channels: int, value: ArrayLike) -> str:
        return self._graph.constant(np.full(channels, value, np.float32))


def _window(kernel: int, padding: int | None) -> dict[str, Any]:
    sides = {"auto_pad": "SAME_UPPER"} if padding is None else {"pads": [padding] * 4}
    return {"kernel_shape": [kernel, kernel], **sides}
