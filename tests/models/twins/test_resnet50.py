"""The twin of ResNet-50 v1.5."""

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
from tailrace.models.twins import resnet50

pytestmark = pytest.mark.slow("builds a twin of full size")

INPUT = "input_tensor:0"
OUTPUTS = ["ArgMax:0", "softmax_tensor:0"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("twin") / "resnet50.onnx"
    resnet50.build(file)
    return file


@pytest.fixture(scope="module")
def classify(file: Path, load: Callable[..., Any]) -> Callable[[NDArray[Any]], list[NDArray[Any]]]:
    session = load(file)
    return lambda images: session.run(OUTPUTS, {INPUT: images})


def test_it_costs_what_is_published(file: Path, cost: Callable[[Path], Any]) -> None:
    # By OpenVINO's Open Model Zoo, which counts more than convolutions.
    found = cost(file)
    assert found.parameters == pytest.approx(25.53e6, rel=0.001)
    assert found.flop == pytest.approx(8.216e9, rel=0.01)


def test_the_3x3_convolution_halves_the_map(file: Path) -> None:
    kernels = []
    for node in onnx.load(file).graph.node:
        if node.op_type == "Conv":
            found = {each.name: list(each.ints) for each in node.attribute}
            if found["strides"] == [2, 2]:
                kernels.append(found["kernel_shape"][0])
    assert kernels == [7, *[3, 1] * 3], "the 1x1 ones are of the shortcuts"


def test_tensors_are_the_published_ones(file: Path, load: Callable[..., Any]) -> None:
    onnx.checker.check_model(file, full_check=True)
    session = load(file)
    (image,) = session.get_inputs()
    assert (image.name, image.type, image.shape) == (
        INPUT,
        "tensor(float)",
        ["batch", 3, 224, 224],
    )
    assert [(each.name, each.type, each.shape) for each in session.get_outputs()] == [
        ("ArgMax:0", "tensor(int64)", ["batch"]),
        ("softmax_tensor:0", "tensor(float)", ["batch", 1001]),
    ]


def test_a_batch_answers_as_its_pictures_do_alone(classify: Callable[..., Any]) -> None:
    preprocess = images.resnet50
    pictures = np.concatenate([preprocess(draw_scene(seed).image) for seed in range(4)])
    best, probabilities = classify(pictures)
    for index in range(len(pictures)):
        best_alone, alone = classify(pictures[index : index + 1])
        assert best_alone[0] == best[index]
        np.testing.assert_allclose(alone[0], probabilities[index], rtol=1e-4)
    assert np.abs(probabilities[0] - probabilities[1]).max() > 1e-3, "it depends on the picture"


@pytest.mark.parametrize("kind", ["black", "white", "noise"])
def test_any_picture_gets_a_class(classify: Callable[..., Any], kind: str) -> None:
    picture = np.full((300, 400, 3), 255 if kind == "white" else 0, np.uint8)
    if kind == "noise":
        picture = np.random.default_rng(0).integers(0, 256, picture.shape, np.uint8)
    best, probabilities = classify(images.resnet50(picture))
    assert best.dtype == np.int64
    assert best.tolist() == [probabilities[0].argmax()]
    assert probabilities.sum() == pytest.approx(1, abs=1e-4)
    assert probabilities.min() >= 0


def test_a_seed_gives_the_same_file(file: Path, tmp_path: Path) -> None:
    resnet50.build(tmp_path / "again.onnx", seed=0)
    assert (tmp_path / "again.onnx").read_bytes() == file.read_bytes()
    resnet50.build(tmp_path / "again.onnx", seed=1)
    assert (tmp_path / "again.onnx").read_bytes() != file.read_bytes()
