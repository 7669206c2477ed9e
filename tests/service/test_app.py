"""The application in this process, where a test can hold an inference thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tailrace.service.app import build
from tailrace.service.config import ServiceConfig
from tailrace.service.service import Service


class Held:
    """A loaded service of one thread and a queue of one, and what ends its process."""

    def __init__(self) -> None:
        self.stopping = False
        config = ServiceConfig(models=("shapes",), concurrency=1, queue=1)
        self.service = Service(config, lambda: self.stopping)
        self.app = build(self.service)
        self.gate = threading.Event()

    def client(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://service")

    def hold(self) -> None:
        self.service.pool.submit(lambda: self.gate.wait(60))


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.gate.set()
    held.service.pool.close()


async def test_not_ready_until_warm_nor_while_stopping(held: Held, jpeg: bytes) -> None:
    async with held.client() as client:
        for path in ("/v2/health/ready", "/v2/models/shapes", "/gpu"):
            assert (await client.get(path)).status_code == 503
        early = await client.post("/predict/shapes", content=jpeg)
        assert (early.status_code, early.headers["Retry-After"]) == (503, "1")
        assert (await client.get("/v2/health/live")).status_code == 200
        held.service.load()
        assert (await client.get("/v2/health/ready")).status_code == 503
        assert (await client.get("/v2/models/shapes/ready")).status_code == 503
        held.service.warm_up()
        assert (await client.get("/v2/health/ready")).json() == {"ready": True}
        assert (await client.get("/v2/models/shapes/ready")).status_code == 200
        held.stopping = True
        assert (await client.get("/v2/health/ready")).json() == {"ready": False}
        assert (await client.get("/v2/models/shapes/ready")).status_code == 503


async def test_full_queue_is_503_with_retry_after(held: Held, jpeg: bytes) -> None:
    held.service.load()
    held.hold()
    held.hold()
    async with held.client() as client:
        for answer in (
            await client.post("/predict/shapes", content=jpeg),
            await client.get("/gpu"),
        ):
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
            assert "queue is full" in answer.json()["error"]
        assert (await client.get("/helloworld")).status_code == 200
        held.gate.set()


async def test_request_of_a_client_that_left_is_dropped(held: Held, jpeg: bytes) -> None:
    held.service.load()
    held.hold()
    messages = [
        {"type": "http.request", "body": jpeg, "more_body": False},
        {"type": "http.disconnect"},
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
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
