"""REST over a real server: real controller, real load, every status it can answer with."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from tailrace.control.controller import Controller
from tailrace.control.faces.rest import routes
from tailrace.control.interface import RunInfo, RunRecord, ServiceConfig
from tailrace.control.limits import LOOPBACK, Limits
from tailrace.control.methods import convert
from tailrace.dashboard.access import Access
from tailrace.dashboard.server import serving
from tests.kit.waiting import TIMEOUT_S


@pytest.fixture
async def controller(serve: Any, tmp_path: Path) -> AsyncIterator[Controller]:
    services = [
        ServiceConfig(id="a", url=serve().url, profile="100"),
        ServiceConfig(id="b", url=serve().url, name="Second", slo=("p99<10s",)),
    ]
    limits = Limits(allow=LOOPBACK, max_rate_per_s=500)
    controller = Controller(
        services, window=4, interval_s=0.25, runs_dir=tmp_path / "runs", limits=limits
    )
    yield controller
    await controller.close()


@pytest.fixture
async def client(controller: Controller) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=routes(controller, heartbeat_s=0.05))
    app.add_middleware(Access)
    listener = socket.create_server(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
    async with (
        serving(app, listener),
        httpx.AsyncClient(base_url=base, timeout=TIMEOUT_S) as client,
    ):
        yield client


async def wait_for(client: httpx.AsyncClient, path: str, reached: Any) -> Any:
    """What `path` answers, once `reached` says so."""
    async with asyncio.timeout(TIMEOUT_S):
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
    indexes = [point["index"] for point in window["points"]]
    assert indexes == list(range(indexes[0], indexes[0] + window["intervals"]))

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
    async with asyncio.timeout(TIMEOUT_S), client.stream("GET", "/services/a/stream") as stream:
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


async def test_an_unknown_service_is_404(client: httpx.AsyncClient) -> None:
    for method, path, body in (
        ("GET", "/services/x", None),
        ("PUT", "/services/x", {"url": "http://127.0.0.1/"}),
        ("DELETE", "/services/x", None),
        ("GET", "/services/x/config", None),
        ("POST", "/services/x/start", None),
        ("POST", "/services/x/stop", None),
        ("PUT", "/services/x/rate", 20),
        ("PUT", "/services/x/profile", "20"),
        ("GET", "/services/x/latest", None),
        ("GET", "/services/x/window", None),
        ("GET", "/services/x/stream", None),
    ):
        answer = await client.request(method, path, json=body)
        assert answer.status_code == 404, (method, path)
        assert "'x'" in answer.json()["error"]
        assert answer.json()["type"] == "UnknownServiceError"


async def test_a_second_start_is_409(client: httpx.AsyncClient) -> None:
    assert (await client.post("/services/a/start")).status_code == 200
    answer = await client.post("/services/a/start")
    assert answer.status_code == 409
    assert "running" in answer.json()["error"]


async def test_a_rate_that_cannot_be_is_400(client: httpx.AsyncClient) -> None:
    for body in (
        b"",
        b"fast",
        b"-1",
        b"1e999",
        b'{"rate": "fast"}',
        b'{"rate": -3}',
        b"[]",
        b"null",
    ):
        answer = await client.put("/services/a/rate", content=body)
        assert answer.status_code == 400, body
        assert answer.json()["error"]
    assert (await client.get("/services/a")).json()["rate_per_s"] == 100


async def test_another_sites_page_may_change_nothing(client: httpx.AsyncClient) -> None:
    changes = (
        ("POST", "/services"),
        ("PUT", "/services/a"),
        ("DELETE", "/services/a"),
        ("POST", "/services/a/start"),
        ("POST", "/services/a/stop"),
        ("PUT", "/services/a/rate"),
        ("PUT", "/services/a/profile"),
    )
    for headers in (
        {"Origin": "https://example.org"},
        {"Origin": "null"},
        {"Origin": "http://[", "Referer": "http://["},
        {"Referer": "http://127.0.0.1:1/page"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        for method, path in changes:
            answer = await client.request(method, path, headers=headers, content=b"20")
            assert answer.status_code == 403, (method, path, headers)
            assert answer.json()["type"] == "CrossSiteError"
    assert (await client.get("/services/a")).json()["state"] == "idle"
    assert (await client.get("/services/a")).json()["rate_per_s"] == 100


async def test_the_pages_own_origin_may(client: httpx.AsyncClient) -> None:
    origin = str(client.base_url.copy_with(path="/")).rstrip("/")
    headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
    answer = await client.put("/services/a/rate", json=20, headers=headers)
    assert answer.status_code == 200


async def test_services_are_added_changed_and_removed(
    client: httpx.AsyncClient, serve: Any
) -> None:
    config = {"id": "c", "url": serve().url, "profile": "50..100/60s", "slo": ["p99<1s"]}
    added = await client.post("/services", json=config)
    assert added.status_code == 201
    assert added.headers["location"] == "/api/services/c"
    assert added.json() == (await client.get("/services/c")).json()
    assert [service["id"] for service in (await client.get("/services")).json()] == ["a", "b", "c"]
    kept = (await client.get("/services/c/config")).json()
    assert kept["profile"] == "50..100/60s"
    assert kept["timeout_s"] is None

    changed = await client.put("/services/c", json={**kept, "name": "Third"})
    assert changed.status_code == 200
    assert changed.json()["name"] == "Third"
    without_id = {"url": config["url"], "profile": "70"}
    assert (await client.put("/services/c", json=without_id)).json()["rate_per_s"] == 70
    assert (await client.get("/services/c")).json()["name"] == "c"

    removed = await client.delete("/services/c")
    assert (removed.status_code, removed.content) == (204, b"")
    assert (await client.get("/services/c")).status_code == 404


async def test_a_body_of_files_goes_round(client: httpx.AsyncClient, tmp_path: Path) -> None:
    (tmp_path / "body.json").write_text("{}")
    config = {"id": "c", "url": "http://127.0.0.1:9/", "body": str(tmp_path / "body.json")}
    assert (await client.post("/services", json=config)).json()["method"] == "POST"
    kept = (await client.get("/services/c/config")).json()
    assert kept["body"] == config["body"]
    assert convert(kept, ServiceConfig).body == tmp_path / "body.json"
    assert (await client.put("/services/c", json=kept)).status_code == 200


ERRORS: list[tuple[str, str, Any, int, str | None, str | None]] = [
    ("POST", "/services", {"id": "a", "url": "http://127.0.0.1/"}, 409, "StateError", "'a'"),
    ("POST", "/services", {"id": "c"}, 400, "UsageError", "url"),
    ("POST", "/services", {"id": "c", "url": 5}, 400, "UsageError", "url"),
    ("POST", "/services", {"id": "c", "url": "ftp://h"}, 400, "UsageError", "ftp"),
    ("POST", "/services", {"id": "/", "url": "http://127.0.0.1"}, 400, "UsageError", "id"),
    ("POST", "/services", [], 400, "UsageError", "object"),
    ("POST", "/services", {"id": "c", "url": "http://127.0.0.1", "x": 1}, 400, None, "`x`"),
    (
        "POST",
        "/services",
        {"id": "c", "url": "http://h", "body": ""},
        400,
        None,
        "path",
    ),
    ("POST", "/services", {"id": "c", "url": "http://h", "body": 7}, 400, None, "path"),
    (
        "POST",
        "/services",
        {"id": "c", "url": "http://127.0.0.1", "profile": "1.."},
        400,
        "UsageError",
        "ramp",
    ),
    (
        "POST",
        "/services",
        {"id": "c", "url": "http://192.0.2.1/"},
        403,
        "NotAllowedError",
        "192.0.2.1",
    ),
    (
        "POST",
        "/services",
        {"id": "c", "url": "http://127.0.0.1/", "profile": "501"},
        403,
        "NotAllowedError",
        "500",
    ),
    ("PUT", "/services/a", {"id": "b", "url": "http://127.0.0.1"}, 400, "UsageError", "'b'"),
    ("PUT", "/services/a", {"id": 3, "url": "http://127.0.0.1"}, 400, "UsageError", "3"),
    ("PUT", "/services/a", {}, 400, "UsageError", "url"),
    ("PUT", "/services/a", {"url": "http://192.0.2.1"}, 403, "NotAllowedError", "192.0.2.1"),
    ("PUT", "/services/a/rate", 501, 403, "NotAllowedError", "501"),
    ("PUT", "/services/a/rate", {"rat": 5}, 400, "UsageError", "rat"),
    ("PUT", "/services/a/profile", "100..900/1m", 403, "NotAllowedError", "900"),
    ("PUT", "/services/a/profile", "100..", 400, "UsageError", "ramp"),
    ("PUT", "/services/a/profile", 5, 400, "UsageError", "int"),
    ("PUT", "/services/a/profile", {"profile": 5}, 400, "UsageError", "profile"),
    ("POST", "/services/a/start", {"rate": 501}, 403, "NotAllowedError", "501"),
    ("POST", "/services/a/start", {"rate": "x"}, 400, "UsageError", "rate"),
    ("GET", "/runs/nope", None, 404, "UnknownRunError", "nope"),
    ("GET", "/runs/%2e%2e", None, 404, "UnknownRunError", None),
    ("GET", "/runs/%2e%2e%2f", None, 404, None, None),
    ("GET", "/nothing", None, 404, "UnknownRouteError", "/api/nothing"),
    ("POST", "/nothing", None, 404, "UnknownRouteError", "/api/nothing"),
]
"""Method, path, body; the status, the error's class, and what its line has in it."""


