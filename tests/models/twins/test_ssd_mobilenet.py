"""The twin of SSD-MobileNet-v1."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from tailrace.datasets.shapes import draw_scene
from tailrace.models.twins import ssd_mobilenet

INPUT = "image_tensor:0"
OUTPUTS = ["num_detections:0", "detection_boxes:0", "detection_scores:0", "detection_classes:0"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("twin") / "ssd-mobilenet.onnx"
    ssd_mobilenet.build(file)
    return file


@pytest.fixture(scope="module")
def detect(file: Path, load: Callable[..., Any]) -> Callable[[NDArray[Any]], list[NDArray[Any]]]:
    session = load(file)
    return lambda images: session.run(OUTPUTS, {INPUT: images})


@pytest.fixture(scope="module")
def scenes() -> NDArray[np.uint8]:
    return np.stack([draw_scene(seed).image for seed in range(4)])


def test_it_costs_what_is_published(file: Path, cost: Callable[[Path], Any]) -> None:
    # By OpenVINO's Open Model Zoo, which counts more than convolutions.
    found = cost(file)
    assert found.parameters == pytest.approx(6.807e6, rel=0.001)
    assert found.flop == pytest.approx(2.494e9, rel=0.01)


def test_heads_lie_on_the_published_maps(
    file: Path, shapes: Callable[[Path], dict[str, list[int]]]
) -> None:
    nodes = onnx.load(file).graph.node
    reshapes = {node.input[0] for node in nodes if node.op_type == "Reshape"}
    heads = [
        node.input[0]
        for node in nodes
        if node.op_type == "Transpose" and node.output[0] in reshapes
    ]
    found = shapes(file)
    sides, kinds = (19, 10, 5, 3, 2, 1), (3, 6, 6, 6, 6, 6)
    assert [found[name] for name in heads] == [
        [1, columns * kind, side, side]
        for columns in (91, 4)
        for side, kind in zip(sides, kinds, strict=True)
    ]


def test_tensors_are_the_published_ones(file: Path, load: Callable[..., Any]) -> None:
    onnx.checker.check_model(file, full_check=True)
    session = load(file)
    (image,) = session.get_inputs()
    assert (image.name, image.type, image.shape) == (
        INPUT,
        "tensor(uint8)",
        ["batch", 300, 300, 3],
    )
    assert [(each.name, each.type, each.shape) for each in session.get_outputs()] == [
        (OUTPUTS[0], "tensor(float)", ["batch"]),
        (OUTPUTS[1], "tensor(float)", ["batch", 100, 4]),
        (OUTPUTS[2], "tensor(float)", ["batch", 100]),
        (OUTPUTS[3], "tensor(float)", ["batch", 100]),
    ]


def test_a_batch_answers_as_its_pictures_do_alone(
    detect: Callable[..., Any], scenes: NDArray[np.uint8]
) -> None:
    together = detect(scenes)
    for index in range(len(scenes)):
        for whole, alone in zip(together, detect(scenes[index : index + 1]), strict=True):
            np.testing.assert_allclose(whole[index], alone[0], atol=1e-5)
    scores = together[2]
    assert np.abs(scores[0] - scores[1]).max() > 1e-3, "its answer depends on the picture"


@pytest.mark.parametrize("kind", ["black", "white", "noise", "stripes"])
def test_any_picture_gets_a_hundred_detections(detect: Callable[..., Any], kind: str) -> None:
    picture = np.zeros((1, 300, 300, 3), np.uint8)
    if kind == "white":
        picture[:] = 255
    elif kind == "noise":
        picture = np.random.default_rng(0).integers(0, 256, picture.shape, np.uint8)
    elif kind == "stripes":
        picture[:, ::2] = 255
    count, boxes, scores, classes = detect(picture)
    assert count.tolist() == [100]
    assert np.isfinite(boxes).all()
    assert boxes.min() >= 0
    assert boxes.max() <= 1
    assert np.all(boxes[..., :2] <= boxes[..., 2:])
    assert np.all(np.diff(scores, axis=1) <= 0)
    assert scores.min() > 1e-8
    assert scores.max() <= 1
    assert classes.min() >= 1
    assert classes.max() <= 90
    assert np.array_equal(classes, classes.round())


def test_detections_are_the_best_that_suppression_leaves(
    file: Path,
    load: Callable[..., Any],
    suppress: Callable[..., Any],
    scenes: NDArray[np.uint8],
) -> None:
    nodes = onnx.load(file).graph.node
    (nms,) = (node for node in nodes if node.op_type == "NonMaxSuppression")
    (sigmoid,) = (node for node in nodes if node.op_type == "Sigmoid")
    inside = [*nms.input[:2], sigmoid.output[0]]
    _, boxes, scores, classes, all_boxes, all_scores, with_background = load(file, *inside).run(
        [*OUTPUTS, *inside], {INPUT: scenes[:1]}
    )
    assert all_boxes.shape == (1, 1917, 4)
    assert with_background.shape == (1, 1917, 91)
    np.testing.assert_array_equal(all_scores, with_background[..., 1:].transpose(0, 2, 1))
    kept = suppress(all_boxes[0], all_scores[0], most=100, iou=0.6, lowest=1e-8)
    best = sorted(kept, key=lambda each: -all_scores[0][each])[:100]
    np.testing.assert_array_equal(scores[0], [all_scores[0][each] for each in best])
    assert classes[0].tolist() == [number + 1 for number, _ in best]
    np.testing.assert_array_equal(boxes[0], all_boxes[0, [anchor for _, anchor in best]])


def test_a_seed_gives_the_same_file(file: Path, tmp_path: Path) -> None:
    ssd_mobilenet.build(tmp_path / "again.onnx", seed=0)
    assert (tmp_path / "again.onnx").read_bytes() == file.read_bytes()
    ssd_mobilenet.build(tmp_path / "other.onnx", seed=1)
    assert (tmp_path / "other.onnx").read_bytes() != file.read_bytes()
