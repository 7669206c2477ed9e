"""TensorFlow on frozen graphs, built here with the tensors of the object detection API."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tailrace.errors import UsageError
from tailrace.models import store, zoo
from tailrace.models.runtimes import Runtime, RuntimeFailedError, TensorInfo
from tailrace.models.runtimes.tensorflow import TensorflowRuntime
from tests.kit.waiting import TIMEOUT_S

pytestmark = pytest.mark.slow("needs TensorFlow, of 1.3 GB")

NEEDS_TENSORFLOW = pytest.mark.skipif(
    find_spec("tensorflow") is None,
    reason="TensorFlow is not installed: pip install 'tailrace[tensorflow]'",
)
IMAGE = "image_tensor:0"
OUTPUTS = ("num_detections:0", "detection_boxes:0", "detection_scores:0", "detection_classes:0")


def write_graph(file: Path, build: Callable[[Any], object]) -> Path:
    """Writes the nodes that `build(tf)` makes, as TensorFlow 1 would have."""
    import tensorflow as tf

    # The detection API's graphs loop by Enter, Merge and Switch.
    tf.compat.v1.disable_control_flow_v2()
    try:
        graph = tf.Graph()
        with graph.as_default():
            build(tf)
    finally:
        tf.compat.v1.enable_control_flow_v2()
    file.write_bytes(graph.as_graph_def().SerializeToString())
    return file


def detector(tf: Any) -> None:
    """Finds one object a channel, the brightest first: its class is the channel, from 1."""

    def find(pixels: Any) -> tuple[Any, Any, Any]:
        level = tf.reduce_mean(tf.cast(pixels, tf.float32), axis=[0, 1]) / 255
        scores, order = tf.math.top_k(level, 3)
        corner = tf.stack([scores / 4, scores / 2, scores / 4 + 0.5, scores / 2 + 0.5], axis=1)
        return corner, scores, tf.cast(order + 1, tf.float32)

    images = tf.compat.v1.placeholder(tf.uint8, [None, None, None, 3], name="image_tensor")
    boxes, scores, classes = tf.map_fn(
        find, images, fn_output_signature=(tf.float32, tf.float32, tf.float32)
    )
    tf.identity(boxes, name="detection_boxes")
    tf.identity(scores, name="detection_scores")
    tf.identity(classes, name="detection_classes")
    bright = tf.cast(scores > 0.5, tf.float32)
    tf.reduce_sum(bright, axis=1, name="num_detections")


def expected_detections(images: NDArray[np.uint8]) -> list[NDArray[Any]]:
    """What `detector` computes, by numpy, in the order of OUTPUTS."""
    level = images.mean(axis=(1, 2)) / 255
    order = np.argsort(-level, axis=1)
    scores = np.take_along_axis(level, order, axis=1)
    boxes = np.stack([scores / 4, scores / 2, scores / 4 + 0.5, scores / 2 + 0.5], axis=2)
    return [(scores > 0.5).sum(axis=1), boxes, scores, order + 1]


def random_pictures(
    count: int, height: int = 30, width: int = 20, seed: int = 0
) -> NDArray[np.uint8]:
    """Random ones whose channels differ in brightness, each picture in its own way."""
    rng = np.random.default_rng(seed)
    top = rng.integers(20, 256, (count, 1, 1, 3))
    return (rng.random((count, height, width, 3)) * top).astype(np.uint8)


def assert_answers(found: Sequence[NDArray[Any]], images: NDArray[np.uint8]) -> None:
    for tensor, wanted in zip(found, expected_detections(images), strict=True):
        assert tensor.dtype == np.float32
        assert tensor.shape == wanted.shape
        assert np.allclose(tensor, wanted, atol=1e-5)


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_graph(tmp_path_factory.mktemp("frozen") / "frozen_inference_graph.pb", detector)


@pytest.fixture(scope="module")
def runtime(frozen: Path) -> Runtime:
    return TensorflowRuntime(frozen, [IMAGE], OUTPUTS, threads=1)


@NEEDS_TENSORFLOW
def test_describes_the_graph(frozen: Path, runtime: Runtime) -> None:
    import tensorflow as tf

    operators = {node.op for node in tf.compat.v1.GraphDef.FromString(frozen.read_bytes()).node}
    assert {"Enter", "Merge", "Switch"} <= operators, "the graph loops as the original's do"
    assert runtime.platform == "tensorflow_graphdef"
    assert runtime.device == "cpu"
    assert runtime.inputs == (TensorInfo(IMAGE, "UINT8", (-1, -1, -1, 3)),)
    assert tuple(tensor.name for tensor in runtime.outputs) == OUTPUTS
    assert {tensor.datatype for tensor in runtime.outputs} == {"FP32"}


@NEEDS_TENSORFLOW
@pytest.mark.parametrize(
    ("batch", "height", "width"), [(1, 300, 300), (1, 7, 5), (2, 64, 48), (5, 9, 9)]
)
def test_answers_by_what_is_in_the_pictures(
    runtime: Runtime, batch: int, height: int, width: int
) -> None:
    images = random_pictures(batch, height, width, seed=batch)
    assert_answers(runtime.run({IMAGE: images}, OUTPUTS), images)


@NEEDS_TENSORFLOW
def test_outputs_come_in_the_order_asked_for(runtime: Runtime) -> None:
    images = random_pictures(2)
    scores, number = runtime.run({IMAGE: images}, [OUTPUTS[2], OUTPUTS[0]])
    wanted = expected_detections(images)
    assert np.allclose(scores, wanted[2], atol=1e-5)
    assert np.array_equal(number, wanted[0])


@NEEDS_TENSORFLOW
def test_eight_threads_get_their_own_answers(runtime: Runtime) -> None:
    batches = [random_pictures(1 + number % 3, seed=number) for number in range(16)]
    together = threading.Barrier(8, timeout=60)

    def call(first: int) -> None:
        together.wait()
        for turn in range(40):
            images = batches[(first + turn) % len(batches)]
            assert_answers(runtime.run({IMAGE: images}, OUTPUTS), images)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(call, range(8))) == [None] * 8


@NEEDS_TENSORFLOW
def test_each_call_is_computed_by_its_caller(tmp_path: Path) -> None:
    both_inside = threading.Barrier(2, timeout=TIMEOUT_S)

    def meet(value: NDArray[np.int64]) -> NDArray[np.int64]:
        both_inside.wait()
        return value + threading.get_ident()

    def meeting(tf: Any) -> None:
        value = tf.compat.v1.placeholder(tf.int64, [None], name="x")
        tf.identity(tf.numpy_function(meet, [value], tf.int64), name="y")

    runtime = TensorflowRuntime(write_graph(tmp_path / "m.pb", meeting), ["x:0"], ["y:0"], 1)
    assert runtime.outputs == (TensorInfo("y:0", "INT64", (-1,)),)

    def call(value: int) -> bool:
        (found,) = runtime.run({"x:0": np.full(2, value)}, ["y:0"])
        return found.tolist() == [value + threading.get_ident()] * 2

    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(call, [10, 20]))


@NEEDS_TENSORFLOW
def test_what_does_not_fit_is_refused(runtime: Runtime) -> None:
    images = random_pictures(1)
    for array in (images.astype(np.float32), images[0], images[..., :2], images.astype("S1")):
        with pytest.raises(RuntimeFailedError, match="image_tensor:0 is UINT8"):
            runtime.run({IMAGE: array}, OUTPUTS)
    with pytest.raises(RuntimeFailedError, match="takes image_tensor:0, not nothing"):
        runtime.run({}, OUTPUTS)
    with pytest.raises(RuntimeFailedError, match="does not give image_tensor:0"):
        runtime.run({IMAGE: images}, [*OUTPUTS, IMAGE])
    assert_answers(runtime.run({IMAGE: images}, OUTPUTS), images)


@NEEDS_TENSORFLOW
def test_a_computation_that_fails(tmp_path: Path) -> None:
    def pairs(tf: Any) -> None:
        tf.reshape(tf.compat.v1.placeholder(tf.int64, [None], name="x"), [-1, 2], name="y")

    runtime = TensorflowRuntime(write_graph(tmp_path / "m.pb", pairs), ["x:0"], ["y:0"], 1)
    assert runtime.outputs == (TensorInfo("y:0", "INT64", (-1, 2)),)
    with pytest.raises(
        RuntimeFailedError, match=r"failed: Node: 'y' Input to reshape .* of 2$"
    ) as caught:
        runtime.run({"x:0": np.arange(3)}, ["y:0"])
    assert "\n" not in str(caught.value)
    assert runtime.run({"x:0": np.arange(4)}, ["y:0"])[0].tolist() == [[0, 1], [2, 3]]


@NEEDS_TENSORFLOW
@pytest.mark.parametrize(
    ("datatype", "name", "values"),
    [
        ("BYTES", "string", [b"\xff\x00", b"", b"text"]),
        ("BOOL", "bool", [True, False]),
        ("INT64", "int64", [-(2**40), 2**40]),
        ("UINT16", "uint16", [0, 65535]),
        ("FP16", "float16", [0.5, -2]),
        ("FP64", "float64", [1e-300]),
    ],
)
def test_datatypes_are_the_protocols(
    tmp_path: Path, datatype: str, name: str, values: list[Any]
) -> None:
    def same(tf: Any) -> None:
        tf.identity(tf.compat.v1.placeholder(name, [None], name="x"), name="y")

    runtime = TensorflowRuntime(write_graph(tmp_path / "m.pb", same), ["x:0"], ["y:0"], 1)
    assert runtime.inputs == (TensorInfo("x:0", datatype, (-1,)),)
    given = np.array(values, object if datatype == "BYTES" else name)
    (found,) = runtime.run({"x:0": given}, ["y:0"])
    assert found.dtype == given.dtype
    assert found.tolist() == values


@NEEDS_TENSORFLOW
@pytest.mark.parametrize(
    ("inputs", "outputs", "said"),
    [
        (["image:0"], OUTPUTS, "no tensor image:0;.* placeholders: image_tensor:0"),
        (["image_tensor"], OUTPUTS, "no tensor image_tensor; near it: image_tensor:0"),
        (["image_tensor:1"], OUTPUTS, "no tensor image_tensor:1; near it: image_tensor:0"),
        ([IMAGE], ["detection_bboxes:0"], "bboxes:0; near it: detection_boxes:0"),
        ([IMAGE], ["?"], r"no tensor \?; its placeholders: image_tensor:0"),
    ],
)
def test_a_missing_tensor_is_named_with_those_near_it(
    frozen: Path, inputs: Sequence[str], outputs: Sequence[str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        TensorflowRuntime(frozen, inputs, outputs, 1)


@NEEDS_TENSORFLOW
@pytest.mark.parametrize(
    "content", [b"", b"not a model", b"\x08\x01" * 50, bytes(1000), b"\x0a\x02\x0a\x00"]
)
def test_a_file_that_is_no_graph(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.pb"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"x\.pb"):
        TensorflowRuntime(file, [IMAGE], OUTPUTS, 1)


@NEEDS_TENSORFLOW
def test_files_of_another_kind(tmp_path: Path) -> None:
    onnx = store.model_file(zoo.find("shapes"))
    assert onnx is not None
    with pytest.raises(UsageError, match=r"shapes\.onnx is not a frozen TensorFlow graph"):
        TensorflowRuntime(onnx, [IMAGE], OUTPUTS, 1)
    with pytest.raises(UsageError, match=r"cannot read .*No such file"):
        TensorflowRuntime(tmp_path / "none.pb", [IMAGE], OUTPUTS, 1)
    with pytest.raises(UsageError, match=r"cannot read .*directory"):
        TensorflowRuntime(tmp_path, [IMAGE], OUTPUTS, 1)


@NEEDS_TENSORFLOW
def test_truncated_anywhere(tmp_path: Path, frozen: Path) -> None:
    whole = frozen.read_bytes()
    file = tmp_path / "x.pb"
    for length in range(0, len(whole) - 100, len(whole) // 40):
        file.write_bytes(whole[:length])
        with pytest.raises(UsageError, match=r"x\.pb"):
            TensorflowRuntime(file, [IMAGE], OUTPUTS, 1)


@NEEDS_TENSORFLOW
def test_a_graph_that_is_not_frozen(tmp_path: Path) -> None:
    def training(tf: Any) -> None:
        weight = tf.compat.v1.get_variable("weight", [3], use_resource=False)
        tf.add(tf.compat.v1.placeholder(tf.float32, [3], name="x"), weight, name="y")

    file = write_graph(tmp_path / "m.pb", training)
    with pytest.raises(UsageError, match="not frozen: its node weight is a variable"):
        TensorflowRuntime(file, ["x:0"], ["y:0"], 1)


@NEEDS_TENSORFLOW
def test_an_operator_that_tensorflow_lacks(tmp_path: Path, frozen: Path) -> None:
    import tensorflow as tf

    definition = tf.compat.v1.GraphDef.FromString(frozen.read_bytes())
    definition.node[-1].op = "Sorcery"
    file = tmp_path / "m.pb"
    file.write_bytes(definition.SerializeToString())
    with pytest.raises(UsageError, match=r"cannot load .*Sorcery"):
        TensorflowRuntime(file, [IMAGE], OUTPUTS, 1)


@NEEDS_TENSORFLOW
def test_an_input_of_any_rank(tmp_path: Path) -> None:
    def same(tf: Any) -> None:
        tf.identity(tf.compat.v1.placeholder(tf.float32, name="x"), name="y")

    file = write_graph(tmp_path / "m.pb", same)
    with pytest.raises(UsageError, match="how many dimensions x:0 has"):
        TensorflowRuntime(file, ["x:0"], ["y:0"], 1)


@NEEDS_TENSORFLOW
def test_a_card_that_is_not_there(frozen: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no cuda:99.*pip install"):
        TensorflowRuntime(frozen, [IMAGE], OUTPUTS, 1, device="cuda:99")


def test_unknown_device(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown device 'tensorrt': TensorFlow has cpu, cuda, "):
        TensorflowRuntime(tmp_path / "m.pb", [IMAGE], OUTPUTS, 1, device="tensorrt")


def test_without_tensorflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(UsageError, match=r"needs TensorFlow: pip install 'tailrace\[tensorflow\]'"):
        TensorflowRuntime(tmp_path / "m.pb", [IMAGE], OUTPUTS, 1)


PROGRAM = f"""
import os, sys
from pathlib import Path
import numpy as np
import tailrace.cli
from tailrace.models.runtimes.tensorflow import TensorflowRuntime
assert "tensorflow" not in sys.modules, "imported before it is needed"
runtime = TensorflowRuntime(Path(sys.argv[1]), [{IMAGE!r}], {OUTPUTS!r}, 1)
assert "tensorflow" in sys.modules
runtime.run({{{IMAGE!r}: np.zeros((1, 9, 9, 3), np.uint8)}}, {OUTPUTS!r})
os.write(2, b"stderr lives")
"""


@NEEDS_TENSORFLOW
def test_it_is_imported_late_and_in_silence(frozen: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, frozen], capture_output=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"stderr lives")
