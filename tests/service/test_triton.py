"""NVIDIA's own client of the Open Inference Protocol finds what it expects."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput, InferResult
from tritonclient.utils import InferenceServerException

from tailrace import __version__
from tailrace.models import model as models
from tailrace.models import store, zoo
from tailrace.models.model import Model, RuntimeOptions

THREADS = 8


@pytest.fixture(scope="module")
def address(shapes_server: Any) -> str:
    url: str = shapes_server.url
    return url.removeprefix("http://")


@pytest.fixture(scope="module")
def triton(address: str) -> Iterator[InferenceServerClient]:
    with InferenceServerClient(address) as client:
        yield client


@pytest.fixture(scope="module")
def shapes() -> Model:
    spec = zoo.find("shapes")
    return models.load(spec, store.model_file(spec), RuntimeOptions())


@pytest.fixture(scope="module")
def pictures(shapes: Model, draw: Callable[..., bytes]) -> list[NDArray[Any]]:
    files = [draw(1_000_030 + i) for i in range(THREADS)]
    return [shapes.preprocess(shapes.decode(data)) for data in files]


def _input(name: str, array: NDArray[Any], binary: bool = True) -> InferInput:
    tensor = InferInput(name, list(array.shape), "UINT8")
    tensor.set_data_from_numpy(array, binary_data=binary)
    return tensor


def _check(found: InferResult, wanted: dict[str, NDArray[Any]]) -> None:
    for name, array in wanted.items():
        np.testing.assert_allclose(found.as_numpy(name), array, atol=1e-4)


def _computed(model: Model, array: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return dict(zip(model.format.outputs, model.infer(array), strict=True))


def test_server_and_model_are_described(triton: InferenceServerClient) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("shapes")
    assert triton.is_model_ready("shapes", "1")
    assert not triton.is_model_ready("nope")
    server = triton.get_server_metadata()
    assert (server["name"], server["version"]) == ("tailrace", __version__)
    assert server["extensions"] == [
        *("binary_tensor_data", "classification", "model_configuration", "model_repository"),
        "statistics",
    ]
    model = triton.get_model_metadata("shapes", "1")
    (tensor,) = model["inputs"]
    assert (tensor["datatype"], tensor["shape"]) == ("UINT8", [-1, 300, 300, 3])
    assert model["versions"] == ["1"]


@pytest.mark.parametrize("sent_binary", [True, False])
@pytest.mark.parametrize("wanted_binary", [True, False])
def test_numpy_there_and_back(
    triton: InferenceServerClient,
    shapes: Model,
    pictures: list[NDArray[Any]],
    sent_binary: bool,
    wanted_binary: bool,
) -> None:
    tensor = _input(shapes.format.input.name, pictures[0], sent_binary)
    outputs = [
        InferRequestedOutput(name, binary_data=wanted_binary) for name in shapes.format.outputs
    ]
    found = triton.infer("shapes", [tensor], outputs=outputs, request_id="one", model_version="1")
    assert found.get_response()["id"] == "one"
    _check(found, _computed(shapes, pictures[0]))


def test_a_batch_of_several(
    triton: InferenceServerClient, shapes: Model, pictures: list[NDArray[Any]]
) -> None:
    tensor = _input(shapes.format.input.name, np.concatenate(pictures[:5]))
    found = triton.infer("shapes", [tensor])
    for row in range(5):
        alone = _computed(shapes, pictures[row])
        for name, array in alone.items():
            np.testing.assert_allclose(found.as_numpy(name)[row], array[0], atol=1e-4)


def test_threads_at_once_get_each_its_own(
    address: str, shapes: Model, pictures: list[NDArray[Any]]
) -> None:
    wanted = [_computed(shapes, picture) for picture in pictures]
    firsts = [array["detection_boxes:0"].tobytes() for array in wanted]
    assert len(set(firsts)) == THREADS, "the pictures must be told apart"

    def ask(number: int) -> None:
        rng = np.random.default_rng(number)
        with InferenceServerClient(address) as client:
            for turn in range(20):
                row = rng.integers(0, 256, (1, 1 + turn), np.uint8)
                echo = client.infer("null", [_input("input", row, turn % 2 == 0)])
                np.testing.assert_array_equal(echo.as_numpy("output"), row)
            for _ in range(3):
                tensor = _input(shapes.format.input.name, pictures[number])
                _check(client.infer("shapes", [tensor]), wanted[number])

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(ask, range(THREADS)))


def test_requests_sent_without_waiting(
    address: str, shapes: Model, pictures: list[NDArray[Any]]
) -> None:
    with InferenceServerClient(address, concurrency=4) as client:
        asked = [
            client.async_infer("shapes", [_input(shapes.format.input.name, picture)])
            for picture in pictures
        ]
        for handle, picture in zip(asked, pictures, strict=True):
            _check(handle.get_result(), _computed(shapes, picture))


@pytest.mark.parametrize("binary", [True, False])
def test_the_client_shows_what_is_wrong(triton: InferenceServerClient, binary: bool) -> None:
    tensor = _input("input", np.zeros((1, 5), np.uint8), binary)
    for model, message in (("nope", "no model 'nope'"), ("shapes", "has no input 'input'")):
        with pytest.raises(InferenceServerException, match=message):
            triton.infer(model, [tensor])
    wrong = _input("image_tensor:0", np.zeros((1, 300, 300), np.uint8), binary)
    with pytest.raises(InferenceServerException, match=r"not UINT8 \[1, 300, 300\]") as refused:
        triton.infer("shapes", [wrong])
    assert refused.value.status() == "400"
    with pytest.raises(InferenceServerException, match="has no output 'x'"):
        triton.infer("null", [tensor], outputs=[InferRequestedOutput("x")])


def test_configuration(triton: InferenceServerClient, shapes: Model) -> None:
    config = triton.get_model_config("shapes")
    assert config == triton.get_model_config("shapes", "1")
    assert (config["name"], config["platform"]) == ("shapes", "onnx_onnxv1")
    [tensor] = config["input"]
    assert (tensor["name"], tensor["data_type"], tensor["dims"]) == (
        shapes.format.input.name,
        "TYPE_UINT8",
        [300, 300, 3],
    )
    assert {output["name"]: output["dims"] for output in config["output"]}["detection_boxes:0"] == [
        100,
        4,
    ]
    # So many rows fit the longest body.
    assert config["max_batch_size"] == 32 * 2**20 // 270_000
    assert [group["kind"] for group in config["instance_group"]] == ["KIND_CPU"]
    with pytest.raises(InferenceServerException, match="no model 'nope'"):
        triton.get_model_config("nope")
    with pytest.raises(InferenceServerException, match="no version '2'"):
        triton.get_model_config("shapes", "2")


def test_repository_index(triton: InferenceServerClient) -> None:
    assert triton.get_model_repository_index() == [
        {"name": name, "version": "1", "state": "READY", "reason": ""}
        for name in ("shapes", "null")
    ]


def test_statistics_are_what_was_done(
    launch: Callable[..., Any], shapes: Model, pictures: list[NDArray[Any]]
) -> None:
    server = launch("shapes", "null", "--port", "0", "--max-batch", "2").start()
    began_ms = time.time() * 1000
    with InferenceServerClient(server.url.removeprefix("http://")) as client:
        untouched = client.get_inference_statistics("shapes")["model_stats"][0]
        assert (untouched["inference_count"], untouched["last_inference"]) == (0, 0)
        assert set(untouched["inference_stats"]["success"].values()) == {0}
        assert client.get_model_config("shapes")["dynamic_batching"] == {
            "preferred_batch_size": [2],
            "max_queue_delay_microseconds": 0,
        }
        for count in (1, 5):
            tensor = _input(shapes.format.input.name, np.concatenate(pictures[:count]))
            client.infer("shapes", [tensor])
        with pytest.raises(InferenceServerException):
            client.infer("shapes", [_input("x", pictures[0])])
        [found] = client.get_inference_statistics("shapes", "1")["model_stats"]
        assert (found["name"], found["version"], found["batch_stats"]) == ("shapes", "1", [])
        assert (found["inference_count"], found["execution_count"]) == (6, 4)
        assert began_ms <= found["last_inference"] <= time.time() * 1000
        spent = found["inference_stats"]
        assert spent["fail"]["count"] == 1
        assert spent["fail"]["ns"] > 0
        parts = ("queue", "compute_input", "compute_infer", "compute_output")
        assert {spent[part]["count"] for part in ("success", *parts)} == {2}
        assert 0 < sum(spent[part]["ns"] for part in parts) < spent["success"]["ns"]
        both = client.get_inference_statistics()["model_stats"]
        assert [each["name"] for each in both] == ["shapes", "null"]
        assert both[0] == found
        assert both[1]["execution_count"] == 0


@pytest.mark.parametrize("binary", [True, False])
def test_classification(
    triton: InferenceServerClient, shapes: Model, pictures: list[NDArray[Any]], binary: bool
) -> None:
    name = "detection_scores:0"
    tensor = _input(shapes.format.input.name, np.concatenate(pictures[:2]))
    asked = InferRequestedOutput(name, binary_data=binary, class_count=3)
    found = triton.infer("shapes", [tensor], outputs=[asked]).as_numpy(name)
    assert found.shape == (2, 3)
    for row, picture in zip(found, pictures, strict=False):
        scores = _computed(shapes, picture)[name][0]
        told = [text.decode() if isinstance(text, bytes) else text for text in row]
        values, indices = zip(*(text.split(":") for text in told), strict=True)
        wanted = np.argsort(-scores, kind="stable")[:3]
        np.testing.assert_allclose([float(value) for value in values], scores[wanted], atol=1e-4)
        np.testing.assert_allclose(scores[[int(index) for index in indices]], scores[wanted])


def test_what_cannot_be_honoured_is_refused(triton: InferenceServerClient) -> None:
    tensor = _input("input", np.zeros((1, 5), np.uint8))
    for asked in ({"priority": 1}, {"sequence_id": 5}, {"parameters": {"no_such": 1}}):
        with pytest.raises(InferenceServerException, match=r"\$.parameters") as refused:
            triton.infer("null", [tensor], **asked)
        assert refused.value.status() == "400"
    tensor.set_shared_memory("region", 5)
    with pytest.raises(InferenceServerException, match="no memory is shared"):
        triton.infer("null", [tensor])
    with pytest.raises(InferenceServerException, match="deadline passed"):
        triton.infer("null", [_input("input", np.zeros((1, 5), np.uint8))], timeout=1)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_compressed_requests(triton: InferenceServerClient, coding: str, binary: bool) -> None:
    row = np.arange(200, dtype=np.uint8)[None]
    found = triton.infer(
        "null", [_input("input", row, binary)], request_compression_algorithm=coding
    )
    np.testing.assert_array_equal(found.as_numpy("output"), row)
