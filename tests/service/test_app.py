"""The application in this process, where a test can hold an inference thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tailrace.http.connection import CLIENT
from tailrace.service.app import build
from tailrace.service.config import ServiceConfig
from tailrace.service.meter import Meter, new_sheet
from tailrace.service.predict import PictureWork
from tailrace.service.service import Service
from tailrace.service.stages import StageClock

INFER = "/v2/models/null/infer"


class Held:
    """A service of one thread and a queue of one, which a test can hold."""

    def __init__(self) -> None:
        config = ServiceConfig(models=("shapes", "null"), concurrency=1, queue=1)
        self.meter = Meter(new_sheet(config.workers, config.models), 0, config.models)
        self.service = Service(config, self.meter)
        self.app = build(self.service)
        self.gate = threading.Event()

    def client(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://service")

    def hold(self) -> None:
        """Takes the thread, or else the only place in the queue."""
        model = self.service.model("null")
        work = PictureWork(model, lambda: bytes(self.gate.wait(60)), 0.0, StageClock())
        self.service.batcher.submit(work)

    def outcomes(self, model: str) -> dict[str, int]:
        """Requests so far, by how they ended."""
        found = self.meter.snapshot().models[model].outcomes
        return {outcome: count for outcome, count in found.items() if count}


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.gate.set()
    assert held.service.batcher.close(60)


async def test_not_ready_until_warm_nor_while_stopping(held: Held, jpeg: bytes) -> None:
    async with held.client() as client:
        for path in ("/v2/health/ready", "/v2/models/shapes", "/gpu", "/predict/shapes"):
            assert (await client.get(path)).status_code == 503
        for path in ("/predict/shapes", "/predict/", INFER):
            early = await client.post(path, content=jpeg)
            assert (early.status_code, early.headers["Retry-After"]) == (503, "1")
        assert (await client.get("/v2/health/live")).status_code == 200
        held.service.load()
        assert (await client.get("/v2/health/ready")).status_code == 503
        assert (await client.get("/v2/models/shapes/ready")).status_code == 503
        held.service.warm_up()
        held.meter.set_ready(True)
        assert (await client.get("/v2/health/ready")).json() == {"ready": True}
        assert (await client.get("/v2/models/shapes/ready")).status_code == 200
        held.meter.sheet.stop()
        assert (await client.get("/v2/health/ready")).json() == {"ready": False}
        assert (await client.get("/v2/models/shapes/ready")).status_code == 503


async def test_full_queue_is_503_with_retry_after(held: Held, jpeg: bytes) -> None:
    held.service.load()
    held.service.warm_up()
    held.hold()
    held.hold()
    async with held.client() as client:
        for answer in (
            await client.post("/predict/shapes", content=jpeg),
            await client.get("/gpu"),
            await client.post("/predict/", json={"query": "x"}),
            await client.post(
                INFER, content=b"x", headers={"Inference-Header-Content-Length": "0"}
            ),
        ):
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
            assert "queue is full" in answer.json()["error"]
        assert (await client.get("/helloworld")).status_code == 200
    assert held.outcomes("shapes") == {"queue_full": 3}
    assert held.outcomes("null") == {"queue_full": 1}


async def test_deadline_is_504_without_inference(held: Held, jpeg: bytes) -> None:
    held.service.load()
    held.service.warm_up()
    held.hold()
    deadline = {"Tailrace-Deadline-Ms": "30"}
    raw = {"Inference-Header-Content-Length": "0", **deadline}
    async with held.client() as client:
        answers = [
            await client.post("/predict/shapes", content=jpeg, headers=deadline),
            await client.post(INFER, content=b"x", headers=raw),
        ]
    assert [answer.status_code for answer in answers] == [504, 504]
    assert not held.gate.is_set(), "it was answered while the only thread was held"
    assert held.outcomes("shapes") == held.outcomes("null") == {"deadline": 1}


async def test_what_cannot_be_an_inference_is_refused_before_the_queue(held: Held) -> None:
    held.service.load()
    held.service.warm_up()
    held.hold()
    held.hold()
    async with held.client() as client:
        for body in (b"", b"{}", b'{"inputs": []}'):
            assert (await client.post(INFER, content=body)).status_code == 400
    assert held.outcomes("null") == {"bad_request": 3}


async def test_every_route_is_described(held: Held) -> None:
    async with held.client() as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
        assert {path: set(methods) for path, methods in paths.items()} == {
            "/gpu": {"get"},
            "/helloworld": {"get"},
            "/metrics": {"get"},
            "/predict/{model}": {"get", "post"},
            "/predict/": {"post"},
            "/getname/": {"get", "post"},
            "/v2": {"get"},
            "/v2/health/live": {"get"},
            "/v2/health/ready": {"get"},
            "/v2/models/{model}": {"get"},
            "/v2/models/{model}/ready": {"get"},
            "/v2/models/{model}/infer": {"post"},
            "/v2/models/{model}/versions/{version}": {"get"},
            "/v2/models/{model}/versions/{version}/ready": {"get"},
            "/predict/{model}/example": {"get"},
            "/v2/models/stats": {"get"},
            "/v2/models/{model}/stats": {"get"},
            "/v2/models/{model}/versions/{version}/stats": {"get"},
            "/v2/models/{model}/config": {"get"},
            "/v2/models/{model}/versions/{version}/config": {"get"},
            "/v2/repository/index": {"post"},
            "/v2/models/{model}/versions/{version}/infer": {"post"},
        }
        identities = [each["operationId"] for path in paths.values() for each in path.values()]
        assert len(set(identities)) == len(identities)


async def test_request_of_a_client_that_left_is_dropped(held: Held, jpeg: bytes) -> None:
    held.service.load()
    held.service.warm_up()
    held.hold()
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": jpeg, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    class Gone:
        def on_gone(self, what: Callable[[], None] | None) -> None:
            if what is not None:
                what()

        def hold(self, count: int) -> bool:
            return True

    scope = {
        "type": "http",
        CLIENT: Gone(),
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/predict/shapes",
        "raw_path": b"/predict/shapes",
        "query_string": b"",
        "headers": [],
    }
    await held.app(scope, receive, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 499
    assert not held.gate.is_set(), "it was answered while the only thread was held"
    assert held.outcomes("shapes") == {"client_gone": 1}


async def test_body_that_breaks_off(held: Held) -> None:
    held.service.load()
    messages = [
        {"type": "http.request", "body": b"\xff\xd8", "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/predict/shapes",
        "query_string": b"",
        "headers": [(b"content-length", b"100")],
    }
    await held.app(scope, receive, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 499
