"""Requests are what a service takes, and answers come back as records or as a clear refusal."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tailrace.errors import UsageError
from tailrace.load.client.target import parse_target
from tailrace.mlperf.network.answer import Answer
from tailrace.mlperf.network.wire import AnswerError, PictureWire, TensorWire, Wire
from tailrace.mlperf.system import Record, Sample
from tailrace.models import model as models
from tailrace.models import store, zoo
from tailrace.models.model import Model, RuntimeOptions
from tailrace.models.outputs import Classes, Detections
from tailrace.models.runtimes import TensorInfo
from tailrace.models.runtimes.datatypes import DTYPES
from tailrace.models.zoo.spec import Format
from tailrace.service.infer_messages import read_request, write_answer

TARGET = parse_target("http://node:81/behind/proxy/")
PICTURE = Sample(7, 200, 100, b"the bytes of a picture")


def split(wire: Wire, sample: Sample) -> tuple[str, dict[str, str], bytes]:
    """The first line, the headers and the body of a request."""
    head, _, body = b"".join(bytes(part) for part in wire.encode(sample)).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert len(headers) == len(lines)
    assert int(headers["Content-Length"]) == len(body)
    return first, headers, body


def wired_pictures(model: str = "shapes", task: Any = "detection", **headers: str) -> PictureWire:
    return PictureWire(TARGET, model, task, headers)


def predicted(wire: PictureWire, answer: Any) -> Record:
    return wire.decode(PICTURE, Answer(200, json.dumps(answer).encode()))


@pytest.fixture(scope="module")
def shapes() -> Model:
    spec = zoo.find("shapes")
    return models.load(spec, store.model_file(spec), RuntimeOptions())


def test_a_picture_is_sent_as_it_is() -> None:
    first, headers, body = split(wired_pictures("a model", Authorization="Bearer x"), PICTURE)
    assert first == "POST /behind/proxy/predict/a%20model HTTP/1.1"
    assert headers["Host"] == "node:81"
    assert headers["Authorization"] == "Bearer x"
    assert body == PICTURE.content


def test_a_picture_with_our_counter_in_it_is_sent_as_it_is() -> None:
    sample = Sample(0, 1, 1, b"before {{counter}} after")
    assert split(wired_pictures(), sample)[2] == sample.content


def test_a_header_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="is not a header"):
        wired_pictures(X="a\r\nb")


def test_detections() -> None:
    row = {"label": "square", "class_id": 3, "score": 0.25, "box": [20, 10, 100.5, 50]}
    other = {"label": "?", "class_id": 90, "score": 1, "box": [-4, 0, 200, 100], "more": {}}
    found = predicted(
        wired_pictures(), {"model": "shapes", "detections": [row, other], "notice": "n"}
    )
    assert found.dtype == np.float32
    np.testing.assert_allclose(
        found, [[7, 0.1, 0.1, 0.5, 0.5025, 0.25, 3], [7, 0, -0.02, 1, 1, 1, 90]], rtol=1e-6
    )
    none = predicted(wired_pictures(), {"model": "shapes", "detections": []})
    assert none.shape == (0, 7)


def test_classes() -> None:
    classes = [{"label": "b", "class_id": 811, "score": None}, {"label": "c", "class_id": 1}]
    found = predicted(
        wired_pictures(task="classification"), {"model": "shapes", "classes": classes}
    )
    assert found.dtype == np.float32
    assert found.tolist() == [811]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"ok", "no prediction"),
        (b"", "no prediction"),
        (b"\xff{}", "no prediction"),
        (b"[" * 100_000, "no prediction"),
        (b'{"model": "shapes"}', "has no detections"),
        (b'{"model": "other", "detections": []}', "of 'other', not of shapes"),
        (b'{"model": "shapes", "classes": [{"class_id": 1}]}', "has no detections"),
        (b'{"model": "shapes", "detections": [{"class_id": 1, "score": 1}]}', "`box`"),
        (
            b'{"model": "shapes", "detections": [{"class_id": 1, "score": 1, "box": [1, 2, 3]}]}',
            "length 4",
        ),
        (
            b'{"model":"shapes","detections":[{"class_id":1e30,"score":1,"box":[1,2,3,4]}]}',
            "class_id",
        ),
        (
            b'{"model":"shapes","detections":[{"class_id":1,"score":1,"box":[1,2,3,1e39]}]}',
            "beyond FP32",
        ),
    ],
)
def test_no_prediction(answer: bytes, message: str) -> None:
    with pytest.raises(AnswerError, match=message):
        wired_pictures().decode(PICTURE, Answer(200, answer))


@pytest.mark.parametrize("answer", [{"detections": []}, {"classes": []}])
def test_no_class(answer: Any) -> None:
    with pytest.raises(AnswerError, match="names no class"):
        predicted(wired_pictures(task="classification"), {"model": "shapes", **answer})


@pytest.mark.parametrize("binary", [True, False])
def test_a_tensor_there_and_back(shapes: Model, scenes: Sequence[bytes], binary: bool) -> None:
    """Through the service's own reading and writing."""
    wire = TensorWire(TARGET, "shapes", shapes.format, binary, {"X-More": "1"})
    for index, data in enumerate(scenes[:3]):
        image = shapes.decode(data)
        height_px, width_px = image.shape[:2]
        tensor = shapes.preprocess(image)
        sample = Sample(index, width_px, height_px, tensor)
        first, headers, body = split(wire, sample)
        assert first == "POST /behind/proxy/v2/models/shapes/infer HTTP/1.1"
        assert headers["X-More"] == "1"
        length = headers.get("Inference-Header-Content-Length")
        assert (length is not None) is binary
        request = read_request(shapes, body, int(length) if length is not None else None)
        np.testing.assert_array_equal(request.inputs["image_tensor:0"].decode(), tensor)
        assert [(output.name, output.binary) for output in request.outputs] == [
            (name, binary) for name in shapes.format.outputs
        ]
        tensors = shapes.infer(tensor)
        written = write_answer(shapes, request, tensors)
        json_length = None if written.json_bytes is None else b"%d" % written.json_bytes
        found = wire.decode(sample, Answer(200, written.body, json_length))
        wanted = shapes.postprocess(tensors, width_px, height_px)
        assert isinstance(wanted, Detections)
        assert len(found) == len(wanted.scores) > 0
        np.testing.assert_array_equal(found[:, 0], index)
        np.testing.assert_array_equal(found[:, 5], wanted.scores)
        np.testing.assert_allclose(found[:, 2] * width_px, wanted.boxes[:, 0], atol=1e-3)


