"""Data sets at one size: pixels, annotations, resumption, and pictures that are broken."""

import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from tailrace.datasets import shapes
from tailrace.datasets.coco import CocoDataset
from tailrace.datasets.files import image_files
from tailrace.datasets.imagenet import ImagenetDataset
from tailrace.datasets.prepare import Prepared, prepare
from tailrace.errors import TailraceError, UsageError
from tests.kit.files import StoppedError, stop_at


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    shapes.generate(folder, count=6, seed=0)
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def annotations(folder: Path) -> dict[str, Any]:
    document = json.loads((folder / "annotations/instances_val2017.json").read_text())
    assert isinstance(document, dict)
    return document


def written(out: Path) -> dict[str, tuple[int, int]]:
    """Which file each picture is, and when it was written."""
    stats = {file.name: file.stat() for file in (out / "val2017").iterdir()}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items()}


def test_pictures_are_opencvs_own(source: Path, out: Path) -> None:
    steps: list[tuple[int, int]] = []
    prepared = prepare(source, out, (120, 90), "png", progress=lambda *step: steps.append(step))
    assert prepared == Prepared(6, 0, {})
    assert steps == [(done, 6) for done in range(7)]
    for image in CocoDataset.open(source).images:
        expected = cv2.resize(
            cv2.imread(str(image.file)), (120, 90), interpolation=cv2.INTER_LINEAR
        )
        stored = cv2.imread(str(out / "val2017" / f"{image.file.stem}.png"))
        assert np.array_equal(stored, expected)


def test_annotations_are_carried_over(source: Path, out: Path) -> None:
    prepare(source, out, (150, 600), "png")
    dataset = CocoDataset.open(out)
    assert [image.id for image in dataset.images] == [1, 2, 3, 4, 5, 6]
    assert {(image.width_px, image.height_px) for image in dataset.images} == {(150, 600)}
    assert [image.file for image in dataset.images] == image_files(out)
    before, after = annotations(source), annotations(out)
    assert after["info"] == before["info"]
    assert after["categories"] == before["categories"]
    for old, new in zip(before["annotations"], after["annotations"], strict=True):
        x, y, width, height = old["bbox"]
        assert new["bbox"] == pytest.approx([x / 2, y * 2, width / 2, height * 2])
        assert new["area"] == pytest.approx(old["area"])
        assert {**old, "bbox": 0, "area": 0} == {**new, "bbox": 0, "area": 0}


def test_real_pictures_with_outlines_and_crowds(out: Path, coco_mini: Path) -> None:
    assert prepare(coco_mini, out, (300, 300), "png").resized == 79
    (small, large) = (
        COCO(folder / "annotations/instances_val2017.json") for folder in (out, coco_mini)
    )
    assert small.getAnnIds() == large.getAnnIds()
    crowds = 0
    kernel = np.ones((3, 3), np.uint8)
    for annotation_id in small.getAnnIds():
        (new,), (old,) = small.loadAnns(annotation_id), large.loadAnns(annotation_id)
        (image,) = large.loadImgs(old["image_id"])
        stretch = 300 / image["width"] * 300 / image["height"]
        assert new["area"] == pytest.approx(old["area"] * stretch)
        mask = cv2.resize(large.annToMask(old), (300, 300), interpolation=cv2.INTER_NEAREST)
        rim = cv2.dilate(mask, kernel) - cv2.erode(mask, kernel, borderValue=0)
        assert np.count_nonzero(small.annToMask(new) != mask) <= np.count_nonzero(rim)
        crowds += old["iscrowd"]
    assert crowds > 0


def test_jpeg(source: Path, out: Path) -> None:
    prepare(source, out, (300, 300), "jpg", workers=1)
    for file in image_files(out):
        assert file.suffix == ".jpg"
        original = cv2.imread(str(source / "val2017" / file.name)).astype(int)
        assert np.abs(cv2.imread(str(file)) - original).mean() < 5


def test_an_interrupted_run_goes_on(source: Path, out: Path) -> None:
    # So large that not all are written by the time it is stopped.
    size = (1200, 1200)
    with pytest.raises(StoppedError):
        prepare(source, out, size, "png", workers=1, progress=stop_at(2))
    assert not (out / "annotations").exists()
    first = written(out)
    assert 2 <= len(first) < 6
    steps: list[int] = []
    prepared = prepare(source, out, size, "png", progress=lambda done, _: steps.append(done))
    assert prepared == Prepared(6 - len(first), len(first), {})
    assert steps == list(range(len(first), 7))
    last = written(out)
    assert len(last) == 6
    assert {name: last[name] for name in first} == first
    assert prepare(source, out, size, "png") == Prepared(0, 6, {})
    assert written(out) == last


def test_a_newer_picture_is_resized_again(source: Path, out: Path) -> None:
    prepare(source, out, (30, 30), "png")
    before = written(out)
    changed = source / "val2017" / "000000000003.jpg"
    now_ns = before["000000000003.png"][1] + 10**9
    os.utime(changed, ns=(now_ns, now_ns))
    assert prepare(source, out, (30, 30), "png") == Prepared(1, 5, {})
    after = written(out)
    assert [name for name in before if before[name] != after[name]] == ["000000000003.png"]


