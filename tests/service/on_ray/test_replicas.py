"""The application as Ray Serve's own tools deploy it: arguments, full queues, autoscaling."""

import contextlib
import inspect
import select
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from ray import serve

from tailrace.cli.serve import serve as serve_command
from tailrace.cluster import connect
from tailrace.errors import UsageError
from tailrace.service.config import TOKEN_VARIABLE, ServiceConfig
from tailrace.service.on_ray.registry import running_replicas
from tailrace.service.on_ray.replicas import (
    Arguments,
    Scale,
    app,
    application,
    parse_scale,
    read_arguments,
)
from tests.kit.ports import free_port
from tests.kit.programs import Scrape
from tests.kit.waiting import TIMEOUT_S, wait_until

NAME = "tailrace"


def test_scale() -> None:
    assert parse_scale("2") == Scale(2, 2)
    assert parse_scale("1..8") == Scale(1, 8)
    assert (str(parse_scale("2")), str(parse_scale("1..8"))) == ("2", "1..8")
    assert parse_scale("3..3").fixed


@pytest.mark.parametrize("text", ["", "0", "0..3", "4..2", "two", "1..", "-1", "1.5", "1..2..3"])
def test_no_scale(text: str) -> None:
    with pytest.raises(UsageError, match="--replicas"):
        parse_scale(text)


def test_arguments_are_the_options_of_the_command() -> None:
    options = {name.replace("_", "-") for name in inspect.signature(serve_command).parameters}
    # Where it listens is Ray Serve's to say, but for whether that is open to others.
    assert set(Arguments.__struct_encode_fields__) == options - {"port", "workers", "ray", "fault"}


def test_every_argument_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "secret")
    given = {
        "models": ["shapes", "null"],
        "model-path": "/models/m.onnx",
        "dataset": "/data",
        "replicas": "1..8",
        "concurrency": 2,
        "intra-op": 3,
        "max-batch": 4,
        "batch-window": "5ms",
        "queue": 6,
        "runtime": "tensorflow",
        "device": "cuda",
        "grace": "7s",
        "twin": False,
    }
    config, scale = read_arguments(given)
    assert scale == Scale(1, 8)
    assert (config.models, config.host, config.token) == (("shapes", "null"), "0.0.0.0", "secret")
    assert (config.model_path, config.dataset) == (Path("/models/m.onnx"), Path("/data"))
    assert (config.concurrency, config.intra_op_threads, config.max_batch) == (2, 3, 4)
    assert (config.batch_window_s, config.queue, config.grace_s) == (0.005, 6, 7.0)
    assert (config.runtime, config.device, config.twin) == ("tensorflow", "cuda", False)


