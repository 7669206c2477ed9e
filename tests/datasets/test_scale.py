"""Annotations follow their pictures: by property, and by pycocotools' own masks."""

import cv2
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from pycocotools import mask as coco_mask

from tailrace.datasets import rle
from tailrace.datasets.scale import scale_annotation

sizes = st.tuples(st.integers(1, 2000), st.integers(1, 2000))
fractions = st.tuples(*[st.floats(0, 1)] * 4).map(
    lambda four: (min(four[0::2]), min(four[1::2]), max(four[0::2]), max(four[1::2]))
)


def annotation(box: list[float], **more: object) -> dict[str, object]:
    return {"id": 7, "image_id": 1, "category_id": 3, "iscrowd": 0, "bbox": box, **more}


@given(sizes, sizes, fractions)
def test_boxes_keep_their_place_in_the_picture(
    old: tuple[int, int], new: tuple[int, int], place: tuple[float, float, float, float]
) -> None:
    """Edges as fractions of the picture's sides are the same before and after."""
    corners = np.array(place) * [*old, *old]
    box = [*corners[:2], *(corners[2:] - corners[:2])]
    polygon = corners[[0, 1, 2, 1, 2, 3, 0, 3]]
    scaled = scale_annotation(
        annotation(list(box), area=box[2] * box[3], segmentation=[list(polygon)]), old, new
    )
    x, y, width, height = scaled["bbox"]
    assert np.divide([x, y, x + width, y + height], [*new, *new]) == pytest.approx(place, abs=1e-9)
    assert scaled["area"] == pytest.approx(width * height, rel=1e-9, abs=1e-9)
    (outline,) = scaled["segmentation"]
    edges = np.reshape(outline, (4, 2))
    assert edges.min(axis=0) == pytest.approx([x, y], abs=1e-6)
    assert edges.max(axis=0) == pytest.approx([x + width, y + height], abs=1e-6)


@given(sizes, sizes, fractions)
def test_there_and_back(
    old: tuple[int, int], new: tuple[int, int], place: tuple[float, float, float, float]
) -> None:
    first = annotation(list(place), area=place[3], segmentation=[list(place), list(place) * 2])
    back = scale_annotation(scale_annotation(first, old, new), new, old)
    assert back["bbox"] == pytest.approx(first["bbox"])
    assert back["area"] == pytest.approx(first["area"])
    assert [len(polygon) for polygon in back["segmentation"]] == [4, 8]
    assert back["segmentation"][1] == pytest.approx(first["segmentation"][1])


def test_what_else_an_annotation_says_stays() -> None:
    scaled = scale_annotation(annotation([1, 2, 3, 4], note="kept"), (10, 20), (20, 10))
    assert scaled == annotation([2, 1, 6, 2], note="kept")


def test_the_mask_of_a_crowd_is_resized() -> None:
    mask = np.zeros((48, 64), np.uint8)
    cv2.ellipse(mask, (30, 20), (20, 9), 30, 0, 360, 1, -1)
    crowd = annotation(
        [0, 0, 64, 48], iscrowd=1, area=int(mask.sum()), segmentation=rle.encode(mask)
    )
    scaled = scale_annotation(crowd, (64, 48), (300, 150))
    assert scaled["segmentation"]["size"] == [150, 300]
    resized = coco_mask.decode(coco_mask.frPyObjects(scaled["segmentation"], 150, 300))
    assert resized.sum() == pytest.approx(scaled["area"], rel=0.02)
    x, y, width, height = coco_mask.toBbox(coco_mask.encode(np.asfortranarray(mask)))
    box = coco_mask.toBbox(coco_mask.encode(np.asfortranarray(resized)))
    grown = [x * 300 / 64, y * 150 / 48, width * 300 / 64, height * 150 / 48]
    assert box == pytest.approx(grown, abs=300 / 64)


@pytest.mark.parametrize(
    "broken",
    [
        {"id": 7},
        annotation([1, 2, 3]),
        annotation(["a", "b", "c", "d"]),
        annotation([1, 2, 3, 4], area="large"),
        annotation([1, 2, 3, 4], segmentation=[["a"]]),
        annotation([1, 2, 3, 4], segmentation={"size": [10, 10]}),
        annotation([1, 2, 3, 4], segmentation={"counts": [100]}),
        annotation([1, 2, 3, 4], segmentation={"size": [5, 20], "counts": [100]}),
    ],
)
def test_what_is_no_instance(broken: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        scale_annotation(broken, (10, 10), (20, 20))
