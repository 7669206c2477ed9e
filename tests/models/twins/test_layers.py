"""Random layers: their geometry, and that a signal keeps its strength."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from tailrace.models.twins.graph import GraphBuilder, TensorSpec
from tailrace.models.twins.layers import FeatureMap, RandomLayers

X = FeatureMap("x", 8)


def run_layer(
    tmp_path: Path,
    add: Callable[[RandomLayers], FeatureMap],
    x: NDArray[np.float32],
    seed: int = 0,
) -> NDArray[Any]:
    graph = GraphBuilder()
    y = add(RandomLayers(graph, seed))
    shape = ("batch", 8, "height", "width")
    graph.save(
        tmp_path / "layers.onnx",
        "layers",
        [TensorSpec("x", TensorProto.FLOAT, shape)],
        [TensorSpec(y.name, TensorProto.FLOAT, ("batch", y.channels, "rows", "columns"))],
    )
    (result,) = onnxruntime.InferenceSession(tmp_path / "layers.onnx").run(None, {"x": x})
    return np.asarray(result)


def noise(side: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal((1, 8, side, side), np.float32)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "side", "expected"),
    [
        (1, 1, None, 19, 19),
        (3, 2, None, 75, 38),
        (3, 2, 1, 75, 38),
        (3, 2, 0, 19, 9),
        (3, 1, 0, 9, 7),
        (3, 3, 1, 38, 13),
        (7, 2, 3, 120, 60),
    ],
)
def test_sides(
    tmp_path: Path, kernel: int, stride: int, padding: int | None, side: int, expected: int
) -> None:
    y = run_layer(tmp_path, lambda to: to.conv(X, 4, kernel, stride, padding=padding), noise(side))
    assert y.shape == (1, 4, expected, expected)


def test_deep_layers_keep_the_mean_square(tmp_path: Path) -> None:
    def ten(to: RandomLayers) -> FeatureMap:
        x = to.relu(to.conv(X, 256, 3, padding=1))
        for _ in range(9):
            x = to.relu(to.conv(x, 256, 3, padding=1))
        return x

    x = noise(16)
    inside = run_layer(tmp_path, ten, x)
    # Zeros at the edges take some away, chance gives or takes some.
    assert 0.3 < np.mean(inside**2) / np.mean(x**2) < 2


def test_gain_and_bias(tmp_path: Path) -> None:
    x = noise(8)
    one = run_layer(tmp_path, lambda to: to.conv(X, 3, 3, padding=1), x)
    other = run_layer(tmp_path, lambda to: to.conv(X, 3, 3, padding=1, gain=0.5, bias=[0, 1, 2]), x)
    np.testing.assert_allclose(
        other, one / 2 + np.arange(3, dtype=np.float32)[:, None, None], atol=1e-5
    )


def test_each_group_sees_its_own_channels(tmp_path: Path) -> None:
    x = noise(8)
    changed = x.copy()
    changed[:, 5] += 1
    deep = [
        run_layer(tmp_path, lambda to: to.conv(X, 8, 3, groups=8), each) for each in (x, changed)
    ]
    differs = np.abs(deep[1] - deep[0]).max(axis=(0, 2, 3)) > 0
    assert np.flatnonzero(differs).tolist() == [5]


def test_simple_layers(tmp_path: Path) -> None:
    x = noise(6) * 9
    np.testing.assert_array_equal(run_layer(tmp_path, lambda to: to.relu(X), x), np.maximum(x, 0))
    np.testing.assert_array_equal(run_layer(tmp_path, lambda to: to.relu6(X), x), np.clip(x, 0, 6))
    np.testing.assert_array_equal(run_layer(tmp_path, lambda to: to.add(X, X), x), x + x)
    pooled = run_layer(tmp_path, lambda to: to.max_pool(X, 2, 2), x)
    np.testing.assert_array_equal(pooled, x.reshape(1, 8, 3, 2, 3, 2).max(axis=(3, 5)))
