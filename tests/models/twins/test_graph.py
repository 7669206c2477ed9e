"""The builder of ONNX graphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from tailrace.models.twins.graph import GraphBuilder, TensorSpec

INPUTS = [TensorSpec("x", TensorProto.FLOAT, ("rows", 4))]


def outputs(*names: str) -> list[TensorSpec]:
    return [TensorSpec(name, TensorProto.FLOAT, ("rows", 2)) for name in names]


def test_a_graph_computes_what_was_put_together(tmp_path: Path) -> None:
    graph = GraphBuilder()
    left, right = graph.add_pair("Split", "x", graph.constant([2, 2]), axis=1)
    graph.add("Mul", left, graph.constant(0.5), name="half")
    graph.add("Add", left, right, name="sum")
    graph.save(tmp_path / "a.onnx", "a", INPUTS, outputs("half", "sum"), {"key": "value"})
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx")
    half, total = session.run(None, {"x": np.array([[1, 2, 3, 4], [5, 6, 7, 9]], np.float32)})
    assert half.tolist() == [[0.5, 1], [2.5, 3]]
    assert total.tolist() == [[4, 6], [12, 15]]
    assert session.get_modelmeta().custom_metadata_map == {"key": "value"}


def test_a_graph_that_lacks_a_tensor_is_not_written(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.add("Relu", "y", name="z")
    with pytest.raises(onnx.checker.ValidationError):
        graph.save(tmp_path / "a.onnx", "a", INPUTS, outputs("z"))
    assert not (tmp_path / "a.onnx").exists()


def test_a_graph_whose_shapes_do_not_fit_is_not_written(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.add("MatMul", "x", graph.constant(np.zeros((3, 2))), name="z")
    with pytest.raises(onnx.shape_inference.InferenceError):
        graph.save(tmp_path / "a.onnx", "a", INPUTS, outputs("z"))
    assert not (tmp_path / "a.onnx").exists()
