"""What a test draws its samples from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from tailrace.datasets import shapes
from tailrace.errors import TailraceError, UsageError
from tailrace.mlperf.data import Boxes, Labels, open_data, truth_of
from tailrace.models import zoo

NAMES = ("b.jpg", "c.jpg", "a.jpg")
ALL = ("shapes", "ssd-mobilenet", "ssd-resnet34", "resnet50", "mobilenet", "retinanet", "null")


def write_pictures(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(f"picture {name}".encode())


def annotate(file: Path) -> None:
    images = [
        {"id": 9 - i, "file_name": name, "width": 4 + i, "height": 3}
        for i, name in enumerate(NAMES)
    ]
    document = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "person"}]}
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(document))


def make_coco(root: Path) -> None:
    annotate(root / "annotations/instances_val2017.json")
    write_pictures(root / "val2017", *NAMES, "unlisted.jpg")


def openimages(root: Path) -> None:
    annotate(root / "annotations/openimages-mlperf.json")
    write_pictures(root / "validation/data", *NAMES, "unlisted.jpg")


def make_imagenet(root: Path) -> None:
    write_pictures(root, *NAMES, "unlisted.jpg")
    (root / "val_map.txt").write_text("b.jpg 7\nc.jpg 999\na.jpg 0\n")


Make = Callable[[Path], None]
LAYOUTS: dict[str, Make] = {"COCO": make_coco, "ImageNet": make_imagenet, "OpenImages": openimages}
OF_MODELS = {
    "shapes": "COCO",
    "ssd-mobilenet": "COCO",
    "ssd-resnet34": "COCO",
    "resnet50": "ImageNet",
    "mobilenet": "ImageNet",
    "retinanet": "OpenImages",
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TAILRACE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/datasets"


@pytest.mark.parametrize("model", OF_MODELS)
def test_samples_have_the_order_of_the_list(tmp_path: Path, model: str) -> None:
    LAYOUTS[OF_MODELS[model]](tmp_path / "set")
    spec = zoo.find(model)
    data = open_data(spec, tmp_path / "set")
    assert (data.name, data.directory, data.total) == ("set", tmp_path / "set", 3)
    assert [data.read(i) for i in range(3)] == [
        b"picture b.jpg",
        b"picture c.jpg",
        b"picture a.jpg",
    ]
    truth = truth_of(spec, data)
    if isinstance(truth, Labels):
        assert truth.labels == (7, 999, 0)
    else:
        assert [image.id for image in truth.images] == [9, 8, 7]
        assert [image.width_px for image in truth.images] == [4, 5, 6]
        assert truth.annotation_file.is_file()
        assert truth.categories == {1: "person"}


@pytest.mark.parametrize(
    ("model", "layout"),
    [(model, layout) for model in OF_MODELS for layout in LAYOUTS if layout != OF_MODELS[model]],
)
def test_a_layout_that_is_not_the_models(tmp_path: Path, model: str, layout: str) -> None:
    needed = OF_MODELS[model]
    LAYOUTS[layout](tmp_path)
    with pytest.raises(UsageError, match=f"has {layout}'s layout .*but {model} needs {needed}'s"):
        open_data(zoo.find(model), tmp_path)


@pytest.mark.parametrize("model", ["ssd-mobilenet", "resnet50", "retinanet"])
def test_the_models_own_layout_goes_before_others(tmp_path: Path, model: str) -> None:
    annotate(tmp_path / "annotations/instances_val2017.json")
    (tmp_path / "annotations/openimages-mlperf.json").write_bytes(
        (tmp_path / "annotations/instances_val2017.json").read_bytes()
    )
    make_imagenet(tmp_path)
    data = open_data(zoo.find(model), tmp_path)
    assert isinstance(data.truth, Labels if model == "resnet50" else Boxes)


@pytest.mark.parametrize("model", ALL)
def test_plain_pictures_have_no_truth(tmp_path: Path, model: str) -> None:
    write_pictures(tmp_path / "deep", *NAMES)
    spec = zoo.find(model)
    data = open_data(spec, tmp_path)
    assert data.truth is None
    assert [data.read(i) for i in range(data.total)] == [
        b"picture a.jpg",
        b"picture b.jpg",
        b"picture c.jpg",
    ]
    with pytest.raises(UsageError, match="has no acc" if model == "null" else "no annotations.*ne"):
        truth_of(spec, data)


@pytest.mark.parametrize("make", LAYOUTS.values())
def test_null_takes_any_pictures(tmp_path: Path, make: Make) -> None:
    make(tmp_path)
    data = open_data(zoo.find("null"), tmp_path)
    assert data.read(0).startswith(b"picture ")
    assert data.truth is None


def test_null_needs_no_pictures() -> None:
    data = open_data(zoo.find("null"), None)
    assert (data.name, data.directory, data.total, data.truth) == ("null", None, 256, None)
    assert 0 < len(data.read(0)) < 100
    assert open_data(zoo.find("null"), None, 5).total == 5


@pytest.mark.parametrize("model", sorted(set(ALL) - {"shapes", "null"}))
def test_others_need_a_directory(model: str) -> None:
    with pytest.raises(UsageError, match=f"{model} needs .*--dataset, {OF_MODELS[model]}'s layout"):
        open_data(zoo.find(model), None)


def test_the_first_pictures(tmp_path: Path) -> None:
    make_coco(tmp_path)
    said: list[str] = []
    spec = zoo.find("ssd-mobilenet")
    data = open_data(spec, tmp_path, 2, said.append)
    assert data.total == 2
    assert data.read(1) == b"picture c.jpg"
    with pytest.raises(IndexError):
        data.read(2)
    assert not said
    assert open_data(spec, tmp_path, 5, said.append).total == 3
    assert said == [f"{tmp_path} has 3 pictures, not 5"]
    with pytest.raises(UsageError, match="1 or more, not 0"):
        open_data(spec, tmp_path, 0)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        open_data(zoo.find("resnet50"), tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"no \.jpg or \.png"):
        open_data(zoo.find("resnet50"), tmp_path)
    make_coco(tmp_path)
    data = open_data(zoo.find("ssd-mobilenet"), tmp_path)
    (tmp_path / "val2017/c.jpg").unlink()
    with pytest.raises(TailraceError, match=r"cannot read .*val2017/c\.jpg: No such file"):
        data.read(1)
    with pytest.raises(UsageError, match="lacks 1 of the 3 images"):
        open_data(zoo.find("ssd-mobilenet"), tmp_path)


def test_shapes_come_from_held_out_scenes(cache: Path) -> None:
    said: list[str] = []
    spec = zoo.find("shapes")
    data = open_data(spec, None, 4, said.append)
    assert said == [f"drawing 4 scenes into {cache}/shapes-held-out-4"]
    assert (data.name, data.total) == ("shapes-held-out-4", 4)
    assert data.directory == cache / "shapes-held-out-4"
    for index, seed in enumerate(shapes.HELD_OUT_SEEDS[:4]):
        drawn = shapes.draw_scene(seed).image
        read = cv2.imdecode(np.frombuffer(data.read(index), np.uint8), cv2.IMREAD_COLOR)
        assert read is not None
        assert np.abs(read[:, :, ::-1].astype(float) - drawn).mean() < 8
    assert isinstance(data.truth, Boxes)
    assert data.truth.categories == spec.labels
    assert open_data(spec, None, 4, said.append).read(3) == data.read(3)
    assert len(said) == 1
    assert [path.name for path in cache.iterdir()] == ["shapes-held-out-4"]


def test_256_scenes_unless_told_otherwise(cache: Path) -> None:
    data = open_data(zoo.find("shapes"), None)
    assert data.total == 256
    assert isinstance(data.truth, Boxes)
    assert len(data.truth.images) == 256


def test_scenes_are_drawn_once_however_many_want_them(cache: Path) -> None:
    said: list[str] = []
    spec = zoo.find("shapes")
    with ThreadPoolExecutor(6) as pool:
        sets = list(pool.map(lambda _: open_data(spec, None, 12, said.append), range(6)))
    assert len(said) == 1
    assert {data.total for data in sets} == {12}
    assert [path.name for path in cache.iterdir()] == ["shapes-held-out-12"]


def test_scenes_that_are_not_whole_are_drawn_anew(cache: Path) -> None:
    said: list[str] = []
    spec = zoo.find("shapes")
    left = cache / "shapes-held-out-2.drawing/val2017"
    write_pictures(left, "of_a_killed_process.jpg")
    data = open_data(spec, None, 2, said.append)
    picture = cache / "shapes-held-out-2/val2017/000000000002.jpg"
    picture.unlink()
    assert open_data(spec, None, 2, said.append).read(1) == picture.read_bytes() == data.read(1)
    assert len(said) == 2
    assert [path.name for path in cache.iterdir()] == ["shapes-held-out-2"]


def test_scenes_need_a_cache_that_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TAILRACE_CACHE", str(tmp_path / "file"))
    file = re.escape(str(tmp_path / "file"))
    with pytest.raises(TailraceError, match=f"cannot write {file}/datasets/shapes-held-out-2: "):
        open_data(zoo.find("shapes"), None, 2)


def test_scenes_are_not_without_end(cache: Path) -> None:
    with pytest.raises(UsageError, match="there are 1,000,000 held-out scenes, not 1,000,001"):
        open_data(zoo.find("shapes"), None, 1_000_001)