def test_tensors_that_do_not_lie_in_order(shapes: Model) -> None:
    tensor = np.random.default_rng(1).integers(0, 256, (1, 3, 300, 300), np.uint8)
    turned = tensor.transpose(0, 2, 3, 1)
    wire = TensorWire(TARGET, "shapes", shapes.format, True, {})
    _, headers, body = split(wire, Sample(0, 1, 1, turned))
    request = read_request(shapes, body, int(headers["Inference-Header-Content-Length"]))
    np.testing.assert_array_equal(request.inputs["image_tensor:0"].decode(), turned)


def test_tensors_of_several_shapes() -> None:
    """The null model takes any."""
    null = models.load(zoo.find("null"), None, RuntimeOptions())
    wire = TensorWire(TARGET, "null", null.format, True, {})
    for length in (5, 1, 70_000, 5):
        tensor = np.random.default_rng(length).integers(0, 256, (1, length), np.uint8)
        _, headers, body = split(wire, Sample(0, 1, 1, tensor))
        request = read_request(null, body, int(headers["Inference-Header-Content-Length"]))
        np.testing.assert_array_equal(request.inputs["input"].decode(), tensor)


def form(*outputs: str, datatype: str = "FP32", keep: list[Any] | None = None) -> Format:
    """A format that keeps the output tensors it is given, and finds class 1."""

    def postprocess(tensors: Sequence[NDArray[Any]], width_px: int, height_px: int) -> Classes:
        if keep is not None:
            keep.extend(tensors)
        return Classes(np.array([1], np.int64), None)

    return Format(
        runtime="null",
        input=TensorInfo("in", datatype, (1, -1)),
        outputs=outputs,
        preprocess=lambda image: image,
        postprocess=postprocess,
    )


def inference(
    tensors: Mapping[str, NDArray[Any]], binary: Mapping[str, bool], datatype: str
) -> Answer:
    """An answer with these outputs, in this order."""
    outputs: list[dict[str, Any]] = []
    tail = b""
    for name, array in tensors.items():
        described = {"name": name, "datatype": datatype, "shape": list(array.shape)}
        if binary[name]:
            data = array.astype(array.dtype.newbyteorder("<")).tobytes()
            outputs.append(described | {"parameters": {"binary_data_size": len(data)}})
            tail += data
        else:
            outputs.append(described | {"data": array.tolist()})
    text = json.dumps({"model_name": "m", "outputs": outputs}).encode()
    return Answer(200, text + tail, b"%d" % len(text) if tail else None)


