"""What the twins' tests measure with: counts taken from the file alone, and a plain suppression."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray


@dataclass(frozen=True)
class Cost:
    """Weights and biases of convolutions and dense layers, and what one picture takes."""

    parameters: int
    flop: int


@pytest.fixture(scope="session")
def cost() -> Callable[[Path], Cost]:
    return _cost


@pytest.fixture(scope="session")
def shapes() -> Callable[[Path], dict[str, list[int]]]:
    return _shapes


@pytest.fixture(scope="session")
def load() -> Callable[..., onnxruntime.InferenceSession]:
    return _load


@pytest.fixture(scope="session")
def suppress() -> Callable[..., list[tuple[int, int]]]:
    return _suppress


def _shapes(file: Path) -> dict[str, list[int]]:
    """Shapes of all tensors that nodes give, for a batch of one; 0 stands for what is not known."""
    model = onnx.load(file)
    for size in model.graph.input[0].type.tensor_type.shape.dim:
        size.dim_value = size.dim_value or 1
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    return {
        value.name: [size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.output)
    }


def _cost(file: Path) -> Cost:
    graph = onnx.load(file).graph
    shapes = _shapes(file)
    constants = {each.name: list(each.dims) for each in graph.initializer}
    parameters = flop = 0
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm"):
            weight, bias = (constants[name] for name in node.input[1:])
            _, channels, *place = shapes[node.output[0]]
            assert weight[0] == channels
            assert all(place)
            parameters += int(np.prod(weight) + np.prod(bias))
            flop += 2 * int(np.prod(weight) * np.prod(place, dtype=int))
    return Cost(parameters, flop)


def _load(
    model: Path | onnx.ModelProto, *more_outputs: str, threads: int = 1
) -> onnxruntime.InferenceSession:
    """The session of a model, which gives `more_outputs`, tensors within it, as well."""
    if isinstance(model, Path):
        model = onnx.load(model)
    for name in more_outputs:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, 1, None))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _suppress(
    boxes: NDArray[Any], scores: NDArray[Any], most: int, iou: float, lowest: float
) -> list[tuple[int, int]]:
    """Class and box of what is kept: of each class the best, less what overlaps a better one."""
    kept = []
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    for number, row in enumerate(scores):
        left = np.argsort(-row, kind="stable")
        left = left[row[left] > lowest]
        for _ in range(most):
            if not left.size:
                break
            best, left = left[0], left[1:]
            kept.append((number, int(best)))
            sides = np.minimum(boxes[left, 2:], boxes[best, 2:]) - np.maximum(
                boxes[left, :2], boxes[best, :2]
            )
            common = np.prod(np.maximum(sides, 0), axis=1)
            left = left[common <= iou * (areas[left] + areas[best] - common)]
    return kept
