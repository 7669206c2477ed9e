"""The embedded detector."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tailrace.models import labels, store, zoo

SPEC = zoo.find("shapes")


def test_it_is_asked_and_answers_as_ssd_mobilenet() -> None:
    (form,) = SPEC.formats
    published = zoo.find("ssd-mobilenet").formats[0]
    assert (form.input, form.outputs) == (published.input, published.outputs)
    assert form.preprocess is published.preprocess
    assert form.postprocess is published.postprocess
    assert form.file is None
    assert SPEC.labels is labels.SHAPES


def test_cost_is_that_of_its_file() -> None:
    model = onnx.load(store.model_file(SPEC))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    inferred = onnx.shape_inference.infer_shapes(model).graph
    sizes = {tensor.name: tuple(tensor.dims) for tensor in inferred.initializer}
    for node in inferred.node:
        if node.op_type == "Cast" and node.input[0] in sizes:
            sizes[node.output[0]] = sizes[node.input[0]]
    outputs = {
        value.name: [size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in inferred.value_info
    }
    convolutions = [node for node in inferred.node if node.op_type == "Conv"]
    weights = [sizes[name] for node in convolutions for name in node.input[1:]]
    multiplications = sum(
        np.prod(outputs[node.output[0]]) * np.prod(sizes[node.input[1]][1:])
        for node in convolutions
    )
    assert SPEC.cost is not None
    assert sum(np.prod(size) for size in weights) == pytest.approx(SPEC.cost.parameters, rel=0.01)
    assert 2 * multiplications == pytest.approx(SPEC.cost.flop, rel=0.01)
