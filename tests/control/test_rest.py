"""REST over a real server: real controller, real load, every status it can answer with."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tailrace.control.config import ServiceConfig
from tailrace.control.controller import Controller
from tailrace.control.rest import router
from tailrace.dashboard.server import serving


@pytest.fixture
async def client(serve: Any, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    services = [
        ServiceConfig(id="a", url=serve().url, profile="100"),
        ServiceConfig(id="b", url=serve().url, name="Second", slo=("p99<10s",)),
    ]
    controller = Controller(services, window=4, interval_s=0.25, runs_dir=tmp_path)
    app = FastAPI()
    app.include_router(router(controller, heartbeat_s=0.05))
    listener = socket.create_server(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
    async with serving(app, listener), httpx.AsyncClient(base_url=base, timeout=30) as client:
        yield client
    await controller.close()


async def wait_for(client: httpx.AsyncClient, path: str, reached: Any) -> Any:
    """What `path` answers, once `reached` says so."""
    async with asyncio.timeout(30):
        while True:
            answer = (await client.get(path)).json()
            if reached(answer):
                return answer
            await asyncio.sleep(0.02)


async def test_services_are_listed(client: httpx.AsyncClient) -> None:
    answer = await client.get("/services")
    assert answer.headers["content-type"] == "application/json"
    assert [service["id"] for service in answer.json()] == ["a", "b"]
    service = (await client.get("/services/b")).json()
    assert service == answer.json()[1]
    assert service["name"] == "Second"
    assert service["state"] == "idle"
    assert service["slo"] == ["p99<10s"]
    assert (await client.get("/services/a/latest")).json() is None


async def test_a_run_is_started_moved_read_and_stopped(client: httpx.AsyncClient) -> None:
    started = await client.post("/services/a/start", json={"rate": 80})
    assert started.status_code == 200
    assert started.json()["state"] in ("starting", "running")

    latest = await wait_for(
        client, "/services/a/latest", lambda point: point and point["completed"]
    )
    assert latest["target_per_s"] == 80
    assert set(latest["latency_ms"]) == {"mean", "p50", "p90", "p95", "p99", "p99.9", "max"}
    window = (await client.get("/services/a/window")).json()
    assert window["latency_ms"]["p99.9"] > 0
    assert window["points"][0]["index"] == 0

    assert (await client.put("/services/a/rate", json={"rate": 200})).status_code == 200
    await wait_for(client, "/services/a/latest", lambda point: point["target_per_s"] == 200)
    assert (await client.put("/services/a/rate", json=300)).status_code == 200
    await wait_for(client, "/services/a/latest", lambda point: point["target_per_s"] == 300)
    assert (await client.get("/services/b")).json()["state"] == "idle"

    assert (await client.post("/services/a/stop")).json()["state"] == "idle"
    assert (await client.post("/services/a/stop")).status_code == 200


async def test_the_rate_of_the_next_start_is_kept(client: httpx.AsyncClient) -> None:
    assert (await client.put("/services/a/rate", json={"rate": 30})).json()["rate_per_s"] == 30
    assert (await client.post("/services/a/start")).status_code == 200
    point = await wait_for(client, "/services/a/latest", bool)
    assert point["target_per_s"] == 30


async def test_the_stream_tells_states_and_intervals(client: httpx.AsyncClient) -> None:
    updates, comments = [], 0
    async with asyncio.timeout(30), client.stream("GET", "/services/a/stream") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        async for line in stream.aiter_lines():
            comments += line.startswith(":")
            if line.startswith("data: "):
                updates.append(json.loads(line.removeprefix("data: ")))
                if len(updates) == 1:
                    assert updates[0]["service"]["state"] == "idle"
            if comments == 1 and len(updates) == 1:
                comments += 1
                await client.post("/services/a/start")
            if sum(update["point"] is not None for update in updates) == 3:
                break
    assert comments > 1
    indexes = [update["point"]["index"] for update in updates if update["point"]]
    assert indexes == [0, 1, 2]
    assert "running" in {update["service"]["state"] for update in updates}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/services/x"),
        ("POST", "/services/x/start"),
        ("POST", "/services/x/stop"),
        ("GET", "/services/x/latest"),
        ("GET", "/services/x/window"),
        ("GET", "/services/x/stream"),
    ],
)
async def test_an_unknown_service_is_404(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == 404
    assert "'x'" in answer.json()["error"]


async def test_a_second_start_is_409(client: httpx.AsyncClient) -> None:
    assert (await client.post("/services/a/start")).status_code == 200
    answer = await client.post("/services/a/start")
    assert answer.status_code == 409
    assert "running" in answer.json()["error"]


@pytest.mark.parametrize(
    "body", [b"", b"fast", b"-1", b"1e999", b'{"rate": "fast"}', b'{"rate": -3}', b"[]", b"null"]
)
async def test_a_rate_that_cannot_be_is_400(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.put("/services/a/rate", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert (await client.get("/services/a")).json()["rate_per_s"] == 100


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://example.org"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_another_sites_page_may_change_nothing(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    for method, path in (
        ("POST", "/services/a/start"),
        ("POST", "/services/a/stop"),
        ("PUT", "/services/a/rate"),
    ):
        answer = await client.request(method, path, headers=headers, content=b"20")
        assert answer.status_code == 403
        assert answer.json()["error"]
    assert (await client.get("/services/a")).json()["state"] == "idle"
    assert (await client.get("/services/a")).json()["rate_per_s"] == 100


async def test_the_pages_own_origin_may(client: httpx.AsyncClient) -> None:
    origin = str(client.base_url.copy_with(path="/")).rstrip("/")
    headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
    answer = await client.put("/services/a/rate", json=20, headers=headers)
    assert answer.status_code == 200


async def test_openapi_describes_the_answers(client: httpx.AsyncClient) -> None:
    document = (await client.get(str(client.base_url.copy_with(path="/openapi.json")))).json()
    answers = document["paths"]["/api/services/{id}/window"]["get"]["responses"]
    window = answers["200"]["content"]["application/json"]["schema"]["properties"]
    assert "p99.9" in window["latency_ms"]["properties"]
    assert set(answers) >= {"200", "404"}