async def test_every_error_is_one_line_and_a_class(client: httpx.AsyncClient) -> None:
    before = (await client.get("/services")).json()
    for method, path, body, status, kind, told in ERRORS:
        answer = await client.request(method, path, json=body)
        assert answer.status_code == status, (method, path, body)
        error = answer.json()
        assert set(error) == {"error", "type"}
        assert "\n" not in error["error"]
        assert kind is None or error["type"] == kind
        assert told is None or told in error["error"]
    assert (await client.get("/services")).json() == before


async def test_a_running_service_is_neither_changed_nor_removed(client: httpx.AsyncClient) -> None:
    assert (await client.post("/services/a/start")).status_code == 200
    config = (await client.get("/services/a/config")).json()
    for answer in (
        await client.put("/services/a", json=config),
        await client.delete("/services/a"),
    ):
        assert answer.status_code == 409
        assert answer.json()["type"] == "StateError"


async def test_a_profile_is_set(client: httpx.AsyncClient) -> None:
    for rate, body in ((60, "60..120/60s"), (70, {"profile": "70..120/60s"})):
        answer = await client.put("/services/a/profile", json=body)
        assert answer.status_code == 200
        assert answer.json()["profile"] == f"{rate}..120/60s"
        assert answer.json()["rate_per_s"] == rate
        assert (await client.get("/services/a/config")).json()["profile"] == f"{rate}..120/60s"