def test_arguments_of_a_command_line_are_text() -> None:
    config, scale = read_arguments(
        {"models": "shapes,null", "replicas": "2", "queue": "9", "twin": "true"}
    )
    assert (config.models, config.queue, config.twin) == (("shapes", "null"), 9, True)
    assert scale == Scale(2, 2)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "models"),
        ({"models": "shapes", "replica": 2}, "replica"),
        ({"models": "shapes", "queue": "many"}, "queue"),
        ({"models": "shapes", "port": 5000}, "port"),
        ({"models": "shapes", "replicas": "none"}, "--replicas"),
    ],
)
def test_bad_argument_is_named(given: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_arguments(given)


@pytest.fixture(scope="module")
def url(cluster: Any) -> Iterator[str]:
    port = free_port()
    connect(cluster.address)
    serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        serve.shutdown()


def _answers(url: str) -> bool:
    # The proxy learns of a new application a moment after it runs.
    return httpx.get(f"{url}/v2/health/ready", timeout=TIMEOUT_S).status_code == 200


def _running() -> int:
    return running_replicas(serve.status().applications[NAME])


def _scrape(url: str) -> Scrape:
    return Scrape(httpx.get(f"{url}/metrics", timeout=TIMEOUT_S).text)


class Clients:
    """Clients that each ask again as soon as they are answered."""

    def __init__(self, url: str, clients: int) -> None:
        self.codes: Counter[int] = Counter()
        self.refusals: list[httpx.Response] = []
        self._url = url
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        with httpx.Client(timeout=TIMEOUT_S) as client:
            while not self._over.is_set():
                answer = client.get(f"{self._url}/gpu")
                self.codes[answer.status_code] += 1
                if answer.status_code != 200:
                    self.refusals.append(answer)

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(TIMEOUT_S)


@pytest.fixture(scope="module")
def short(url: str) -> str:
    """The address of a replica with one thread and a queue of 2."""
    serve.run(app({"models": "shapes", "host": "127.0.0.1", "queue": 2}), name=NAME)
    wait_until(lambda: _answers(url))
    return url


def test_builder_serves_and_its_queue_is_ours(short: str) -> None:
    assert httpx.get(f"{short}/v2").json()["service"]["queue"] == 2
    load = Clients(short, 12)
    wait_until(lambda: len(load.refusals) > 20 and load.codes[200] > 5)
    load.end()
    assert set(load.codes) == {200, 503}
    for refusal in load.refusals:
        assert refusal.headers["Retry-After"] == "1"
        assert refusal.json() == {"error": "the queue is full: try again in a second"}
    refused = len(load.refusals)
    wait_until(lambda: _scrape(short).outcomes("shapes").get("queue_full") == refused)


def test_what_waits_at_the_proxy_is_bounded(short: str) -> None:
    port = int(short.rpartition(":")[2])
    head = b"POST /predict/shapes HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    with contextlib.ExitStack() as stack:

        def ask() -> socket.socket:
            # Its body never comes, so it keeps its place, if it gets one.
            connection = stack.enter_context(
                socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
            )
            connection.sendall(head)
            return connection

        # 1 + 2 + 64 have a place in the replica, and 64 wait. Of those that come at one time Ray
        # may let in more, or fewer, as it counts them late. The rest is refused at once.
        many = [ask() for _ in range(160)]
        while not (refused := select.select(many, [], [], 1.0)[0]):
            many.append(ask())
            assert len(many) < 200
        for connection in refused:
            answer = connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 1\r\n" in answer.lower()
    wait_until(lambda: httpx.get(f"{short}/gpu", timeout=TIMEOUT_S).status_code == 200)


def test_long_queue_brings_a_replica_and_a_short_one_takes_it_away(url: str) -> None:
    config = ServiceConfig(models=("shapes",), concurrency=1)
    scale = Scale(1, 2, up_after_s=1.0, down_after_s=2.0)
    serve.run(application(config, scale), name=NAME)
    wait_until(lambda: _answers(url) and _running() == 1)
    seen = [0]

    def replicas() -> int:
        seen.append(_scrape(url).outcomes("shapes").get("ok", 0))
        return _running()

    load = Clients(url, 8)
    wait_until(lambda: replicas() == 2)
    wait_until(
        lambda: (
            all(
                count > 0
                for count in (
                    sample.value
                    for sample in _scrape(url).families["tailrace_worker_requests"].samples
                )
            )
            and len(_scrape(url).families["tailrace_worker_ready"].samples) == 2
        )
    )
    load.end()
    assert set(load.codes) == {200}
    wait_until(lambda: replicas() == 1)
    # Nothing of what the one that went had counted is lost, and nothing ever went backwards.
    wait_until(lambda: _scrape(url).outcomes("shapes").get("ok", 0) == load.codes[200])
    assert seen == sorted(seen)
    restarts = _scrape(url).families["tailrace_worker_restarts"].samples
    assert not any(sample.value for sample in restarts)


def test_builder_demands_a_token_unless_it_is_told_of_a_loopback_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    with pytest.raises(UsageError, match=TOKEN_VARIABLE):
        app({"models": ["null"]})
    assert app({"models": ["null"], "host": "127.0.0.1"})
    monkeypatch.setenv(TOKEN_VARIABLE, "secret")
    assert app({"models": ["null"]})
