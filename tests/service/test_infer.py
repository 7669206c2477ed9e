"""`/v2/models/{model}/infer`: what comes back is what the model computes, or a 4xx."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from tailrace.models import model as models
from tailrace.models import store, zoo
from tailrace.models.model import Model, RuntimeOptions
from tailrace.service.stages import STAGES
from tests.kit.waiting import TIMEOUT_S

LENGTH = "Inference-Header-Content-Length"
NULL = "/v2/models/null/infer"
SHAPES = "/v2/models/shapes/infer"


def _null(*rows: list[int], **more: Any) -> dict[str, Any]:
    shape = [len(rows), len(rows[0])]
    tensor = {"name": "input", "shape": shape, "datatype": "UINT8", "data": list(rows)}
    return {"inputs": [tensor], **more}


def _binary(model: Model, array: NDArray[Any], **more: Any) -> tuple[bytes, dict[str, str]]:
    tensor = {
        "name": model.format.input.name,
        "shape": list(array.shape),
        "datatype": model.format.input.datatype,
        "parameters": {"binary_data_size": array.nbytes},
    }
    text = json.dumps({"inputs": [tensor], **more}).encode()
    return text + array.tobytes(), {LENGTH: str(len(text))}


def _outputs(answer: httpx.Response) -> dict[str, NDArray[Any]]:
    assert answer.status_code == 200, answer.text
    end = int(answer.headers.get(LENGTH, len(answer.content)))
    document, rest = json.loads(answer.content[:end]), answer.content[end:]
    dtypes = {"FP32": np.float32, "UINT8": np.uint8}
    found: dict[str, NDArray[Any]] = {}
    for output in document["outputs"]:
        dtype = dtypes[output["datatype"]]
        if size := output.get("parameters", {}).get("binary_data_size"):
            flat, rest = np.frombuffer(rest[:size], dtype), rest[size:]
        else:
            flat = np.array(output["data"], dtype)
        found[output["name"]] = flat.reshape(output["shape"])
    assert rest == b""
    return found


@pytest.fixture(scope="module")
def shapes() -> Model:
    spec = zoo.find("shapes")
    return models.load(spec, store.model_file(spec), RuntimeOptions())


@pytest.fixture(scope="module")
def pictures(shapes: Model, draw: Callable[..., bytes]) -> list[NDArray[Any]]:
    files = [draw(1_000_010 + i) for i in range(4)]
    return [shapes.preprocess(shapes.decode(data)) for data in files]


@pytest.mark.parametrize("row", [[7, 8, 9], [0], [255] * 300])
def test_null_gives_back_what_it_is_sent(client: httpx.Client, row: list[int]) -> None:
    answer = client.post(NULL, json=_null(row, id="a-1", parameters={"priority": 0}))
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {
        "model_name": "null",
        "model_version": "1",
        "id": "a-1",
        "outputs": [{"name": "output", "datatype": "UINT8", "shape": [1, len(row)], "data": row}],
    }
    raw = client.post(NULL, content=bytes(row), headers={LENGTH: "0"})
    assert raw.headers["Content-Type"] == "application/octet-stream"
    assert bytes(_outputs(raw)["output"]) == bytes(row)


def test_version_in_the_path(client: httpx.Client) -> None:
    path = "/v2/models/null/versions/1/infer"
    assert client.post(path, json=_null([1])).json() == client.post(NULL, json=_null([1])).json()
    answer = client.post("/v2/models/null/versions/2/infer", json=_null([1]))
    assert answer.status_code == 404
    assert "no version '2'" in answer.json()["error"]


@pytest.mark.parametrize("given", ["json", "nested", "binary"])
@pytest.mark.parametrize("binary", [False, True])
def test_shapes_gives_what_the_model_computes(
    client: httpx.Client, shapes: Model, pictures: list[NDArray[Any]], given: str, binary: bool
) -> None:
    picture = pictures[0]
    more = {"parameters": {"binary_data_output": binary}}
    if given == "binary":
        body, headers = _binary(shapes, picture, **more)
    else:
        flat = picture if given == "nested" else picture.ravel()
        tensor = {
            "name": shapes.format.input.name,
            "shape": list(picture.shape),
            "datatype": "UINT8",
            "data": flat.tolist(),
        }
        body, headers = json.dumps({"inputs": [tensor], **more}).encode(), {}
    found = _outputs(client.post(SHAPES, content=body, headers=headers))
    wanted = dict(zip(shapes.format.outputs, shapes.infer(picture), strict=True))
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array)


def test_a_batch_has_the_rows_of_each(
    client: httpx.Client, shapes: Model, pictures: list[NDArray[Any]]
) -> None:
    body, headers = _binary(shapes, np.concatenate(pictures))
    found = _outputs(client.post(SHAPES, content=body, headers=headers))
    for row, picture in enumerate(pictures):
        for name, array in zip(shapes.format.outputs, shapes.infer(picture), strict=True):
            np.testing.assert_allclose(found[name][row], array[0], atol=1e-4)


def test_only_the_outputs_asked_for_in_their_order(
    client: httpx.Client, shapes: Model, pictures: list[NDArray[Any]]
) -> None:
    names = list(shapes.format.outputs)[:1:-1]
    wanted = [
        {"name": name, "parameters": {"binary_data": place == 0}}
        for place, name in enumerate(names)
    ]
    body, headers = _binary(shapes, pictures[0], outputs=wanted)
    answer = client.post(SHAPES, content=body, headers=headers)
    assert list(_outputs(answer)) == names
    described = json.loads(answer.content[: int(answer.headers[LENGTH])])["outputs"]
    assert ["data" in output for output in described] == [place > 0 for place in range(len(names))]


def test_stages_are_timed_and_counted_as_those_of_pictures(
    client: httpx.Client, pictures: list[NDArray[Any]], shapes: Model
) -> None:
    def counted() -> float:
        pattern = r'^tailrace_requests_total\{model="shapes",outcome="ok"\} (\S+)$'
        found = re.search(pattern, client.get("/metrics").text, re.MULTILINE)
        assert found is not None
        return float(found[1])

    before = counted()
    body, headers = _binary(shapes, pictures[0])
    answer = client.post(SHAPES, content=body, headers=headers)
    stages = dict(re.findall(r"([\w-]+);dur=(\d+\.\d+)", answer.headers["Server-Timing"]))
    assert list(stages) == list(STAGES)
    assert float(stages["infer"]) > 0
    assert float(stages["decode"]) > 0
    assert counted() == before + 1


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "message"),
    [
        ("/v2/models/x/infer", b"{}", {}, 404, "no model 'x' is served here: there is shapes"),
        (NULL, b"", {}, 400, "truncated"),
        (NULL, b"{}", {LENGTH: "x"}, 400, f"{LENGTH} is a number"),
        (NULL, b"{}", {LENGTH: "-1"}, 400, f"{LENGTH} is a number"),
        (NULL, b"{}", {LENGTH: "9" * 5000}, 400, f"{LENGTH} is a number"),
        (NULL, b"{}", {LENGTH: "500"}, 400, "is 500, but the body has 2 bytes"),
        (NULL, b"x", {"Content-Encoding": "gzip"}, 400, "ends within its gzip"),
        (NULL, bytes(33 * 2**20), {}, 413, "33,554,432 bytes"),
        (NULL, json.dumps(_null([1, 256])).encode(), {}, 400, "input input: .* <= 255"),
        (NULL, json.dumps(_null([1, 2], [3])).encode(), {}, 400, "has 4 elements|is not nested"),
        (SHAPES, bytes(270_001), {LENGTH: "0"}, 400, "takes 270000 bytes, not 270001"),
        (SHAPES, bytes(1000), {LENGTH: "0"}, 400, "takes 270000 bytes, not 1000"),
    ],
)
def test_refused(
    client: httpx.Client,
    path: str,
    body: bytes,
    headers: dict[str, str],
    status: int,
    message: str,
) -> None:
    answer = client.post(path, content=body, headers=headers)
    assert answer.status_code == status
    assert re.search(message, answer.json()["error"])
    assert client.post(NULL, json=_null([1])).status_code == 200


@pytest.mark.parametrize(("timeout_us", "status"), [(1, 504), (10**8, 200), (0, 200)])
def test_timeout_is_a_deadline(client: httpx.Client, timeout_us: int, status: int) -> None:
    asked = _null([1], parameters={"timeout": timeout_us})
    assert client.post(NULL, json=asked).status_code == status
    # The sooner of both counts.
    headers = {"Tailrace-Deadline-Ms": "0"}
    assert client.post(NULL, json=asked, headers=headers).status_code == 504


def test_deadline_header(client: httpx.Client) -> None:
    for text, status in (("soon", 400), ("0", 504), ("-3", 504), ("10000", 200)):
        answer = client.post(NULL, json=_null([1]), headers={"Tailrace-Deadline-Ms": text})
        assert answer.status_code == status, text


def test_a_file_of_one_row_takes_no_more(
    launch: Callable[..., Any], tmp_path: Path, pictures: list[NDArray[Any]], shapes: Model
) -> None:
    spec = zoo.find("shapes")
    file = store.model_file(spec)
    assert file is not None
    graph = onnx.load(file)
    dimension = graph.graph.input[0].type.tensor_type.shape.dim[0]
    dimension.Clear()
    dimension.dim_value = 1
    onnx.save(graph, tmp_path / "one.onnx")
    server = launch("ssd-mobilenet", "--model-path", str(tmp_path / "one.onnx"), "--port", "0")
    with httpx.Client(base_url=server.start().url, timeout=TIMEOUT_S) as client:
        path = "/v2/models/ssd-mobilenet/infer"
        body, headers = _binary(shapes, pictures[0])
        assert client.post(path, content=body, headers=headers).status_code == 200
        body, headers = _binary(shapes, np.concatenate(pictures[:2]))
        answer = client.post(path, content=body, headers=headers)
        assert answer.status_code == 400
        assert "[1, 300, 300, 3]" in answer.json()["error"]


async def test_requests_are_batched_with_their_like_and_answered_each_its_own(
    launch: Callable[..., Any],
) -> None:
    arguments = ("null", "--max-batch", "8", "--batch-window", "20ms", "--port", "0")
    url = launch(*arguments).start().url
    rng = np.random.default_rng(5)
    rows = [rng.integers(0, 256, (1 + i % 3, 3 + i % 2)).tolist() for i in range(120)]
    bad = _null([300, 1, 2])
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S) as client:
        posts = [client.post(NULL, json=_null(*each)) for each in rows]
        bads = [client.post(NULL, json=bad) for _ in range(20)]
        mixed = [post for pair in zip(posts, bads, strict=False) for post in pair] + posts[20:]
        answers = await asyncio.gather(*mixed)
        assert [answer.status_code for answer in answers[1:40:2]] == [400] * 20
        for answer, wanted in zip(answers[:40:2] + answers[40:], rows, strict=True):
            (output,) = answer.json()["outputs"]
            assert output["shape"] == [len(wanted), len(wanted[0])]
            assert output["data"] == [value for row in wanted for value in row]
        metrics = (await client.get("/metrics")).text
    sums = {
        name: float(value)
        for name, value in re.findall(
            r'^tailrace_batch_size_(sum|count)\{model="null"\} (\S+)$', metrics, re.MULTILINE
        )
    }
    assert sums["sum"] >= sum(map(len, rows))
    assert sums["count"] < len(rows), "none was computed together with another"