async def test_another_method_is_405_and_told_the_right_ones(client: httpx.AsyncClient) -> None:
    for method, path, allowed in (
        ("POST", "/services/a", "DELETE, GET, PUT"),
        ("GET", "/services/a/rate", "PUT"),
        ("PATCH", "/services", "GET, POST"),
    ):
        answer = await client.request(method, path)
        assert answer.status_code == 405
        assert answer.headers["allow"] == allowed
        assert allowed in answer.json()["error"]


async def test_runs_are_listed_and_read_back(client: httpx.AsyncClient) -> None:
    assert (await client.get("/runs")).json() == []
    await client.post("/services/a/start", json={"rate": 400})
    await wait_for(client, "/services/a/latest", lambda point: point and point["index"] >= 1)
    await client.post("/services/a/stop")
    (listed,) = (await client.get("/runs")).json()
    assert convert(listed, RunInfo).state == "finished"
    answer = await client.get(f"/runs/{listed['name']}")
    assert answer.headers["content-type"] == "application/json"
    record = convert(answer.json(), RunRecord)
    assert record.info == convert(listed, RunInfo)
    assert record.result is not None
    assert sum(point.completed for point in record.points) == listed["completed"] > 0


async def test_a_run_of_thousands_of_intervals_comes_whole(
    client: httpx.AsyncClient, controller: Controller, tmp_path: Path
) -> None:
    await client.post("/services/a/start")
    await wait_for(client, "/services/a/latest", bool)
    await client.post("/services/a/stop")
    (listed,) = (await client.get("/runs")).json()
    timeline = tmp_path / "runs" / listed["name"] / "timeline.jsonl"
    line = json.loads(timeline.read_text().splitlines()[0])
    timeline.write_text("".join(json.dumps({**line, "index": n}) + "\n" for n in range(3000)))
    points = (await client.get(f"/runs/{listed['name']}")).json()["points"]
    assert [point["index"] for point in points] == list(range(3000))


async def test_the_stream_of_all_tells_of_services_that_come_and_go(
    client: httpx.AsyncClient,
) -> None:
    seen = []
    async with asyncio.timeout(TIMEOUT_S), client.stream("GET", "/stream") as stream:
        async for line in stream.aiter_lines():
            if not line.startswith("data: "):
                continue
            service = json.loads(line.removeprefix("data: "))["service"]
            seen.append((service["id"], service["state"]))
            if seen == [("a", "idle"), ("b", "idle")]:
                await client.post("/services", json={"id": "c", "url": "http://127.0.0.1:9/"})
            if seen[-1] == ("c", "idle"):
                await client.delete("/services/c")
            if seen[-1] == ("c", "removed"):
                break
    assert len(seen) == 4


