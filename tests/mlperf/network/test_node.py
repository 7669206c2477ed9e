"""What a node is asked before a test and during it: whether it can be tested, and its name."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tailrace.errors import TailraceError, UsageError
from tailrace.mlperf.system import Query, Sample
from tailrace.models.model import Model
from tailrace.service.tensors import datatype_of, encode_json
from tests.kit.peer import Asked
from tests.kit.programs import ServerProcess
from tests.kit.server import http
from tests.kit.waiting import TIMEOUT_S
from tests.mlperf.network.asking import PREDICT, Open, Start, ask, check_against, library, queries
from tests.mlperf.peers import TAILRACE, Collector, nothing_found


def test_each_node_is_asked_for_its_name_each_time(peer: Start, system: Open) -> None:
    first = peer()
    second = peer(routes={**TAILRACE, "/getname/": http({"name": "Other Network SUT"})})
    network = system(first.url, second.url)
    before = [each.count("/getname/") for each in (first, second)]
    connections = first.connections
    for _ in range(3):
        assert network.name() == "Some Network SUT + Other Network SUT"
    after = [each.count("/getname/") for each in (first, second)]
    assert [b - a for a, b in zip(before, after, strict=True)] == [3, 3]
    assert first.connections - connections == 3, "none is kept that the server may close"
    second.routes["/getname/"] = http({"name": "New Network SUT"})
    assert network.name() == "Some Network SUT + New Network SUT"
    second.kill()
    with pytest.raises(TailraceError, match=r"cannot reach 127\.0\.0\.1:.*is it running"):
        network.name()


def test_name_is_told_while_every_connection_is_busy(peer: Start, system: Open) -> None:
    async def never(asked: Asked) -> bytes:
        await asyncio.sleep(TIMEOUT_S)
        return b""

    network = system(peer(never).url, connections=1)
    network.issue(queries(3), Collector(3))
    assert network.name() == "Some Network SUT"


@pytest.mark.parametrize("answer", [http(b"ok"), http({}), http({"error": "x"}, 500)])
def test_a_node_that_does_not_tell(peer: Start, system: Open, answer: bytes) -> None:
    server = peer()
    network = system(server.url)
    server.routes["/getname/"] = answer
    with pytest.raises(TailraceError, match="GET /getname/"):
        network.name()


def test_name_of_a_real_service(service: ServerProcess, system: Open) -> None:
    name = system(service.url).name()
    assert name == f"Tailrace shapes, null Network SUT {socket.gethostname()}:{service.port}"


# Other servers of the Open Inference Protocol


def oip(model: Model, name: str, extensions: list[str]) -> tuple[Any, dict[str, bytes]]:
    """A server of its own kind, which computes `model` under another name, in JSON alone."""
    form = model.format
    metadata = {
        "name": name,
        "platform": "any",
        "inputs": [
            {"name": i.name, "datatype": i.datatype, "shape": [1, *i.shape[1:]]}
            for i in model.runtime.inputs
        ],
        "outputs": [
            {"name": o.name, "datatype": o.datatype, "shape": o.shape}
            for o in model.runtime.outputs
        ],
    }

    async def infer(asked: Asked) -> bytes:
        assert asked.path == f"/v2/models/{name}/infer"
        assert "Inference-Header-Content-Length" not in asked.headers
        request = json.loads(asked.body)
        (given,) = request["inputs"]
        tensor = np.array(given["data"], np.uint8).reshape(given["shape"])
        wanted = [output["name"] for output in request["outputs"]]
        found = await asyncio.to_thread(model.runtime.run, {form.input.name: tensor}, wanted)
        outputs = [
            {
                "name": output,
                "datatype": datatype_of(array),
                "shape": array.shape,
                "data": json.loads(encode_json(array)),
            }
            for output, array in zip(wanted, found, strict=True)
        ]
        return http({"model_name": name, "outputs": outputs[::-1]})

    return infer, {
        "/v2/health/ready": http(b""),
        "/v2": http({"name": "other server", "version": "2.1", "extensions": extensions}),
        f"/v2/models/{name}": http(metadata),
    }


def test_json_where_there_is_no_binary_extension(
    peer: Start, system: Open, shapes: Model, scenes: list[bytes]
) -> None:
    infer, routes = oip(shapes, "my_shapes", ["health", "metrics"])
    server = peer(infer, routes)
    network = system(server.url, model="shapes", payload="tensor", remote_name="my_shapes")
    assert network.form is shapes.format
    assert network.name() == f"other server 2.1 Network SUT 127.0.0.1:{server.port}"
    samples = library(shapes, scenes[:6], "tensor")
    wanted = [Query(i, samples[i % 6]) for i in range(12)]
    collector = ask(network, wanted)
    assert collector.reasons == {}
    check_against(shapes, scenes[:6], wanted, collector.records)


def test_pictures_are_for_tailrace(peer: Start, system: Open, shapes: Model) -> None:
    infer, routes = oip(shapes, "shapes", [])
    with pytest.raises(UsageError, match=r"is other server, not Tailrace.*--payload tensor"):
        system(peer(infer, routes).url, model="shapes")


def test_a_model_that_only_has_the_name(peer: Start, system: Open) -> None:
    tensor = {"datatype": "FP32", "shape": [-1, 3, 224, 224]}
    routes = {
        **TAILRACE,
        "/v2/models/resnet50": http(
            {
                "inputs": [{"name": "input_tensor:0", **tensor}],
                "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 1000]}],
            }
        ),
    }
    server = peer(routes=routes)
    with pytest.raises(UsageError, match=r"not resnet50: it lacks the output ArgMax:0 \(it has pr"):
        system(server.url, model="resnet50", payload="tensor")
    other = {"inputs": [{"name": "x", **tensor}], "outputs": []}
    server.routes["/v2/models/resnet50"] = http(other)
    with pytest.raises(UsageError, match="its input is x, not input_tensor:0"):
        system(server.url, model="resnet50", payload="tensor")


@pytest.mark.parametrize(("shape", "runtime"), [([3, 224, 224], "onnx"), ([224, 224, 3], "tens")])
def test_the_form_shows_in_the_shape(
    peer: Start, system: Open, shape: list[int], runtime: str
) -> None:
    def metadata(name: str, batch: int) -> bytes:
        given = {"name": "input_tensor:0", "datatype": "FP32", "shape": [batch, *shape]}
        output = {"name": "ArgMax:0", "datatype": "INT64", "shape": [-1]}
        return http({"name": name, "inputs": [given], "outputs": [output]})

    server = peer(routes={**TAILRACE, "/v2/models/resnet50": metadata("resnet50", -1)})
    form = system(server.url, model="resnet50", payload="tensor").form
    assert form.runtime.startswith(runtime)
    assert list(form.input.shape[1:]) == shape
    server.routes["/v2/models/resnet50"] = metadata("resnet50", 8)
    with pytest.raises(UsageError, match=r"FP32 \[8, .*not FP32 \[-1, 3, 224, 224\]"):
        system(server.url, model="resnet50", payload="tensor")


# What is found out before a test


def test_nobody_listens(system: Open) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(
        TailraceError, match=rf"cannot reach 127\.0\.0\.1:{port}: refused: is it running"
    ):
        system(f"http://127.0.0.1:{port}")


def test_a_port_that_speaks_something_else(serve: Any, system: Open) -> None:
    async def banner(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"-ERR unknown command\r\n")

    with pytest.raises(TailraceError, match="does not answer in HTTP: is it the right port"):
        system(serve(banner).url)


def test_a_web_server_that_is_no_inference_server(serve: Any, peer: Start, system: Open) -> None:
    with pytest.raises(TailraceError, match="no server of the Open Inference Protocol v2"):
        system(serve().url)

    async def not_found(asked: Asked) -> bytes:
        return http(b"<html>", 404)

    with pytest.raises(TailraceError, match=r"GET /v2/health/ready answered 404\): write http://"):
        system(peer(not_found, {}).url)


def test_a_model_that_is_not_served(service: ServerProcess, system: Open) -> None:
    with pytest.raises(
        TailraceError, match="does not serve resnet50: it has shapes, null; --remote-name"
    ):
        system(service.url, model="resnet50")


def test_a_model_that_another_server_lacks(peer: Start, system: Open, shapes: Model) -> None:
    infer, routes = oip(shapes, "shapes", [])
    routes["/v2/models/null"] = http({"error": "Request for unknown model"}, 400)
    routes["/v2/repository/index"] = http([{"name": "shapes", "state": "READY"}])
    server = peer(infer, routes)
    with pytest.raises(TailraceError, match="does not serve null: it has shapes; "):
        system(server.url, payload="tensor")
    server.routes["/v2/repository/index"] = http(b"", 404)
    with pytest.raises(TailraceError, match="does not serve null: Request for unknown model; "):
        system(server.url, payload="tensor")


@pytest.mark.parametrize("loading", [http({"ready": False}, 503), http(b"", 400)])
def test_a_node_is_waited_for(peer: Start, system: Open, loading: bytes) -> None:
    async def ready_later(asked: Asked) -> bytes:
        if asked.path != "/v2/health/ready":
            return await nothing_found(asked)
        return loading if server.count(asked.path) < 3 else http({"ready": True})

    routes = {path: answer for path, answer in TAILRACE.items() if path != "/v2/health/ready"}
    server = peer(ready_later, routes)
    assert ask(system(server.url), queries(2)).reasons == {}
    server.routes["/v2/health/ready"] = loading
    with pytest.raises(TailraceError, match=r"has not become ready within 0\.3 s"):
        system(server.url, ready_within_s=0.3)


def test_a_real_service_is_waited_for(launch: Callable[..., ServerProcess], system: Open) -> None:
    server = launch("shapes", "null", "--port", "0")
    url = server.expect(r"^tailrace: serving .* on (http://\S+)$")[1]
    assert ask(system(url), queries(5)).reasons == {}


def test_a_token(launch: Callable[..., ServerProcess], system: Open) -> None:
    url = launch("null", "--port", "0", token="s3cret").start().url
    with pytest.raises(TailraceError, match=r"demands a token \(401\): --header 'Authorization: B"):
        system(url)
    with pytest.raises(TailraceError, match=r"does not accept the token it is sent \(401\)"):
        system(url, headers={"authorization": "Bearer wrong"})
    for payload, content in (("picture", b"x"), ("tensor", np.zeros((1, 1), np.uint8))):
        network = system(url, payload=payload, headers={"Authorization": "Bearer s3cret"})
        assert "Network SUT" in network.name()
        assert ask(network, [Query(1, Sample(0, 1, 1, content))]).reasons == {}


def test_one_bad_node_of_two_is_enough(peer: Start, system: Open) -> None:
    good, bad = peer(), peer()
    bad.kill()
    before = threading.active_count()
    with pytest.raises(TailraceError, match=f"cannot reach 127.0.0.1:{bad.port}"):
        system(good.url, bad.url)
    assert threading.active_count() == before, "no thread is left"


# URLs


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/predict/null",
        "/predict/",
        "/v2",
        "/v2/health/ready",
        "/v2/models/null",
        "/v2/models/null/infer",
        "/v2/models/null/versions/1/infer",
    ],
)
def test_addresses_of_routes_are_understood(peer: Start, system: Open, path: str) -> None:
    server = peer()
    network = system(server.url + path)
    assert ask(network, queries(2)).reasons == {}
    assert server.count(PREDICT) == 2


def test_a_path_in_front(peer: Start, system: Open) -> None:
    server = peer(routes={f"/some/where{path}": answer for path, answer in TAILRACE.items()})
    network = system(f"{server.url}/some/where/predict/null")
    assert network.name() == "Some Network SUT"
    assert ask(network, queries(2)).reasons == {}
    assert server.count(f"/some/where{PREDICT}") == 2


@pytest.mark.parametrize(
    ("urls", "message"),
    [
        ([], "name a node"),
        (["127.0.0.1:5000"], "is not a URL"),
        (["http://127.0.0.1:5000/?model=null"], "has a query"),
        (["http://127.0.0.1:5000/predict/shapes"], "is of shapes, but what is tested is null"),
        (["http://127.0.0.1:5000/v2/models/shapes/infer"], "is of shapes"),
        (["http://127.0.0.1:5000", "http://127.0.0.1:5000/predict/null"], "is named twice"),
    ],
)
def test_urls_that_cannot_be(system: Open, urls: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        system(*urls)
