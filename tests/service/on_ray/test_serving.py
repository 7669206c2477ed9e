"""`tailrace serve --ray`: its answers beside the local mode's, the death of a replica, its end."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

import cv2
import httpx
import pytest

from tailrace.datasets.shapes import draw_scene
from tests.kit import cli
from tests.kit.pictures import scene_bytes
from tests.kit.programs import ServerProcess
from tests.kit.ray_nodes import replica_pids, serve_pids
from tests.kit.waiting import TIMEOUT_S, wait_until

TOKEN = "secret"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
_OPTIONS = ("shapes", "null", "--port", "0", "--concurrency", "1", "--grace", "60s")


@pytest.fixture(scope="module")
def fleet(cluster: Any) -> Iterator[ServerProcess]:
    server = ServerProcess(*_OPTIONS, "--ray", cluster.address, "--replicas", "2", token=TOKEN)
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture(scope="module")
def local() -> Iterator[ServerProcess]:
    server = ServerProcess(*_OPTIONS, token=TOKEN)
    try:
        yield server.start()
    finally:
        server.close()


def _large_picture() -> bytes:
    # It takes a while to decode.
    large = cv2.resize(draw_scene(1_000_002).image, (4500, 4500))
    return cv2.imencode(".png", large)[1].tobytes()


JPEG = scene_bytes(1_000_001)
_TENSOR = {"name": "input", "shape": [1, 3], "datatype": "UINT8"}
_QUERY = json.dumps({"query": base64.b64encode(JPEG).decode()}).encode()
_BINARY = json.dumps(
    {
        "inputs": [_TENSOR | {"parameters": {"binary_data_size": 3}}],
        "parameters": {"binary_data_output": True},
    }
).encode()
_INFER = json.dumps({"id": "1", "inputs": [_TENSOR | {"data": [7, 8, 9]}]}).encode()
REQUESTS: list[tuple[str, str, dict[str, str], bytes]] = [
    ("GET", "/helloworld", {}, b""),
    ("HEAD", "/helloworld", {}, b""),
    ("GET", "/gpu", {}, b""),
    ("GET", "/gpu?model=null", {}, b""),
    ("GET", "/gpu?model=nope", {}, b""),
    ("GET", "/gpu", {"Tailrace-Deadline-Ms": "0"}, b""),
    ("GET", "/gpu", {"Tailrace-Deadline-Ms": "soon"}, b""),
    ("DELETE", "/gpu", {}, b""),
    ("POST", "/predict/shapes", {}, JPEG),
    ("POST", "/predict/shapes?threshold=0.5", {}, JPEG),
    ("POST", "/predict/shapes?threshold=7", {}, JPEG),
    ("POST", "/predict/shapes", {}, b"no picture"),
    ("POST", "/predict/shapes", {}, b""),
    ("POST", "/predict/shapes", {}, JPEG[:-100]),
    ("POST", "/predict/shapes", {"Content-Encoding": "gzip"}, JPEG),
    ("POST", "/predict/shapes", {}, b"x" * (32 * 2**20 + 1)),
    ("POST", "/predict/nope", {}, JPEG),
    ("GET", "/predict/shapes", {}, b""),
    ("GET", "/v2", {}, b""),
    ("GET", "/v2/health/live", {}, b""),
    ("GET", "/v2/health/ready", {}, b""),
    ("GET", "/v2/models/shapes", {}, b""),
    ("GET", "/v2/models/shapes/ready", {}, b""),
    ("GET", "/v2/models/nope", {}, b""),
    ("POST", "/v2/models/null/infer", {}, _INFER),
    ("POST", "/v2/models/null/versions/1/infer", {}, _INFER),
    ("POST", "/v2/models/null/versions/2/infer", {}, _INFER),
    ("POST", "/v2/models/null/infer", {}, b"{}"),
    (
        "POST",
        "/v2/models/null/infer",
        {"Inference-Header-Content-Length": str(len(_BINARY))},
        _BINARY + b"abc",
    ),
    ("POST", "/predict/", {}, _QUERY),
    ("POST", "/predict/", {}, b"[]"),
    ("GET", "/getname/", {}, b""),
    ("POST", "/getname/", {}, b""),
    ("GET", "/docs", {}, b""),
    ("GET", "/openapi.json", {}, b""),
    ("GET", "/nothing", {}, b""),
]
_COMPARED = ("content-type", "content-length", "allow", "retry-after", "www-authenticate")


def _shape(answer: httpx.Response, server: ServerProcess) -> tuple[Any, ...]:
    # What must be the same: all but when, where and how long.
    port = f":{server.port}".encode()
    stages = re.findall(r"([\w-]+);dur=", answer.headers.get("server-timing", ""))
    headers = {name: answer.headers.get(name) for name in _COMPARED}
    if port in answer.content:
        headers["content-length"] = None
    return answer.status_code, answer.content.replace(port, b":PORT"), stages, headers


@pytest.mark.smoke
def test_answers_are_those_of_the_local_mode(fleet: ServerProcess, local: ServerProcess) -> None:
    with httpx.Client(timeout=TIMEOUT_S) as client:
        for method, path, headers, body in REQUESTS:
            here, there = (
                _shape(
                    client.request(
                        method, server.url + path, headers=headers | AUTHORIZED, content=body
                    ),
                    server,
                )
                for server in (local, fleet)
            )
            assert there == here, (method, path, headers, body[:80])
        for path in ("/gpu", "/metrics", "/v2/health/ready"):
            here, there = (
                _shape(client.get(server.url + path), server) for server in (local, fleet)
            )
            assert there == here, path


def test_any_replica_answers_for_all(fleet: ServerProcess) -> None:
    before = fleet.scrape().outcomes("null").get("ok", 0)
    for _ in range(40):
        assert httpx.get(f"{fleet.url}/gpu?model=null", headers=AUTHORIZED).text == "ok"
    # What the others did in the last second may not have been told yet.
    wait_until(lambda: fleet.scrape().outcomes("null").get("ok", 0) >= before + 40)
    scrape = fleet.scrape()
    each = [scrape("tailrace_worker_requests_total", worker=worker) for worker in "12"]
    # Both nodes take part, that of the proxy and the other.
    assert all(each)
    whole = {model: scrape.outcomes(model).get("ok", 0) for model in ("shapes", "null")}
    assert sum(each) == sum(whole.values())
    assert [scrape("tailrace_worker_ready", worker=worker) for worker in "12"] == [1, 1]
    for worker in "12":
        assert scrape("process_cpu_seconds_total", worker=worker) > 0
        assert scrape("process_resident_memory_bytes", worker=worker) > 2**24


def test_cluster_that_serves_already_is_left_alone(fleet: ServerProcess, cluster: Any) -> None:
    ended = cli.run("serve", "null", "--ray", cluster.address, "--port", "0")
    assert ended.returncode == 1
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert "Ray Serve runs on this cluster already, with tailrace" in line
    assert httpx.get(f"{fleet.url}/helloworld", headers=AUTHORIZED).status_code == 200


def test_requests_whose_clients_leave_are_never_inferred(fleet: ServerProcess) -> None:
    picture = _large_picture()
    head = (
        "POST /predict/shapes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n"
        f"Content-Length: {len(picture)}\r\n\r\n"
    )
    before = fleet.scrape()
    with contextlib.ExitStack() as stack:
        for _ in range(12):
            connection = stack.enter_context(
                socket.create_connection(("127.0.0.1", fleet.port), timeout=TIMEOUT_S)
            )
            connection.sendall(head.encode() + picture)
        wait_until(lambda: sum(fleet.scrape()("tailrace_queue_depth", worker=w) for w in "12") >= 6)
    wait_until(lambda: not any(fleet.scrape()("tailrace_queue_depth", worker=w) for w in "12"))
    wait_until(lambda: fleet.scrape().outcomes("shapes").get("client_gone", 0) >= 6)
    after = fleet.scrape()
    inferred = [scrape("tailrace_batch_size_count", model="shapes") for scrape in (before, after)]
    assert inferred[1] - inferred[0] <= 6


def test_replica_that_is_killed_is_replaced(fleet: ServerProcess) -> None:
    codes: list[int] = []
    over = threading.Event()

    def load() -> None:
        with httpx.Client(headers=AUTHORIZED, timeout=TIMEOUT_S) as client:
            while not over.is_set():
                codes.append(client.get(f"{fleet.url}/gpu").status_code)

    before = fleet.scrape().outcomes("shapes").get("ok", 0)
    clients = [threading.Thread(target=load) for _ in range(4)]
    for client in clients:
        client.start()
    wait_until(lambda: len(codes) > 20)
    victim, _ = replica_pids()
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: httpx.get(f"{fleet.url}/v2/health/ready").status_code == 503)
    seen = [before]

    def back() -> bool:
        scrape = fleet.scrape()
        seen.append(scrape.outcomes("shapes").get("ok", 0))
        restarts = sum(scrape("tailrace_worker_restarts_total", worker=w) for w in "12")
        return restarts == 1 and httpx.get(f"{fleet.url}/v2/health/ready").status_code == 200

    wait_until(back)
    over.set()
    for client in clients:
        client.join(TIMEOUT_S)
    # What the dead one had counted stays, and what it had at hand failed, no more than that.
    assert seen == sorted(seen)
    failed = [code for code in codes if code != 200]
    assert len(failed) <= 4
    assert all(code >= 500 for code in failed)
    assert len(replica_pids()) == 2
    assert victim not in replica_pids()


def test_sigterm_ends_it_once_begun_requests_are_answered(fleet: ServerProcess) -> None:
    # The last test of this service.
    picture = _large_picture()
    codes: list[int] = []

    def ask() -> None:
        answer = httpx.post(
            f"{fleet.url}/predict/shapes", headers=AUTHORIZED, content=picture, timeout=TIMEOUT_S
        )
        codes.append(answer.status_code)

    clients = [threading.Thread(target=ask) for _ in range(6)]
    for client in clients:
        client.start()

    def begun() -> bool:
        scrape = fleet.scrape()
        levels = ("tailrace_requests_in_flight", "tailrace_queue_depth")
        here = sum(scrape(level, worker=w) for level in levels for w in "12")
        return here + len(codes) >= len(clients)

    wait_until(begun)
    assert fleet.stop() == 0
    for client in clients:
        client.join(TIMEOUT_S)
    assert codes == [200] * len(clients)
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", fleet.port), timeout=TIMEOUT_S)
    assert serve_pids() == []
    # Nothing but our own lines was said.
    fleet.rest()
    assert all(line.startswith("tailrace: ") for line in fleet.heard)


def test_nothing_is_left_of_a_command_that_is_killed(cluster: Any) -> None:
    server = ServerProcess("null", "--ray", cluster.address, "--port", "0").start()
    try:
        assert replica_pids()
        server.process.kill()
        wait_until(lambda: not serve_pids())
        with pytest.raises(ConnectionError):
            socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S)
    finally:
        server.close()


def test_model_that_cannot_be_loaded_is_one_line(cluster: Any) -> None:
    model = ("--model-path", "/nowhere/model.onnx")
    ended = cli.run("serve", "shapes", "--ray", cluster.address, "--port", "0", *model)
    assert ended.returncode == 2
    assert ended.stdout == ""
    lines = [line for line in ended.stderr.splitlines() if "replicas are warm" not in line]
    host = socket.gethostname()
    assert lines == [f"tailrace: error: on node {host}: there is no model file /nowhere/model.onnx"]
    assert serve_pids() == []


def test_port_that_is_taken(cluster: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = cli.run("serve", "null", "--ray", cluster.address, "--port", port)
    assert ended.returncode == 1
    assert f"port {port} of 127.0.0.1 is taken" in ended.stderr
    assert serve_pids() == []
