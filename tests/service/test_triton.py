"""NVIDIA's own client of the Open Inference Protocol finds what it expects."""

from __future__ import annotations

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
    assert "binary_tensor_data" in server["extensions"]
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
