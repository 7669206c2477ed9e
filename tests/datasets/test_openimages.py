"""Reading OpenImages as MLPerf lays it out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tailrace.datasets.files import image_files, is_coco, is_openimages
from tailrace.datasets.openimages import open_openimages
from tailrace.errors import UsageError


def write_table(root: Path, document: Any) -> None:
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations/openimages-mlperf.json").write_text(json.dumps(document))


def document(*names: str) -> dict[str, Any]:
    return {
        "info": {"dataset": "openimages_mlperf", "version": "v6"},
        "images": [
            {"id": i + 1, "file_name": name, "width": 4, "height": 3, "license": None}
            for i, name in enumerate(names)
        ],
        "annotations": [],
        "categories": [{"id": 0, "name": "Airplane", "supercategory": None}],
    }


def test_pictures_in_the_order_of_the_annotations(tmp_path: Path) -> None:
    write_table(tmp_path, document("b.jpg", "a.jpg"))
    folder = tmp_path / "validation/data"
    folder.mkdir(parents=True)
    for name in ("a.jpg", "b.jpg", "unlisted.jpg"):
        (folder / name).touch()
    dataset = open_openimages(tmp_path)
    assert dataset.annotation_file == tmp_path / "annotations/openimages-mlperf.json"
    assert [image.file for image in dataset.images] == [folder / "b.jpg", folder / "a.jpg"]
    assert [image.id for image in dataset.images] == [1, 2]
    assert {(image.width_px, image.height_px) for image in dataset.images} == {(4, 3)}
    assert dataset.categories == {0: "Airplane"}
    assert image_files(tmp_path) == [folder / "a.jpg", folder / "b.jpg"]
    assert is_openimages(tmp_path)
    assert not is_coco(tmp_path)


def test_names_that_hold_the_folder(tmp_path: Path) -> None:
    write_table(tmp_path, document("validation/data/a.jpg"))
    (tmp_path / "validation/data").mkdir(parents=True)
    (tmp_path / "validation/data/a.jpg").touch()
    (image,) = open_openimages(tmp_path).images
    assert image.file == tmp_path / "validation/data/a.jpg"


def test_missing_pictures_are_counted(tmp_path: Path) -> None:
    write_table(tmp_path, document("a.jpg", "b.jpg", "c.jpg"))
    with pytest.raises(UsageError, match=r"validation/data lacks 3 of the 3 images .* a\.jpg"):
        open_openimages(tmp_path)
    (tmp_path / "validation/data").mkdir(parents=True)
    (tmp_path / "validation/data/a.jpg").touch()
    with pytest.raises(UsageError, match=r"validation/data lacks 2 of the 3 images .* b\.jpg"):
        open_openimages(tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    assert not is_openimages(tmp_path)
    with pytest.raises(UsageError, match=r"cannot read .*openimages-mlperf\.json: No such file"):
        open_openimages(tmp_path)


@pytest.mark.parametrize("content", [[], {}, {"images": [{"id": "x"}]}])
def test_not_cocos_format(tmp_path: Path, content: Any) -> None:
    write_table(tmp_path, content)
    with pytest.raises(UsageError, match="not a COCO annotation file"):
        open_openimages(tmp_path)


def test_no_images_listed(tmp_path: Path) -> None:
    write_table(tmp_path, document())
    with pytest.raises(UsageError, match="lists no images"):
        open_openimages(tmp_path)