async def test_the_stream_of_a_service_ends_with_its_removal(client: httpx.AsyncClient) -> None:
    states = []
    async with asyncio.timeout(TIMEOUT_S), client.stream("GET", "/services/b/stream") as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data: "):
                states.append(json.loads(line.removeprefix("data: "))["service"]["state"])
                if len(states) == 1:
                    await client.delete("/services/b")
    assert states == ["idle", "removed"]


async def test_a_stream_that_nobody_reads_is_not_kept_in_memory(
    client: httpx.AsyncClient, controller: Controller
) -> None:
    """It loses the oldest updates, and what it gets in the end is the newest."""
    port = client.base_url.port
    assert port is not None
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(reader, ("127.0.0.1", port))
    await loop.sock_sendall(
        reader, b"GET /api/services/a/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    assert (await loop.sock_recv(reader, 12)).endswith(b"200")
    published, size = 30_000, len((await client.get("/services/a")).content)
    for number in range(published):
        await controller.set_rate("a", 1 + number % 400)
        # Lets the stream send what it can.
        await asyncio.sleep(0)
    await controller.set_rate("a", 499)
    received = b""
    async with asyncio.timeout(TIMEOUT_S):
        while b'"rate_per_s":499' not in received:
            received += await loop.sock_recv(reader, 2**20)
    reader.close()
    assert len(received) < published * size / 2


async def test_streams_end_with_the_server(controller: Controller) -> None:
    app = Starlette(routes=routes(controller))
    listener = socket.create_server(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
    async with asyncio.timeout(TIMEOUT_S), httpx.AsyncClient(base_url=base) as client:
        server = serving(app, listener)
        await server.__aenter__()
        async with client.stream("GET", "/stream") as stream:
            lines = stream.aiter_lines()
            assert (await anext(lines)).startswith("data: ")
            await server.__aexit__(None, None, None)
            assert [line async for line in lines if line.startswith("data: ")][1:] == []


async def test_openapi_describes_every_route(client: httpx.AsyncClient) -> None:
    document = (await client.get(str(client.base_url.copy_with(path="/openapi.json")))).json()
    described = {
        f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item
    }
    assert described == {
        "GET /api/services",
        "POST /api/services",
        "GET /api/services/{id}",
        "PUT /api/services/{id}",
        "DELETE /api/services/{id}",
        "GET /api/services/{id}/config",
        "POST /api/services/{id}/start",
        "POST /api/services/{id}/stop",
        "POST /api/services/{id}/find",
        "PUT /api/services/{id}/rate",
        "PUT /api/services/{id}/profile",
        "GET /api/services/{id}/latest",
        "GET /api/services/{id}/window",
        "GET /api/services/{id}/stream",
        "GET /api/stream",
        "GET /api/runs",
        "GET /api/runs/{name}",
        "PATCH /api/runs/{name}",
        "DELETE /api/runs/{name}",
        "GET /api/searches",
    }
    schemas = document["components"]["schemas"]
    answers = document["paths"]["/api/services/{id}/window"]["get"]["responses"]
    window = answers["200"]["content"]["application/json"]["schema"]
    assert window == {"$ref": "#/components/schemas/Window"}
    assert schemas["Window"]["properties"]["latency_ms"] == {
        "$ref": "#/components/schemas/Percentiles"
    }
    assert "p99.9" in schemas["Percentiles"]["properties"]
    refused = document["paths"]["/api/services/{id}"]["put"]["responses"]
    assert "it is not idle" in refused["409"]["description"]
    assert refused["404"]["content"]["application/json"]["examples"].keys() == {
        "UnknownServiceError"
    }
    for item in document["paths"].values():
        for operation in item.values():
            assert operation["summary"]
            assert "422" not in operation["responses"]
            for status, answer in operation["responses"].items():
                assert status == "204" or answer["content"]


async def test_the_examples_of_openapi_are_taken(client: httpx.AsyncClient) -> None:
    document = (await client.get(str(client.base_url.copy_with(path="/openapi.json")))).json()

    def example(path: str, method: str) -> Any:
        body = document["paths"][path][method]["requestBody"]["content"]["application/json"]
        return body["example"]

    # More than this room's cap, so the cap's own answer shows that it was read.
    for path, method, status in (
        ("/services", "post", 403),
        ("/services/{id}", "put", 403),
        ("/services/{id}/rate", "put", 200),
        ("/services/{id}/profile", "put", 403),
        ("/services/{id}/start", "post", 200),
    ):
        asked = example(f"/api{path}", method)
        answer = await client.request(method, path.replace("{id}", "b"), json=asked)
        assert answer.status_code == status, answer.json()
