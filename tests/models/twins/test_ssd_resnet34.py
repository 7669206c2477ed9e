"""The twin of SSD-ResNet34 at its full size: one picture alone goes through all of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from tailrace.datasets.shapes import draw_scene
from tailrace.models import images
from tailrace.models.twins import ssd_resnet34

pytestmark = pytest.mark.slow("builds a twin of full size")

OUTPUTS = ["bboxes", "labels", "scores"]
ANCHORS = 15_130


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("twin") / "ssd-resnet34.onnx"
    ssd_resnet34.build(file)
    return file


@pytest.fixture(scope="module")
def candidates(file: Path) -> list[str]:
    """Names of the boxes and scores that suppression takes."""
    (nms,) = (node for node in onnx.load(file).graph.node if node.op_type == "NonMaxSuppression")
    return list(nms.input[:2])


def test_it_costs_what_is_published(file: Path, cost: Callable[[Path], Any]) -> None:
    # By OpenVINO's Open Model Zoo, which counts more than convolutions.
    found = cost(file)
    assert found.parameters == pytest.approx(20.058e6, rel=0.01)
    assert found.flop == pytest.approx(433.411e9, rel=0.01)


def test_heads_lie_on_the_published_maps(
    file: Path, shapes: Callable[[Path], dict[str, list[int]]]
) -> None:
    heads = [node.input[0] for node in onnx.load(file).graph.node if node.op_type == "Reshape"]
    found = shapes(file)
    sides, kinds = (50, 25, 13, 7, 3, 3), (4, 6, 6, 6, 4, 4)
    assert [found[name] for name in heads] == [
        [1, columns * kind, side, side]
        for columns in (81, 4)
        for side, kind in zip(sides, kinds, strict=True)
    ]


def test_a_picture_goes_through(
    file: Path,
    candidates: list[str],
    load: Callable[..., Any],
    suppress: Callable[..., Any],
) -> None:
    onnx.checker.check_model(file, full_check=True)
    session = load(file, *candidates, threads=2)
    (image,) = session.get_inputs()
    assert (image.name, image.type, image.shape) == ("image", "tensor(float)", [1, 3, 1200, 1200])
    assert [(each.name, each.type, each.shape) for each in session.get_outputs()[:3]] == [
        ("bboxes", "tensor(float)", [1, "found", 4]),
        ("labels", "tensor(int64)", [1, "found"]),
        ("scores", "tensor(float)", [1, "found"]),
    ]
    picture = images.ssd_resnet34(draw_scene(0).image)
    bboxes, labels, scores, all_boxes, all_scores = session.run(
        [*OUTPUTS, *candidates], {"image": picture}
    )
    assert all_boxes.shape == (1, ANCHORS, 4)
    assert all_scores.shape == (1, 80, ANCHORS)
    assert np.isfinite(all_boxes).all()
    assert np.isfinite(all_scores).all()
    # Suppression has work to do, but is not drowned in it.
    assert 0.3 * ANCHORS < (all_scores > 0.05).sum() < 1.5 * ANCHORS
    assert bboxes.shape == (1, 200, 4)
    _check_answers(bboxes, labels, scores, all_boxes, all_scores, suppress)


@pytest.mark.parametrize(("passing", "most_found"), [(None, 200), (30, 30), (0, 0)])
def test_there_are_as_many_detections_as_suppression_leaves(
    file: Path,
    candidates: list[str],
    load: Callable[..., Any],
    suppress: Callable[..., Any],
    passing: int | None,
    most_found: int,
) -> None:
    whole = onnx.shape_inference.infer_shapes(onnx.load(file), data_prop=True)
    session = load(onnx.utils.Extractor(whole).extract_model(candidates, OUTPUTS))
    random = np.random.default_rng(0)
    boxes = np.sort(random.random((1, ANCHORS, 2, 2), np.float32), axis=2).reshape(1, ANCHORS, 4)
    scores = random.random((1, 80, ANCHORS), np.float32) ** 50
    if passing is not None:
        scores[scores <= np.sort(scores, axis=None)[-passing - 1]] = 0
    bboxes, numbers, best = session.run(
        OUTPUTS, dict(zip(candidates, (boxes, scores), strict=True))
    )
    assert min(most_found, 20) <= best.size <= most_found
    _check_answers(bboxes, numbers, best, boxes, scores, suppress)


def test_a_seed_gives_the_same_file(file: Path, tmp_path: Path) -> None:
    ssd_resnet34.build(tmp_path / "again.onnx", seed=0)
    assert (tmp_path / "again.onnx").read_bytes() == file.read_bytes()
    ssd_resnet34.build(tmp_path / "again.onnx", seed=1)
    assert (tmp_path / "again.onnx").read_bytes() != file.read_bytes()


def _check_answers(
    bboxes: NDArray[Any],
    labels: NDArray[Any],
    scores: NDArray[Any],
    all_boxes: NDArray[Any],
    all_scores: NDArray[Any],
    suppress: Callable[..., Any],
) -> None:
    kept = suppress(all_boxes[0], all_scores[0], most=200, iou=0.5, lowest=0.05)
    best = sorted(kept, key=lambda each: -all_scores[0][each])[:200]
    np.testing.assert_array_equal(scores[0], [all_scores[0][each] for each in best])
    assert labels[0].tolist() == [number + 1 for number, _ in best]
    np.testing.assert_array_equal(bboxes[0], all_boxes[0, [anchor for _, anchor in best]])