@pytest.mark.parametrize("datatype", sorted(set(DTYPES) - {"BYTES"}))
@pytest.mark.parametrize("binary", [(True, True), (True, False), (False, True), (False, False)])
def test_every_datatype_in_any_order(datatype: str, binary: tuple[bool, bool]) -> None:
    draw = np.random.default_rng(3)
    tensors = {
        name: draw.integers(0, 2, shape).astype(DTYPES[datatype])
        for name, shape in (("b", (2, 3)), ("unasked", (1,)), ("a", (1, 4, 2)))
    }
    how = {"a": binary[0], "b": binary[1], "unasked": True}
    kept: list[NDArray[Any]] = []
    wire = TensorWire(TARGET, "m", form("a", "b", keep=kept), True, {})
    found = wire.decode(PICTURE, inference(tensors, how, datatype))
    assert found.tolist() == [1]
    for array, name in zip(kept, ("a", "b"), strict=True):
        assert array.dtype == DTYPES[datatype]
        np.testing.assert_array_equal(array, tensors[name])


@pytest.mark.parametrize("datatype", ["UINT8", "FP32", "INT64", "FP16", "BOOL"])
@pytest.mark.parametrize("binary", [True, False])
def test_every_datatype_is_sent(datatype: str, binary: bool) -> None:
    tensor = np.random.default_rng(4).integers(0, 2, (1, 9)).astype(DTYPES[datatype])
    wire = TensorWire(TARGET, "m", form("a", datatype=datatype), binary, {})
    _, headers, body = split(wire, Sample(0, 1, 1, tensor))
    end = int(headers["Inference-Header-Content-Length"]) if binary else len(body)
    (given,) = json.loads(body[:end])["inputs"]
    assert (given["name"], given["datatype"], given["shape"]) == ("in", datatype, [1, 9])
    if binary:
        assert given["parameters"] == {"binary_data_size": tensor.nbytes}
        assert body[end:] == tensor.tobytes()
    else:
        assert given["data"] == tensor.ravel().tolist()


def test_no_detections_are_an_answer() -> None:
    retinanet = zoo.find("retinanet").formats[0]
    wire = TensorWire(TARGET, "retinanet", retinanet, True, {})
    names = ("boxes", "labels", "scores")
    empty = {
        name: np.zeros(shape, np.float32)
        for name, shape in zip(names, ((0, 4), (0,), (0,)), strict=True)
    }
    for binary in (True, False):
        answer = inference(empty, dict.fromkeys(names, binary), "FP32")
        assert wire.decode(PICTURE, answer).shape == (0, 7)


OUTPUT = {"name": "a", "datatype": "FP32", "shape": [2]}


@pytest.mark.parametrize(
    ("outputs", "tail", "length", "message"),
    [
        ([], b"", None, "lacks the output a"),
        ([OUTPUT], b"", None, "neither data nor binary_data_size"),
        ([OUTPUT | {"name": "b", "data": [1, 2]}], b"", None, "lacks the output a"),
        ([OUTPUT | {"data": [1, 2, 3]}], b"", None, "output a: .*has 2 elements, not 3"),
        ([OUTPUT | {"data": [1, None]}], b"", None, "output a: data has something"),
        ([OUTPUT | {"data": "text"}], b"", None, "output a: "),
        ([OUTPUT | {"datatype": "BF16", "data": [1, 2]}], b"", None, "is BF16"),
        ([OUTPUT | {"shape": [-2], "data": [1, 2]}], b"", None, "no inference"),
        ([OUTPUT | {"shape": [0] + [2**31 - 1] * 5, "data": []}], b"", None, "output a: "),
        ([OUTPUT | {"parameters": {"binary_data_size": 8}}], b"1234567", True, "within the out"),
        ([OUTPUT | {"parameters": {"binary_data_size": 7}}], b"1234567", True, "takes 8 bytes"),
        ([OUTPUT | {"parameters": {"binary_data_size": 8}}], b"123456789", True, "goes on"),
        ([OUTPUT | {"parameters": {"binary_data_size": -8}}], b"12345678", True, "no inference"),
        ([OUTPUT | {"parameters": {"binary_data_size": 8}}], b"12345678", None, "no inference"),
        ([OUTPUT | {"data": [1, 2]}], b"", b"x", "Inference-Header-Content-Length"),
        ([OUTPUT | {"data": [1, 2]}], b"", b"9999", "Inference-Header-Content-Length"),
        ([OUTPUT | {"data": [1, 2]}], b"", b"-1", "Inference-Header-Content-Length"),
        ([OUTPUT | {"data": [1, 2]}], b"", b"5", "no inference"),
        ("text", b"", None, "no inference"),
    ],
)
def test_no_inference(outputs: Any, tail: bytes, length: Any, message: str) -> None:
    text = json.dumps({"outputs": outputs}).encode()
    answer = Answer(200, text + tail, b"%d" % len(text) if length is True else length)
    with pytest.raises(AnswerError, match=message):
        TensorWire(TARGET, "m", form("a"), True, {}).decode(PICTURE, answer)


