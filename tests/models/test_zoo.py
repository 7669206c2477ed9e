"""What holds of every model of the zoo, what is a model's own, and the labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from tailrace.datasets.shapes import CATEGORIES
from tailrace.errors import UsageError
from tailrace.models import labels, store, zoo
from tailrace.models.model import RuntimeOptions, load
from tailrace.models.outputs import Classes, Detections
from tailrace.models.runtimes.null import NullRuntime
from tailrace.models.zoo.spec import Format, ModelSpec

DTYPES = {"UINT8": np.uint8, "FP32": np.float32}


def _formats() -> Iterator[tuple[ModelSpec, Format]]:
    for spec in zoo.SPECS:
        for form in spec.formats:
            yield spec, form


FORMATS = pytest.mark.parametrize(
    ("spec", "form"),
    [
        pytest.param(spec, form, id=f"{spec.name}-{form.runtime}-{form.origin}")
        for spec, form in _formats()
    ],
)


def test_names() -> None:
    mlperfs = {"ssd-mobilenet", "ssd-resnet34", "resnet50", "mobilenet", "retinanet"}
    assert {"shapes", "null"} | mlperfs <= set(zoo.names())
    assert len(set(zoo.names())) == len(zoo.names())
    assert [zoo.find(name).name for name in zoo.names()] == list(zoo.names())


def test_unknown_name_gets_a_hint() -> None:
    with pytest.raises(UsageError, match="did you mean ssd-mobilenet"):
        zoo.find("ssd-mobilnet")
    with pytest.raises(UsageError, match="there are shapes"):
        zoo.find("bert")


@FORMATS
def test_preprocessing_gives_the_input_tensor(spec: ModelSpec, form: Format) -> None:
    tensor = form.preprocess(np.zeros((48, 64, 3), np.uint8))
    assert tensor.dtype == DTYPES[form.input.datatype]
    assert len(tensor.shape) == len(form.input.shape)
    for size, wanted in zip(tensor.shape[1:], form.input.shape[1:], strict=True):
        assert wanted in (size, -1)
    assert tensor.shape[0] == 1
    assert form.input.shape[0] in (1, -1)


@FORMATS
def test_formats_can_be_told_apart(spec: ModelSpec, form: Format) -> None:
    """By runtime and origin for who asks, by the names of its tensors for who loads it."""
    same = [each for each in spec.formats if each.runtime == form.runtime]
    assert sum(each.origin == form.origin for each in same) == 1
    tensors = [{each.input.name, *each.outputs} for each in same]
    assert sum(names == {form.input.name, *form.outputs} for names in tensors) == 1
    assert len(set(form.outputs)) == len(form.outputs)


@FORMATS
def test_files_do_not_get_into_each_others_way(spec: ModelSpec, form: Format) -> None:
    if form.file is None:
        assert not spec.needs_file
        return
    assert urlsplit(form.file.url).scheme in ("http", "https")
    assert form.file.md5 is None or len(bytes.fromhex(form.file.md5)) == 16
    names = [each.file.name for each in spec.formats if each.file is not None]
    assert names.count(form.file.name) == 1
    packed = form.file.url.endswith((".zip", ".tar.gz"))
    assert packed == (form.file.member is not None)


@FORMATS
def test_formats_of_a_runtime(spec: ModelSpec, form: Format) -> None:
    assert form in spec.formats_for(form.runtime)
    if spec.name == "null":
        assert spec.formats_for("onnx") == spec.formats
    elif form.runtime == "onnx":
        assert all(each.runtime == "onnx" for each in spec.formats_for("onnx"))
        with pytest.raises(UsageError, match=f"{spec.name} has no form for --runtime abacus"):
            spec.formats_for("abacus")


@pytest.mark.parametrize("spec", zoo.SPECS, ids=zoo.names())
def test_who_needs_a_file_and_who_has_a_twin(spec: ModelSpec) -> None:
    assert spec.needs_file == (spec.name not in ("shapes", "null"))
    if spec.name in ("ssd-mobilenet", "ssd-resnet34", "resnet50"):
        assert spec.twin is not None
    if spec.twin is not None:
        assert spec.twin is spec.formats_for("onnx")[0]


@pytest.mark.parametrize(
    ("name", "output"),
    [
        # The likeliest of 1,001 scores, of which the first is the background's.
        ("mobilenet", np.eye(1, 1001, 66, dtype=np.float32)),
        # The class itself, counted with the background.
        ("resnet50", np.array([66])),
    ],
)
def test_classes_are_counted_without_the_background(name: str, output: NDArray[Any]) -> None:
    found = zoo.find(name).formats[0].postprocess([output], 640, 480)
    assert isinstance(found, Classes)
    assert found.class_ids[0] == 65


def test_boxes_of_retinanet_are_of_its_own_input() -> None:
    boxes = np.array([[0, 0, 800, 400]], np.float32)
    (form,) = zoo.find("retinanet").formats
    found = form.postprocess([boxes, np.array([7]), np.array([0.9], np.float32)], 640, 480)
    assert isinstance(found, Detections)
    assert np.allclose(found.boxes, [[0, 0, 640, 240]])


def test_null_fits_its_runtime_and_looks_at_no_picture() -> None:
    (form,) = zoo.find("null").formats
    runtime = NullRuntime()
    assert runtime.inputs == (form.input,)
    assert tuple(tensor.name for tensor in runtime.outputs) == form.outputs
    image = form.decode(b"")
    assert (image.dtype, image.shape) == (np.uint8, (1, 1, 3))
    assert form.preprocess(image).shape == (1, 1)


def test_shapes_is_asked_and_answers_as_ssd_mobilenet() -> None:
    (form,) = zoo.find("shapes").formats
    published = zoo.find("ssd-mobilenet").formats[0]
    assert (form.input, form.outputs) == (published.input, published.outputs)
    assert form.preprocess is published.preprocess
    assert form.postprocess is published.postprocess


def test_cost_of_shapes_is_that_of_its_file() -> None:
    spec = zoo.find("shapes")
    model = onnx.load(store.model_file(spec))
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
    assert spec.cost is not None
    assert sum(np.prod(size) for size in weights) == pytest.approx(spec.cost.parameters, rel=0.01)
    assert 2 * multiplications == pytest.approx(spec.cost.flop, rel=0.01)


def test_the_twin_of_ssd_resnet34_is_the_one_from_pytorch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILRACE_CACHE", str(tmp_path))
    spec = zoo.find("ssd-resnet34")
    model = load(spec, store.model_file(spec, twin=True), RuntimeOptions(), twin=True)
    assert (model.format.origin, model.max_batch) == ("PyTorch", 1)


def test_labels_of_shapes_are_those_that_are_drawn() -> None:
    assert dict(labels.SHAPES) == dict(enumerate(CATEGORIES, start=1))


def test_labels_of_coco() -> None:
    assert len(labels.COCO) == 80
    assert (labels.COCO[1], labels.COCO[13], labels.COCO[90]) == (
        "person",
        "stop sign",
        "toothbrush",
    )
    assert not {12, 26, 29, 30, 45, 66, 68, 69, 71, 83} & set(labels.COCO)
