"""Builds an ONNX model node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import helper, numpy_helper

_OPSET = 17
# The oldest format of the file that this opset may have, so that older runtimes read it too.
_IR_VERSION = 8


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a model."""

    name: str
    element_type: int
    """One of `onnx.TensorProto`."""
    shape: Sequence[int | str]
    """A size that is free has a name."""


class GraphBuilder:
    """Nodes and constants in the making; tensors go by their names."""

    def __init__(self) -> None:
        self._model = onnx.ModelProto(
            ir_version=_IR_VERSION,
            opset_import=[helper.make_opsetid("", _OPSET)],
            producer_name="tailrace",
        )
        self._graph = self._model.graph

    def constant(self, value: ArrayLike) -> str:
        """A tensor of this value: of the array's type, but float32 where that is float64."""
        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        name = f"constant_{len(self._graph.initializer)}"
        self._graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def add(self, op: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """The first output of a new node; `name` is for an output of the model."""
        output = name or f"{op.lower()}_{len(self._graph.node)}"
        self._append(op, inputs, [output], attributes)
        return output

    def add_pair(self, op: str, *inputs: str, **attributes: Any) -> tuple[str, str]:
        """The two outputs of a new node."""
        stem = f"{op.lower()}_{len(self._graph.node)}"
        pair = (f"{stem}_first", f"{stem}_second")
        self._append(op, inputs, pair, attributes)
        return pair

    def save(
        self,
        file: Path,
        title: str,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Checks the model and writes it to `file`, once all nodes are in; the same nodes give the
        same bytes.

        Raises:
            onnx.checker.ValidationError: the graph is not valid ONNX.
            onnx.shape_inference.InferenceError: its shapes contradict each other.
        """
        self._graph.name = title
        self._graph.input.extend(_value(each) for each in inputs)
        self._graph.output.extend(_value(each) for each in outputs)
        helper.set_model_props(self._model, dict(metadata or {}))
        content = self._model.SerializeToString(deterministic=True)
        onnx.checker.check_model(content, full_check=True)
        file.write_bytes(content)

    def _append(
        self, op: str, inputs: Sequence[str], outputs: Sequence[str], attributes: Mapping[str, Any]
    ) -> None:
        name = f"node_{outputs[0]}"
        self._graph.node.append(helper.make_node(op, inputs, outputs, name=name, **attributes))


def _value(tensor: TensorSpec) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(tensor.name, tensor.element_type, tensor.shape)