@pytest.mark.parametrize(
    "shapes_of",
    [
        ((1,), (1, 5, 4), (1, 5), (1, 5, 1)),
        ((1,), (1, 1, 4), (1, 5), (1, 5)),
        ((1,), (1, 5, 4), (1, 5), (1, 4)),
        ((1,), (5, 4), (5,), (5,)),
        ((1,), (1, 5, 3), (1, 5), (1, 5)),
        ((), (1, 5, 4), (1, 5), (1, 5)),
        ((0,), (1, 5, 4), (1, 5), (1, 5)),
        ((1,), (1, 5, 4), (1, 5), (1, 1)),
    ],
)
def test_outputs_that_do_not_fit_together(shapes_of: Sequence[tuple[int, ...]]) -> None:
    """They come from a model that only has the names of ours."""
    served = zoo.find("shapes").formats[0]
    wire = TensorWire(TARGET, "shapes", served, True, {})
    tensors = {
        name: np.full(shape, 5, np.float32)
        for name, shape in zip(served.outputs, shapes_of, strict=True)
    }
    with pytest.raises(AnswerError, match="do not fit together"):
        wire.decode(PICTURE, inference(tensors, dict.fromkeys(tensors, True), "FP32"))


@pytest.mark.parametrize("shape", [(0,), (1, 1)])
def test_a_class_of_another_shape(shape: tuple[int, ...]) -> None:
    wire = TensorWire(TARGET, "resnet50", zoo.find("resnet50").formats[0], True, {})
    answer = inference({"ArgMax:0": np.ones(shape, np.int64)}, {"ArgMax:0": True}, "INT64")
    with pytest.raises(AnswerError, match="do not fit together"):
        wire.decode(PICTURE, answer)
    good = inference({"ArgMax:0": np.array([5])}, {"ArgMax:0": True}, "INT64")
    assert wire.decode(PICTURE, good).tolist() == [4]


@pytest.mark.parametrize("count", [np.nan, np.inf, -np.inf])
def test_a_count_that_is_no_number(count: float) -> None:
    served = zoo.find("shapes").formats[0]
    wire = TensorWire(TARGET, "shapes", served, True, {})
    shapes_of = ((1,), (1, 5, 4), (1, 5), (1, 5))
    tensors = {
        name: np.full(shape, count, np.float32)
        for name, shape in zip(served.outputs, shapes_of, strict=True)
    }
    with pytest.raises(AnswerError, match="do not fit together"):
        wire.decode(PICTURE, inference(tensors, dict.fromkeys(tensors, True), "FP32"))


def test_whatever_comes_is_a_record_or_an_answer_error() -> None:
    served = zoo.find("shapes").formats[0]
    shapes_of = ((1,), (1, 5, 4), (1, 5), (1, 5))
    tensors = {
        name: np.ones(shape, np.float32)
        for name, shape in zip(served.outputs, shapes_of, strict=True)
    }
    row = {"label": "", "class_id": 3, "score": 0.25, "box": [20, 10, 100.5, 50]}
    prediction = json.dumps({"model": "shapes", "detections": [row] * 3}).encode()
    good: list[tuple[Wire, Answer]] = [
        (wired_pictures(), Answer(200, prediction)),
        *[
            (
                TensorWire(TARGET, "shapes", served, binary, {}),
                inference(tensors, dict.fromkeys(tensors, binary), "FP32"),
            )
            for binary in (True, False)
        ],
    ]
    draw = random.Random(5)
    refused = 0
    for wire, answer in good:
        assert len(wire.decode(PICTURE, answer))
        for _ in range(1500):
            body = bytearray(answer.body)
            for _ in range(draw.randint(1, 3)):
                at = draw.randrange(len(body))
                body[at : at + draw.choice((0, 1, 1, 1, 9))] = draw.choice(
                    (b"", b"\xff", b"0", b"9", b"-", b"]", b'"', b"1e9", b"null")
                )
            try:
                found = wire.decode(PICTURE, answer._replace(body=bytes(body)))
            except AnswerError:
                refused += 1
            else:
                assert found.dtype == np.float32
                assert found.ndim == 2
    assert refused > 1500