def test_broken_pictures_are_named_and_left_out(source: Path, out: Path) -> None:
    folder = source / "val2017"
    names = [f"00000000000{number}.jpg" for number in (1, 2, 3, 4)]
    whole = (folder / names[0]).read_bytes()
    (folder / names[0]).write_bytes(whole[: len(whole) // 2])
    (folder / names[1]).write_bytes(b"no picture" * 50)
    (folder / names[2]).write_bytes(b"")
    cv2.imwrite(str(folder / names[3]), np.zeros((20, 30, 3), np.uint8))
    prepared = prepare(source, out, (30, 30), "png")
    assert prepared.resized == 2
    assert prepared.broken == {
        names[0]: "is truncated: its end is missing",
        names[1]: "cannot be decoded: no picture, or a broken one",
        names[2]: "is empty",
        names[3]: "has 30 x 20 pixels, which is not what its annotation says",
    }
    assert [image.id for image in CocoDataset.open(out).images] == [5, 6]
    assert {row["image_id"] for row in annotations(out)["annotations"]} == {5, 6}
    (folder / names[0]).write_bytes(whole)
    assert prepare(source, out, (30, 30), "png").resized == 1
    assert [image.id for image in CocoDataset.open(out).images] == [1, 5, 6]


@pytest.mark.parametrize("image_format", ["png", "jpg"])
def test_every_cut_is_noticed(tmp_path: Path, image_format: shapes.ImageFormat) -> None:
    """Of a picture that ends early nothing is made up, wherever it ends."""
    source = tmp_path / "source"
    shapes.generate(source, 1, 5, image_format)
    (file,) = (source / "val2017").iterdir()
    whole = file.read_bytes()
    for number, size in enumerate([*range(0, len(whole), len(whole) // 25), len(whole) - 1]):
        file.write_bytes(whole[:size])
        assert list(prepare(source, tmp_path / f"{number}", (9, 9), "png").broken) == [file.name]
    file.write_bytes(whole + b"what a camera adds")
    assert prepare(source, tmp_path / "out", (9, 9), "png").resized == 1


def test_imagenets_layout(tmp_path: Path, out: Path) -> None:
    source = tmp_path / "imagenet"
    (source / "val").mkdir(parents=True)
    names = ["ILSVRC2012_val_00000002.JPEG", "val/ILSVRC2012_val_00000001.JPEG", "broken.JPEG"]
    for number, name in enumerate(names):
        _, encoded = cv2.imencode(".jpg", shapes.draw_scene(number).image)
        (source / name).write_bytes(encoded.tobytes()[: 999 if name == names[2] else None])
    (source / "val_map.txt").write_text("".join(f"{name} {9 * len(name)}\n" for name in names))
    assert list(prepare(source, out, (224, 224), "jpg").broken) == [names[2]]
    dataset = ImagenetDataset.open(out)
    assert [(image.name, image.label) for image in dataset.images] == [
        ("ILSVRC2012_val_00000002.jpg", 9 * len(names[0])),
        ("val/ILSVRC2012_val_00000001.jpg", 9 * len(names[1])),
    ]
    assert {cv2.imread(str(file)).shape for file in image_files(out)} == {(224, 224, 3)}


def test_one_folder_is_one_set(source: Path, tmp_path: Path, out: Path) -> None:
    prepare(source, out, (30, 30), "png")
    other = tmp_path / "other"
    shapes.generate(other, count=1, seed=0)
    for arguments in ((source, out, (31, 30), "png"), (source, out, (30, 30), "jpg")):
        with pytest.raises(UsageError, match="of another size or format"):
            prepare(*arguments)
    with pytest.raises(UsageError, match="pictures from elsewhere"):
        prepare(other, out, (30, 30), "png")
    for occupied in (source, other):
        with pytest.raises(UsageError, match="is not empty"):
            prepare(source, occupied, (30, 30), "png")
    assert annotations(source)["images"][0]["width"] == 300


def _rename(source: Path, old: str, new: str) -> None:
    document = annotations(source)
    for row in document["images"]:
        if row["file_name"] == old:
            row["file_name"] = new
    (source / "annotations/instances_val2017.json").write_text(json.dumps(document))
    (source / "val2017" / old).rename(source / "val2017" / new)


def test_two_names_that_would_become_one(source: Path, out: Path) -> None:
    _rename(source, "000000000002.jpg", "000000000001.jpeg")
    with pytest.raises(UsageError, match=r"01\.jpg and 000000000001\.jpeg would both become"):
        prepare(source, out, (30, 30), "png")
    assert not out.exists()


@pytest.mark.parametrize("name", ["../escaped.jpg", "/escaped.jpg"])
def test_nothing_is_written_elsewhere(source: Path, out: Path, tmp_path: Path, name: str) -> None:
    name = f"{tmp_path}{name}" if name.startswith("/") else name
    _rename(source, "000000000002.jpg", name)
    with pytest.raises(UsageError, match="lies outside"):
        prepare(source, out, (30, 30), "png")
    assert not out.exists()


@pytest.mark.parametrize("broken", [{"bbox": [1, 2]}, {"bbox": None}, {"segmentation": [["a"]]}])
def test_a_broken_annotation_is_named(source: Path, out: Path, broken: dict[str, object]) -> None:
    document = annotations(source)
    document["annotations"][1] |= broken
    (source / "annotations/instances_val2017.json").write_text(json.dumps(document))
    with pytest.raises(UsageError, match=r"instances_val2017\.json: annotation 2 is broken"):
        prepare(source, out, (30, 30), "png")


def test_what_cannot_be_prepared(source: Path, tmp_path: Path, out: Path) -> None:
    for size_px in ((0, 30), (30, -1), (65_501, 1)):
        with pytest.raises(UsageError, match="1 to 65,500 px"):
            prepare(source, out, size_px, "png")
    with pytest.raises(UsageError, match="has neither annotations"):
        prepare(source / "val2017", out, (30, 30), "png")
    (tmp_path / "taken").touch()
    with pytest.raises(TailraceError, match=r"cannot write .*: (Not a directory|File exists)"):
        prepare(source, tmp_path / "taken", (30, 30), "png")
