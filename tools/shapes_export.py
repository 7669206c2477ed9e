"""Writes the trained detector as ONNX with MLPerf's ssd_mobilenet_v1_coco inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from shapes_model import CODER_SCALE, INPUT_PX, ConvUnit, ShapesNet, anchors

OPSET = 17
MAX_DETECTIONS = 100
NMS_IOU = 0.6
MIN_SCORE = 0.1


class _Graph:
    """Nodes and constants in the making; `add` returns the name of the node's first output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: NDArray | Sequence[int] | float) -> str:
        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(
        self, op: str, *inputs: str, outputs: int = 1, name: str | None = None, **attributes: object
    ) -> str:
        first = name or f"{op.lower()}_{len(self.nodes)}"
        names = [first, *(f"{first}_{i}" for i in range(1, outputs))]
        self.nodes.append(helper.make_node(op, inputs, names, name=f"node_{first}", **attributes))
        return first

    def conv(self, x: str, weight: NDArray, bias: NDArray, conv: nn.Conv2d) -> str:
        return self.add(
            "Conv",
            x,
            self.constant(weight),
            self.constant(bias),
            kernel_shape=list(conv.kernel_size),
            strides=list(conv.stride),
            pads=[conv.padding[0]] * 4,
            group=conv.groups,
        )


def export(net: ShapesNet, path: Path, metadata: Mapping[str, str]) -> None:
    """Writes `net` to `path`, atomically: batch norm folded, free batch size, NMS inside."""
    graph = _Graph()
    logits, offsets = _network(graph, net)
    boxes = _decode(graph, offsets)
    _detections(graph, boxes, graph.add("Sigmoid", logits), net.classes)
    shape = ["batch", MAX_DETECTIONS]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "shapes",
            [_value("image_tensor:0", TensorProto.UINT8, ["batch", INPUT_PX, INPUT_PX, 3])],
            [
                _value("num_detections:0", TensorProto.FLOAT, ["batch"]),
                _value("detection_boxes:0", TensorProto.FLOAT, [*shape, 4]),
                _value("detection_scores:0", TensorProto.FLOAT, shape),
                _value("detection_classes:0", TensorProto.FLOAT, shape),
            ],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
        producer_name="tailrace tools/train_shapes.py",
    )
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    partial = path.with_suffix(".partial")
    onnx.save(model, str(partial))
    partial.replace(path)


def _value(name: str, kind: int, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _network(graph: _Graph, net: ShapesNet) -> tuple[str, str]:
    x = graph.add("Transpose", "image_tensor:0", perm=[0, 3, 1, 2])
    x = graph.add("Cast", x, to=TensorProto.FLOAT)
    x = graph.add("Mul", x, graph.constant(2 / 255))
    x = graph.add("Sub", x, graph.constant(1.0))
    logits, offsets = [], []
    for stage, class_head, box_head in zip(net.stages, net.class_heads, net.box_heads, strict=True):
        for unit in stage:
            x = graph.add("Relu", graph.conv(x, *_folded(unit), unit.conv))
        for head, columns, rows in ((class_head, net.classes, logits), (box_head, 4, offsets)):
            y = graph.conv(x, _array(head.weight), _array(head.bias), head)
            y = graph.add("Transpose", y, perm=[0, 2, 3, 1])
            rows.append(graph.add("Reshape", y, graph.constant([0, -1, columns])))
    return graph.add("Concat", *logits, axis=1), graph.add("Concat", *offsets, axis=1)


def _folded(unit: ConvUnit) -> tuple[NDArray, NDArray]:
    norm = unit.norm
    gain = _array(norm.weight) / np.sqrt(_array(norm.running_var) + norm.eps)
    weight = _array(unit.conv.weight) * gain[:, None, None, None]
    return weight, _array(norm.bias) - _array(norm.running_mean) * gain


def _array(tensor: torch.Tensor) -> NDArray:
    return tensor.detach().float().numpy()


def _decode(graph: _Graph, offsets: str) -> str:
    prior = anchors()
    centre = graph.add("Split", offsets, graph.constant([2, 2]), outputs=2, axis=-1)
    spread = graph.add("Mul", f"{centre}_1", graph.constant(1 / CODER_SCALE[2]))
    centre = graph.add("Mul", centre, graph.constant(prior[:, 2:] / CODER_SCALE[0]))
    centre = graph.add("Add", centre, graph.constant(prior[:, :2]))
    # Half sizes: the 1/2 goes into the constant.
    half = graph.add("Mul", graph.add("Exp", spread), graph.constant(prior[:, 2:] / 2))
    corners = graph.add(
        "Concat", graph.add("Sub", centre, half), graph.add("Add", centre, half), axis=-1
    )
    return graph.add("Clip", corners, graph.constant(0.0), graph.constant(1.0))


def _detections(graph: _Graph, boxes: str, scores: str, classes: int) -> None:
    count = len(anchors())
    by_class = graph.add("Transpose", scores, perm=[0, 2, 1])
    chosen = graph.add(
        "NonMaxSuppression",
        boxes,
        by_class,
        graph.constant(np.array(MAX_DETECTIONS)),
        graph.constant(NMS_IOU),
        graph.constant(MIN_SCORE),
    )
    kept = graph.add(
        "ScatterND",
        graph.add("ConstantOfShape", graph.add("Shape", by_class)),
        chosen,
        graph.add("GatherND", by_class, chosen),
    )
    flat = graph.add("Reshape", kept, graph.constant([0, classes * count]))
    top = graph.add("TopK", flat, graph.constant([MAX_DETECTIONS]), outputs=2, axis=1)
    index = f"{top}_1"
    found = graph.add("Greater", top, graph.constant(0.0))
    mask = graph.add("Cast", found, to=TensorProto.FLOAT)
    graph.add("ReduceSum", mask, graph.constant([1]), keepdims=0, name="num_detections:0")
    graph.add("Identity", top, name="detection_scores:0")

    size = graph.constant(np.array(count))
    number = graph.add("Add", graph.add("Div", index, size), graph.constant(np.array(1)))
    number = graph.add("Cast", number, to=TensorProto.FLOAT)
    graph.add("Mul", number, mask, name="detection_classes:0")

    last = graph.constant([-1])
    anchor = graph.add("Unsqueeze", graph.add("Mod", index, size), last)
    picked = graph.add("GatherND", boxes, anchor, batch_dims=1)
    graph.add("Mul", picked, graph.add("Unsqueeze", mask, last), name="detection_boxes:0")
