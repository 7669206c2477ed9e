"""Drawn scenes: what they promise, and the directory written from them."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from tailrace.datasets.outlines import place
from tailrace.datasets.shapes import (
    CATEGORIES,
    HELD_OUT_SEEDS,
    SIZE_PX,
    TRAIN_SEEDS,
    annotations,
    draw_scene,
    generate,
)
from tailrace.errors import UsageError

SEEDS = range(200)


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene(seed) for seed in SEEDS]


def test_a_scene_depends_on_its_seed_alone(scenes):
    for seed in (150, 3, 77):
        again = draw_scene(seed)
        assert np.array_equal(again.image, scenes[seed].image)
        assert np.array_equal(again.boxes, scenes[seed].boxes)
        assert np.array_equal(again.category_ids, scenes[seed].category_ids)
    assert not np.array_equal(scenes[0].image, scenes[1].image)


def test_shapes_and_types(scenes):
    for scene in scenes:
        count = len(scene.boxes)
        assert count >= 1
        assert scene.image.shape == (SIZE_PX, SIZE_PX, 3)
        assert scene.image.dtype == np.uint8
        assert scene.boxes.shape == (count, 4)
        assert scene.boxes.dtype == np.float32
        assert scene.category_ids.shape == (count,)
        assert scene.category_ids.dtype == np.int64


def test_boxes_lie_inside_the_picture(scenes):
    boxes = np.concatenate([scene.boxes for scene in scenes])
    assert boxes.min() >= 0
    assert (boxes[:, :2] + boxes[:, 2:]).max() <= SIZE_PX + 1e-3
    assert boxes[:, 2:].min() > 8


@pytest.mark.parametrize("name", CATEGORIES)
def test_boxes_are_tight(name):
    zoom, margin = 8, 40
    rng = np.random.default_rng(5)
    for _ in range(10):
        rings, box = place(rng, name, SIZE_PX)
        side = (SIZE_PX + 2 * margin) * zoom
        canvas = np.zeros((side, side), np.uint8)
        polygons = [np.rint((ring + margin) * zoom - 0.5).astype(np.int32) for ring in rings]
        cv2.fillPoly(canvas, polygons, 255)
        x, y, width, height = (v / zoom for v in cv2.boundingRect(canvas))
        corners = np.clip([x, y, x + width, y + height], margin, SIZE_PX + margin) - margin
        assert box[:2] == pytest.approx(corners[:2], abs=2.5 / zoom)
        assert box[:2] + box[2:] == pytest.approx(corners[2:], abs=2.5 / zoom)


def test_a_lone_object_differs_from_its_surroundings(scenes):
    lone = [scene for scene in scenes if len(scene.boxes) == 1]
    assert lone
    differences = []
    for scene in lone:
        x, y, width, height = scene.boxes[0]
        inside = np.zeros((SIZE_PX, SIZE_PX), bool)
        inside[int(y) : int(y + height), int(x) : int(x + width)] = True
        picture = scene.image.astype(float)
        spread = np.linalg.norm(picture - picture[~inside].mean(axis=0), axis=2)
        differences.append(spread[inside].mean() / spread[~inside].mean())
    assert np.median(differences) > 1.5


def test_every_category_occurs_about_equally_often(scenes):
    ids = np.concatenate([scene.category_ids for scene in scenes])
    counts = np.bincount(ids, minlength=len(CATEGORIES) + 1)
    assert counts[0] == 0
    assert len(counts) == len(CATEGORIES) + 1
    assert counts[1:].min() > 0.5 * len(ids) / len(CATEGORIES)


def test_held_out_seeds_are_not_trained_on():
    assert TRAIN_SEEDS.stop <= HELD_OUT_SEEDS.start


def test_a_negative_seed_is_refused():
    with pytest.raises(UsageError, match="0 or more"):
        draw_scene(-1)


def test_pycocotools_reads_the_document(scenes, tmp_path):
    path = tmp_path / "instances.json"
    names = [f"{seed + 1:012d}.jpg" for seed in SEEDS]
    path.write_text(json.dumps(annotations(scenes, names)))
    coco = COCO(path)
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == list(CATEGORIES)
    for image_id in (1, 200):
        found = coco.loadAnns(coco.getAnnIds(imgIds=[image_id]))
        scene = scenes[image_id - 1]
        assert [a["bbox"] for a in found] == scene.boxes.tolist()
        assert [a["category_id"] for a in found] == scene.category_ids.tolist()
        assert [a["area"] for a in found] == pytest.approx(scene.boxes[:, 2:].prod(axis=1))


@pytest.mark.parametrize(("image_format", "tolerance"), [("png", 0), ("jpg", 12)])
def test_generate_writes_coco_layout(tmp_path, image_format, tolerance):
    steps: list[int] = []
    written = generate(tmp_path, 3, 40, image_format, steps.append)
    assert steps == [1, 2, 3]
    assert written == tmp_path / "annotations" / "instances_val2017.json"
    images = json.loads(written.read_text())["images"]
    assert [image["id"] for image in images] == [1, 2, 3]
    for index, image in enumerate(images):
        path = tmp_path / "val2017" / image["file_name"]
        assert path.name == f"{index + 1:012d}.{image_format}"
        stored = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        drawn = draw_scene(40 + index).image
        assert np.abs(stored.astype(int) - drawn).mean() <= tolerance
    assert sorted(p.name for p in written.parent.iterdir()) == [written.name]


def test_an_interrupted_run_leaves_no_annotations(tmp_path):
    class StopError(Exception):
        pass

    def stop(done: int) -> None:
        raise StopError

    written = generate(tmp_path, 1, 0)
    with pytest.raises(StopError):
        generate(tmp_path, 2, 0, progress=stop)
    assert not written.exists()


def test_generate_explains_what_it_cannot_do(tmp_path: Path):
    with pytest.raises(UsageError, match="1 or more"):
        generate(tmp_path, 0, 0)
    occupied = tmp_path / "file"
    occupied.write_text("")
    with pytest.raises(UsageError, match="cannot write"):
        generate(occupied, 1, 0)
