"""Which files of a folder are its pictures."""

from pathlib import Path

import pytest

from tailrace.datasets import shapes
from tailrace.datasets.files import image_files
from tailrace.errors import UsageError


def test_cocos_layout(tmp_path: Path) -> None:
    shapes.generate(tmp_path, count=3, seed=0)
    (tmp_path / "val2017" / "unlisted.jpg").touch()
    names = [file.name for file in image_files(tmp_path)]
    assert names == ["000000000001.jpg", "000000000002.jpg", "000000000003.jpg"]


def test_imagenets_layout(tmp_path: Path) -> None:
    for name in ("b.JPEG", "a.JPEG", "unlisted.JPEG"):
        (tmp_path / name).touch()
    (tmp_path / "val_map.txt").write_text("b.JPEG 3\na.JPEG 0\n")
    assert image_files(tmp_path) == [tmp_path / "a.JPEG", tmp_path / "b.JPEG"]


def test_any_folder(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.PNG", "a.jpg", "deep/c.jpeg", "notes.txt"):
        (tmp_path / name).touch()
    names = [file.name for file in image_files(tmp_path)]
    assert names == ["a.jpg", "b.PNG", "c.jpeg"]


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        image_files(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"no \.jpg or \.png"):
        image_files(tmp_path)


def test_a_listed_picture_is_missing(tmp_path: Path) -> None:
    written = shapes.generate(tmp_path, count=2, seed=0)
    (tmp_path / "val2017" / "000000000001.jpg").unlink()
    with pytest.raises(UsageError, match="lacks 1 of the 2 images"):
        image_files(tmp_path)
    written.unlink()
    (tmp_path / "val_map.txt").write_text("val2017/000000000001.jpg 3\n")
    with pytest.raises(UsageError, match="lacks 1 of the 1 images"):
        image_files(tmp_path)
