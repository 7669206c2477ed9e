"""Reading COCO's layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tailrace.datasets import shapes
from tailrace.datasets.coco import CocoDataset
from tailrace.errors import UsageError


def _write_annotations(root: Path, document: Any, name: str = "instances_val2017.json") -> None:
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / name).write_text(json.dumps(document))


def _document(*names: str) -> dict[str, Any]:
    return {
        "info": {"year": 2017},
        "images": [
            {"id": i + 1, "file_name": name, "width": 4, "height": 3, "license": 1}
            for i, name in enumerate(names)
        ],
        "annotations": [],
        "categories": [{"id": 1, "name": "disc", "supercategory": "shape"}],
    }


def test_what_shapes_generates(tmp_path: Path) -> None:
    shapes.generate(tmp_path, count=3, seed=0)
    dataset = CocoDataset.open(tmp_path)
    assert [image.id for image in dataset.images] == [1, 2, 3]
    assert all(image.file.is_file() for image in dataset.images)
    assert {(image.width_px, image.height_px) for image in dataset.images} == {(300, 300)}
    assert dataset.categories == dict(enumerate(shapes.CATEGORIES, start=1))


@pytest.mark.parametrize("folder", ["train", "images", "."])
def test_any_instances_file_and_folder(tmp_path: Path, folder: str) -> None:
    _write_annotations(tmp_path, _document("a.jpg"), "instances_train.json")
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "a.jpg").touch()
    (image,) = CocoDataset.open(tmp_path).images
    assert image.file == tmp_path / folder / "a.jpg"
    assert (image.width_px, image.height_px) == (4, 3)


def test_real_pictures(coco_mini: Path) -> None:
    dataset = CocoDataset.open(coco_mini)
    assert len(dataset.images) == 79
    assert len(dataset.categories) == 80


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        CocoDataset.open(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="instances_"):
        CocoDataset.open(tmp_path)


@pytest.mark.parametrize("document", [[], {}, {"images": 1}, {"images": [{"id": "x"}]}])
def test_not_cocos(tmp_path: Path, document: Any) -> None:
    _write_annotations(tmp_path, document)
    with pytest.raises(UsageError, match="not a COCO annotation file"):
        CocoDataset.open(tmp_path)


def test_no_images_listed(tmp_path: Path) -> None:
    _write_annotations(tmp_path, _document())
    with pytest.raises(UsageError, match="lists no images"):
        CocoDataset.open(tmp_path)


def test_missing_pictures_are_counted(tmp_path: Path) -> None:
    _write_annotations(tmp_path, _document("a.jpg", "b.jpg"))
    (tmp_path / "val2017").mkdir()
    (tmp_path / "val2017/a.jpg").touch()
    with pytest.raises(UsageError, match="lacks 1 of the 2 images"):
        CocoDataset.open(tmp_path)
