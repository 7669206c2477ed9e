"""The models there are, their labels and files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailrace.datasets.shapes import CATEGORIES
from tailrace.errors import UsageError
from tailrace.models import labels, store, zoo


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


def test_targets_are_mlperfs() -> None:
    spec = zoo.find("ssd-mobilenet")
    assert spec.map_target == pytest.approx(0.2178)
    assert spec.server_latency_ms == 10


def test_unknown_name_gets_a_hint() -> None:
    with pytest.raises(UsageError, match="did you mean ssd-mobilenet"):
        zoo.find("ssd-mobilnet")
    with pytest.raises(UsageError, match="there are shapes"):
        zoo.find("bert")


def test_embedded_file_is_there() -> None:
    assert store.model_file(zoo.find("shapes")).is_file()


def test_given_file_comes_first(tmp_path: Path) -> None:
    file = tmp_path / "a.onnx"
    file.touch()
    assert store.model_file(zoo.find("shapes"), file) == file
    with pytest.raises(UsageError, match="no model file"):
        store.model_file(zoo.find("shapes"), tmp_path / "b.onnx")
    with pytest.raises(UsageError, match="--model-path"):
        store.model_file(zoo.find("ssd-mobilenet"))
