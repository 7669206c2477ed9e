"""From output tensors to what is in a picture, on tensors made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tailrace.models import outputs
from tailrace.models.outputs import Classes, Detections

# COCO's 80 category ids, in their order: ten of 1..90 are unused.
COCO_IDS = [each for each in range(1, 91) if each not in {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}]


def _check_types(found: Detections) -> None:
    n = len(found.scores)
    assert (found.boxes.dtype, found.boxes.shape) == (np.float32, (n, 4))
    assert (found.scores.dtype, found.scores.shape) == (np.float32, (n,))
    assert (found.class_ids.dtype, found.class_ids.shape) == (np.int64, (n,))


def test_tensorflow_boxes_are_turned_scaled_and_cut() -> None:
    boxes = np.array([[[0.1, 0.2, 0.5, 0.6], [0.0, 0.0, 1.0, 1.0], [9, 9, 9, 9]]], np.float32)
    found = outputs.tensorflow_detections(
        [
            np.array([2], np.float32),
            boxes,
            np.array([[0.9, 0.4, 0.0]], np.float32),
            np.array([[3, 90, 7]], np.float32),
        ],
        width_px=1000,
        height_px=100,
    )
    _check_types(found)
    assert np.allclose(found.boxes, [[200, 10, 600, 50], [0, 0, 1000, 100]])
    assert found.scores == pytest.approx([0.9, 0.4])
    assert found.class_ids.tolist() == [3, 90], "COCO's own ids, as they are"


def test_tensorflow_may_find_nothing() -> None:
    empty = [np.zeros(1), np.zeros((1, 100, 4)), np.zeros((1, 100)), np.zeros((1, 100))]
    found = outputs.tensorflow_detections([each.astype(np.float32) for each in empty], 10, 10)
    _check_types(found)
    assert len(found.scores) == 0


def test_resnet34_of_pytorch_has_x_first_and_its_80_numbers_become_coco_ids() -> None:
    numbers = np.arange(1, 81, dtype=np.int64)
    scores = np.linspace(0.01, 0.8, 80, dtype=np.float32)  # the least likely first
    boxes = np.tile(np.array([0.1, 0.2, 0.5, 0.6], np.float32), (80, 1))
    found = outputs.resnet34_from_pytorch([boxes[None], numbers[None], scores[None]], 1000, 100)
    _check_types(found)
    assert found.class_ids.tolist() == COCO_IDS[::-1], "highest score first"
    assert np.all(np.diff(found.scores) < 0)
    assert np.allclose(found.boxes, [100, 20, 500, 60])


def test_resnet34_of_tensorflow_has_y_first_and_is_cut_at_a_twentieth() -> None:
    # One below the threshold, one on it, as MLPerf's reference compares them.
    scores = np.array([[0.0499, 0.05, 0.7]], np.float32)
    boxes = np.array([[[0.1, 0.2, 0.5, 0.6]] * 3], np.float32)
    numbers = np.array([[12, 80, 1]], np.float32)
    found = outputs.resnet34_from_tensorflow([boxes, numbers, scores], 1000, 100)
    _check_types(found)
    assert found.class_ids.tolist() == [1, 90]
    assert found.scores == pytest.approx([0.7, 0.05])
    assert np.allclose(found.boxes, [200, 10, 600, 50])


@pytest.mark.parametrize(
    "mapping", [outputs.resnet34_from_pytorch, outputs.resnet34_from_tensorflow]
)
def test_resnet34_keeps_each_box_with_its_score_and_class(mapping: object) -> None:
    assert callable(mapping)
    rng = np.random.default_rng(1)
    boxes = rng.random((1, 200, 4), np.float32)
    numbers = rng.integers(1, 81, (1, 200))
    scores = rng.random((1, 200), np.float32)
    found = mapping([boxes, numbers, scores], 1, 1)
    assert np.all(np.diff(found.scores) <= 0)
    kept = scores[0] >= (0.05 if mapping is outputs.resnet34_from_tensorflow else 0)
    assert len(found.scores) == kept.sum()
    order = [1, 0, 3, 2] if mapping is outputs.resnet34_from_tensorflow else [0, 1, 2, 3]
    given = {
        (float(score), COCO_IDS[number - 1], *box[order].tolist())
        for score, number, box in zip(scores[0], numbers[0], boxes[0], strict=True)
        if score >= 0.05 or mapping is outputs.resnet34_from_pytorch
    }
    assert given == {
        (float(score), int(class_id), *box.tolist())
        for score, class_id, box in zip(found.scores, found.class_ids, found.boxes, strict=True)
    }


def test_retinanet_boxes_are_pixels_of_its_own_input() -> None:
    found = outputs.retinanet(
        [
            np.array([[80, 160, 400, 480], [0, 0, 800, 800], [1, 1, 2, 2]], np.float32),
            np.array([5, 263, 1], np.int64),
            np.array([0.3, 0.9, 0.049], np.float32),
        ],
        width_px=1000,
        height_px=100,
    )
    _check_types(found)
    assert np.allclose(found.boxes, [[0, 0, 1000, 100], [100, 20, 500, 60]])
    assert found.class_ids.tolist() == [263, 5]
    assert found.scores == pytest.approx([0.9, 0.3])


def test_retinanet_may_find_nothing() -> None:
    empty = [np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32)]
    found = outputs.retinanet(empty, 10, 10)
    _check_types(found)
    assert len(found.scores) == 0


@pytest.mark.parametrize(("number", "class_id"), [(1, 0), (66, 65), (1000, 999)])
def test_the_only_class_is_counted_from_the_first_that_is_no_background(
    number: int, class_id: int
) -> None:
    found = outputs.only_class([np.array([number], np.int64)], 640, 480)
    assert found.class_ids.tolist() == [class_id]
    assert found.class_ids.dtype == np.int64
    assert found.scores is None
    assert found.above(0.99) is found, "no score, so nothing to compare"


def test_best_classes_are_the_five_likeliest() -> None:
    scores = np.zeros((1, 1001), np.float32)
    scores[0, [1, 500, 1000, 7, 66, 3]] = [0.05, 0.4, 0.3, 0.1, 0.09, 0.06]
    found = outputs.best_classes([scores], 640, 480)
    assert found.class_ids.tolist() == [499, 999, 6, 65, 2]
    assert found.scores == pytest.approx([0.4, 0.3, 0.1, 0.09, 0.06])
    assert found.above(0.095).class_ids.tolist() == [499, 999, 6]


def test_thresholds_keep_what_reaches_them() -> None:
    found = Detections(
        np.zeros((3, 4), np.float32), np.array([0.9, 0.5, 0.1], np.float32), np.arange(3)
    )
    assert found.above(0.5).class_ids.tolist() == [0, 1]
    assert len(found.above(0.0).scores) == 3
    assert len(found.above(0.91).scores) == 0
    _check_types(Detections.none())
    assert len(Detections.none().scores) == 0
    classes = Classes(np.arange(2), np.array([0.75, 0.25], np.float32))
    assert classes.above(0.25).class_ids.tolist() == [0, 1]
