"""What the routes answer when all is well."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis

from tailrace.service.stages import STAGES
from tests.kit.waiting import TIMEOUT_S

JPEG = b"the fixture's"
TENSOR = b'{"inputs": [{"name": "input", "shape": [1, 1], "datatype": "UINT8", "data": [1]}]}'
TENSOR_IN_BINARY_OUT = TENSOR[:-1] + b', "parameters": {"binary_data_output": true}}'
OPENAPI = {"openapi": "3.1.0", "info": {"title": "Tailrace", "version": "1"}}


def test_helloworld(client: httpx.Client) -> None:
    answer = client.get("/helloworld")
    assert (answer.status_code, answer.text) == (200, "hello world")


def test_gpu_answers_ok_with_stages(client: httpx.Client) -> None:
    answer = client.get("/gpu")
    assert (answer.status_code, answer.text) == (200, "ok")
    assert _stages(answer) == list(STAGES)


def test_predict_answers_labels_and_boxes(client: httpx.Client, jpeg: bytes) -> None:
    answer = client.post("/predict/shapes", content=jpeg, params={"threshold": 0.3})
    assert answer.status_code == 200
    document = answer.json()
    assert document["model"] == "shapes"
    assert document["detections"]
    scores = [row["score"] for row in document["detections"]]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) >= 0.3
    for row in document["detections"]:
        assert set(row) == {"label", "class_id", "score", "box"}
        left, top, right, bottom = row["box"]
        assert -1 <= left < right <= 301
        assert -1 <= top < bottom <= 301


def test_boxes_are_in_pixels_of_the_picture_sent(
    client: httpx.Client, draw: Callable[..., bytes]
) -> None:
    small = client.post("/predict/shapes", content=draw(1_000_001, ".png")).json()
    wide = client.post(
        "/predict/shapes", content=draw(1_000_001, ".png", size_px=(1200, 600))
    ).json()
    first, same = small["detections"][0], wide["detections"][0]
    assert first["class_id"] == same["class_id"]
    for value, scaled, factor in zip(first["box"], same["box"], (4, 2, 4, 2), strict=True):
        assert scaled == pytest.approx(value * factor, abs=10)


def test_threshold_zero_is_the_default(client: httpx.Client, jpeg: bytes) -> None:
    everything = client.post("/predict/shapes", content=jpeg).json()
    assert everything == client.post("/predict/shapes?threshold=0", content=jpeg).json()
    some = client.post("/predict/shapes?threshold=0.5", content=jpeg).json()
    assert len(some["detections"]) < len(everything["detections"])


def test_png_and_multipart_and_any_content_type(
    client: httpx.Client, jpeg: bytes, png: bytes
) -> None:
    plain = client.post("/predict/shapes", content=jpeg)
    form = client.post("/predict/shapes", files={"file": ("a.jpg", jpeg)}, data={"note": "x"})
    odd = client.post("/predict/shapes", content=jpeg, headers={"Content-Type": "text/plain"})
    assert plain.json() == form.json() == odd.json()
    assert client.post("/predict/shapes", content=png).json()["detections"]


def test_chunked_body(client: httpx.Client, jpeg: bytes) -> None:
    pieces = [jpeg[i : i + 1000] for i in range(0, len(jpeg), 1000)]
    answer = client.post("/predict/shapes", content=iter(pieces))
    assert answer.json() == client.post("/predict/shapes", content=jpeg).json()


def test_server_timing_holds_every_stage_in_milliseconds(client: httpx.Client, jpeg: bytes) -> None:
    answer = client.post("/predict/shapes", content=jpeg)
    assert _stages(answer) == list(STAGES)
    total_ms = sum(
        float(n) for n in re.findall(r"dur=(\d+\.\d{4})", answer.headers["Server-Timing"])
    )
    assert 0 < total_ms <= answer.elapsed.total_seconds() * 1e3


def test_open_inference_protocol(client: httpx.Client) -> None:
    assert client.get("/v2").json()["name"] == "tailrace"
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    model = client.get("/v2/models/shapes").json()
    assert model == client.get("/v2/models/shapes/versions/1").json()
    assert model["name"] == "shapes"
    assert model["inputs"] == [
        {"name": "image_tensor:0", "datatype": "UINT8", "shape": [-1, 300, 300, 3]}
    ]
    assert "detection_boxes:0" in [tensor["name"] for tensor in model["outputs"]]
    ready = {"name": "shapes", "ready": True}
    assert client.get("/v2/models/shapes/ready").json() == ready
    assert client.get("/v2/models/shapes/versions/1/ready").json() == ready
    assert client.get("/v2/models/shapes/versions/2").status_code == 404


def test_docs_need_no_other_host(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", page.text)


@pytest.mark.parametrize(
    ("path", "route", "method", "body"),
    [
        ("/v2", "/v2", "GET", None),
        ("/v2/health/live", "/v2/health/live", "GET", None),
        ("/v2/health/ready", "/v2/health/ready", "GET", None),
        ("/v2/models/shapes", "/v2/models/{model}", "GET", None),
        ("/v2/models/nope", "/v2/models/{model}", "GET", None),
        ("/v2/models/null/versions/1", "/v2/models/{model}/versions/{version}", "GET", None),
        ("/v2/models/shapes/ready", "/v2/models/{model}/ready", "GET", None),
        ("/v2/models/stats", "/v2/models/stats", "GET", None),
        ("/v2/models/null/stats", "/v2/models/{model}/stats", "GET", None),
        ("/v2/models/nope/stats", "/v2/models/{model}/stats", "GET", None),
        ("/v2/models/shapes/config", "/v2/models/{model}/config", "GET", None),
        (
            "/v2/models/null/versions/1/config",
            "/v2/models/{model}/versions/{version}/config",
            "GET",
            None,
        ),
        ("/v2/repository/index", "/v2/repository/index", "POST", None),
        ("/v2/repository/index", "/v2/repository/index", "POST", b'{"ready": true}'),
        ("/v2/repository/index", "/v2/repository/index", "POST", b"[]"),
        ("/v2/models/null/infer", "/v2/models/{model}/infer", "POST", TENSOR),
        ("/v2/models/null/infer", "/v2/models/{model}/infer", "POST", TENSOR_IN_BINARY_OUT),
        ("/v2/models/null/infer", "/v2/models/{model}/infer", "POST", b"{}"),
        ("/predict/shapes", "/predict/{model}", "POST", JPEG),
        ("/predict/shapes", "/predict/{model}", "POST", b"text"),
        ("/predict/shapes", "/predict/{model}", "GET", None),
        ("/predict/", "/predict/", "POST", b"{}"),
        ("/getname/", "/getname/", "POST", None),
        ("/gpu", "/gpu", "GET", None),
        ("/gpu?model=nope", "/gpu", "GET", None),
        ("/helloworld", "/helloworld", "GET", None),
        ("/metrics", "/metrics", "GET", None),
    ],
)
def test_openapi_says_what_is_answered(
    client: httpx.Client, jpeg: bytes, path: str, route: str, method: str, body: bytes | None
) -> None:
    described = client.get("/openapi.json").json()["paths"]
    _close(described)
    schema = schemathesis.openapi.from_dict({**OPENAPI, "paths": described})
    answer = client.request(method, path, content=jpeg if body == JPEG else body)
    schema[route][method].validate_response(answer)
    content = described[route][method.lower()]["responses"][str(answer.status_code)]["content"]
    assert answer.headers["Content-Type"].split(";")[0] in content


async def test_concurrent_answers_go_to_those_who_asked(
    client: httpx.Client, draw: Callable[..., bytes]
) -> None:
    pictures = [draw(1_000_100 + i) for i in range(12)]
    expected = [client.post("/predict/shapes", content=data).json() for data in pictures]
    assert len({str(document) for document in expected}) == len(pictures)
    async with httpx.AsyncClient(base_url=client.base_url, timeout=TIMEOUT_S) as concurrent:
        posts = [concurrent.post("/predict/shapes", content=data) for data in pictures * 4]
        answers = [answer.json() for answer in await asyncio.gather(*posts)]
    assert answers == expected * 4


def test_gpu_draws_from_a_folder(launch: Callable[..., Any], tmp_path: Path, jpeg: bytes) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/one.jpg").write_bytes(jpeg)
    server = launch("shapes", "--port", "0", "--dataset", str(tmp_path)).start()
    assert httpx.get(f"{server.url}/gpu", timeout=TIMEOUT_S).text == "ok"
    (tmp_path / "deep/one.jpg").unlink()
    answer = httpx.get(f"{server.url}/gpu", timeout=TIMEOUT_S)
    assert answer.status_code == 500
    assert "one.jpg" in answer.json()["error"]


def test_gpu_of_a_model_file_needs_a_dataset(launch: Callable[..., Any], coco_model: Path) -> None:
    arguments = ("shapes", "ssd-mobilenet", "--model-path", str(coco_model), "--port", "0")
    url = launch(*arguments).start().url
    assert httpx.get(f"{url}/gpu", timeout=TIMEOUT_S).text == "ok"
    answer = httpx.get(f"{url}/gpu?model=ssd-mobilenet", timeout=TIMEOUT_S)
    assert answer.status_code == 503
    assert "--dataset" in answer.json()["error"]


def _stages(answer: httpx.Response) -> list[str]:
    return re.findall(r"([\w-]+);dur=\d+\.\d{4}", answer.headers["Server-Timing"])


def _close(described: Any) -> None:
    # An answer may have nothing that is not described; the service's settings alone are left open.
    if isinstance(described, list):
        for each in described:
            _close(each)
    elif isinstance(described, dict):
        if described.get("type") == "object" and "models" not in described["properties"]:
            described["additionalProperties"] = False
        for each in described.values():
            _close(each)
