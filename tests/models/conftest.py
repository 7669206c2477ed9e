"""Small files that pass for the zoo's models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import helper

from tailrace.models.zoo.spec import Format

_TYPES = {"UINT8": onnx.TensorProto.UINT8, "FP32": onnx.TensorProto.FLOAT}


@pytest.fixture(scope="session")
def small_onnx() -> Callable[[Path, Format], Path]:
    """Writes an ONNX file with the tensors of a format, which computes nothing of use."""
    return _write


def _write(file: Path, form: Format) -> Path:
    kind = _TYPES[form.input.datatype]
    shape = ["batch" if size == -1 else size for size in form.input.shape]
    graph = helper.make_graph(
        [helper.make_node("Identity", [form.input.name], [name]) for name in form.outputs],
        "small",
        [helper.make_tensor_value_info(form.input.name, kind, shape)],
        [helper.make_tensor_value_info(name, kind, shape) for name in form.outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    file.write_bytes(model.SerializeToString())
    return file
