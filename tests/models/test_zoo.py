"""What holds of every model of the zoo, and the labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from tailrace.datasets.shapes import CATEGORIES
from tailrace.errors import UsageError
from tailrace.models import labels, zoo
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


def test_each_has_a_test_of_its_own() -> None:
    there = {file.stem for file in (Path(__file__).parent / "zoo").glob("test_*.py")}
    assert there == {f"test_{name.replace('-', '_')}" for name in zoo.names()}


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
