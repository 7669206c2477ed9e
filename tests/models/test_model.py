"""From bytes to answers, and files that are not the model they should be."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tailrace.datasets.shapes import draw_scene
from tailrace.errors import UsageError
from tailrace.models import store, zoo
from tailrace.models.model import TWIN_NOTICE, Model, RuntimeOptions, load
from tailrace.models.outputs import Classes, Detections
from tailrace.models.runtimes import RuntimeFailedError, TensorInfo
from tailrace.models.runtimes.null import NullRuntime

SHAPES = zoo.find("shapes")
ONE_THREAD = RuntimeOptions(threads=1)


class Fixed:
    """A runtime of given tensors, as a file would have them."""

    platform = "fixed"
    device = "cpu"

    def __init__(self, inputs: Sequence[TensorInfo], outputs: Sequence[str]) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(TensorInfo(name, "FP32", (1, -1)) for name in outputs)

    def run(self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        raise RuntimeFailedError("never runs")


IMAGE_TENSOR = TensorInfo("image_tensor:0", "UINT8", (1, 300, 300, 3))
FORMAT = SHAPES.formats[0]


@pytest.fixture(scope="module")
def shapes() -> Model:
    return load(SHAPES, store.model_file(SHAPES), ONE_THREAD)


def _png_of(image: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def test_four_steps(shapes: Model) -> None:
    scene = draw_scene(1_000_003)
    image = shapes.decode(_png_of(scene.image))
    tensor = shapes.preprocess(image)
    assert np.array_equal(tensor[0], scene.image), "300x300 already, so untouched"
    found = shapes.postprocess(shapes.infer(tensor), 300, 300)
    assert isinstance(found, Detections)
    assert len(found.boxes) == len(found.scores) == len(found.class_ids) > 0
    assert set(found.class_ids.tolist()) <= set(SHAPES.labels)
    assert np.all(np.diff(found.scores) <= 0)


def test_weights_that_were_trained_need_no_notice(shapes: Model) -> None:
    assert not shapes.twin
    assert shapes.notice is None


def test_any_batch_of_shapes(shapes: Model) -> None:
    assert shapes.max_batch is None
    shapes.warm_up(batch=3)


def test_the_coco_model_takes_one_picture_at_a_time(coco_model: Path) -> None:
    model = load(zoo.find("ssd-mobilenet"), coco_model, ONE_THREAD)
    assert model.max_batch == 1
    model.warm_up()


def test_missing_tensors_are_named() -> None:
    with pytest.raises(UsageError, match=r"lacks the input image_tensor:0 \(it has x\)"):
        Model(SHAPES, FORMAT, Fixed([TensorInfo("x", "UINT8", (1, 300, 300, 3))], FORMAT.outputs))
    with pytest.raises(UsageError, match="lacks the output num_detections:0, detection_boxes:0"):
        Model(SHAPES, FORMAT, Fixed([IMAGE_TENSOR], FORMAT.outputs[2:]))


@pytest.mark.parametrize(
    ("datatype", "shape"),
    [("FP32", (1, 300, 300, 3)), ("UINT8", (1, 3, 300, 300)), ("UINT8", (300, 300, 3))],
)
def test_wrong_input_is_described(datatype: str, shape: tuple[int, ...]) -> None:
    tensor = dataclasses.replace(IMAGE_TENSOR, datatype=datatype, shape=shape)
    with pytest.raises(UsageError) as caught:
        Model(SHAPES, FORMAT, Fixed([tensor], FORMAT.outputs))
    assert f"its input image_tensor:0 is {datatype} {list(shape)}" in str(caught.value)
    assert "not UINT8 [-1, 300, 300, 3]" in str(caught.value)


@pytest.mark.parametrize(
    ("file_batch", "format_batch", "expected"), [(-1, -1, None), (4, -1, 4), (-1, 1, 1), (8, 1, 1)]
)
def test_the_smaller_batch_of_file_and_format_holds(
    file_batch: int, format_batch: int, expected: int | None
) -> None:
    tensor = dataclasses.replace(IMAGE_TENSOR, shape=(file_batch, -1, -1, 3))
    form = dataclasses.replace(
        FORMAT, input=dataclasses.replace(FORMAT.input, shape=(format_batch, 300, 300, 3))
    )
    assert Model(SHAPES, form, Fixed([tensor], FORMAT.outputs)).max_batch == expected


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x01" * 50])
def test_file_that_is_not_onnx(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.onnx"
    file.write_bytes(content)
    with pytest.raises(UsageError, match="not a usable ONNX model"):
        load(SHAPES, file, ONE_THREAD)


def test_file_of_another_model() -> None:
    with pytest.raises(UsageError, match="is not resnet50: it lacks the input input_tensor:0"):
        load(zoo.find("resnet50"), store.model_file(SHAPES), ONE_THREAD)


def test_runtime_the_model_has_no_form_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="shapes has no form for --runtime tensorflow: it has on"):
        load(SHAPES, tmp_path, RuntimeOptions(runtime="tensorflow"))


def test_input_that_does_not_fit_is_refused(shapes: Model) -> None:
    with pytest.raises(RuntimeFailedError):
        shapes.infer(np.zeros((1, 10, 10, 3), np.uint8))


@pytest.mark.parametrize("origin", ["PyTorch", "TensorFlow"])
def test_the_names_of_its_tensors_tell_which_format_a_file_is(
    tmp_path: Path, small_onnx: Callable[..., Path], origin: str
) -> None:
    spec = zoo.find("ssd-resnet34")
    (form,) = (each for each in spec.formats_for("onnx") if each.origin == origin)
    model = load(spec, small_onnx(tmp_path / "x.onnx", form), ONE_THREAD)
    assert model.format is form
    assert model.max_batch == (1 if origin == "PyTorch" else None)


def test_null_gives_back_what_it_is_sent() -> None:
    spec = zoo.find("null")
    model = load(spec, store.model_file(spec), ONE_THREAD)
    assert isinstance(model.runtime, NullRuntime)
    assert model.max_batch is None
    tensor = model.preprocess(model.decode(b"no picture at all"))
    found = model.postprocess(model.infer(tensor), 640, 480)
    assert isinstance(found, Detections)
    assert len(found.scores) == 0
    model.warm_up(batch=4)


@pytest.mark.parametrize("name", ["ssd-mobilenet", "resnet50"])
def test_twins_run_and_say_that_they_are_twins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("TAILRACE_CACHE", str(tmp_path))
    spec = zoo.find(name)
    model = load(spec, store.model_file(spec, twin=True), ONE_THREAD, twin=True)
    assert model.twin
    assert model.notice == TWIN_NOTICE == "twin: answers are meaningless"
    assert model.max_batch is None
    tensor = model.preprocess(model.decode(_png_of(draw_scene(5).image)))
    found = model.postprocess(model.infer(tensor), 300, 300)
    if isinstance(found, Classes):
        assert 0 <= found.class_ids[0] < 1000
    else:
        assert set(found.class_ids.tolist()) <= set(range(1, 91))


def test_a_frozen_graph(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow", reason="needs TensorFlow: the extra tensorflow")
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.uint8, (None, None, None, 3), "image_tensor")
        brightest = tf.reduce_max(tf.cast(image, tf.float32), axis=(1, 2)) / 255  # [batch, 3]
        tf.identity(tf.ones_like(brightest[:, 0]) * 3, "num_detections")
        tf.identity(
            tf.stack([brightest * 0.1, brightest * 0.2, brightest * 0.3, brightest * 0.4], axis=2),
            "detection_boxes",
        )
        tf.identity(brightest, "detection_scores")
        tf.identity(brightest * 0 + tf.constant([1.0, 18.0, 90.0]), "detection_classes")
    file = tmp_path / "frozen_inference_graph.pb"
    file.write_bytes(graph.as_graph_def().SerializeToString())
    spec = zoo.find("ssd-mobilenet")
    model = load(spec, file, RuntimeOptions(runtime="tensorflow"))
    assert model.format.runtime == "tensorflow"
    assert model.max_batch is None
    image = np.full((50, 100, 3), (51, 102, 255), np.uint8)  # blue, green, red
    found = model.postprocess(model.infer(model.preprocess(image)), 100, 50)
    assert isinstance(found, Detections)
    assert found.class_ids.tolist() == [1, 18, 90]
    assert found.scores == pytest.approx([1.0, 0.4, 0.2])
    assert found.boxes[0] == pytest.approx([20, 5, 40, 15])
