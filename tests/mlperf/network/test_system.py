"""The system over the network: every query comes to one end, and it is the right one."""

from __future__ import annotations

import asyncio
import json
import math
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trustme

from tailrace.errors import TailraceError, UsageError
from tailrace.load.traffic import Tls
from tailrace.mlperf.network.system import NetworkSystem, connect, is_this_machine
from tailrace.mlperf.records import record
from tailrace.mlperf.samples import SampleLibrary
from tailrace.mlperf.system import Payload, Query, Sample
from tailrace.models import model as models
from tailrace.models import store, zoo
from tailrace.models.model import Model, RuntimeOptions
from tailrace.models.outputs import Detections
from tailrace.service.tensors import datatype_of, encode_json
from tests.mlperf.peers import TAILRACE, TIMEOUT_S, Asked, Collector, Peer, http, nothing_found
from tests.service.conftest import ServerProcess

Open = Callable[..., NetworkSystem]
Start = Callable[..., Peer]
PREDICT = "/predict/null"
INFER = "/v2/models/null/infer"


@pytest.fixture
def system() -> Iterator[Open]:
    """Connects: `system(url, …, model="null", routing="least-outstanding")`."""
    opened: list[NetworkSystem] = []

    def start(*urls: str, model: str = "null", **settings: Any) -> NetworkSystem:
        defaults: dict[str, Any] = {
            "payload": "picture",
            "routing": "round-robin",
            "connections": 8,
            "timeout_s": TIMEOUT_S,
            "headers": {},
        }
        opened.append(connect(zoo.find(model), urls, **(defaults | settings)))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


@pytest.fixture(scope="module")
def shapes() -> Model:
    spec = zoo.find("shapes")
    return models.load(spec, store.model_file(spec), RuntimeOptions())


def queries(count: int) -> list[Query]:
    """Each with a picture of its own, which says its number."""
    return [Query(1000 + i, Sample(i, 1000, 1000, b"%d" % i)) for i in range(count)]


def ask(system: NetworkSystem, wanted: list[Query]) -> Collector:
    collector = Collector(len(wanted))
    system.issue(wanted, collector)
    return collector.wait()


def library(model: Model, scenes: list[bytes], payload: Payload) -> SampleLibrary:
    samples = SampleLibrary(len(scenes), scenes.__getitem__, model.format, payload)
    samples.load(range(len(scenes)))
    return samples


def check_against(model: Model, scenes: list[bytes], wanted: list[Query], found: Any) -> None:
    """Each query's record is what the model finds in its scene."""
    computed = []
    for index, data in enumerate(scenes):
        image = model.decode(data)
        height_px, width_px = image.shape[:2]
        sees = model.postprocess(model.infer(model.preprocess(image)), width_px, height_px)
        assert isinstance(sees, Detections)
        computed.append(record(Sample(index, width_px, height_px, data), sees))
    assert len({each.tobytes() for each in computed}) == len(scenes), "they can be told apart"
    for query in wanted:
        np.testing.assert_allclose(found[query.id], computed[query.sample.index], atol=1e-4)


async def say_number(asked: Asked) -> bytes:
    """Detects the number in the picture, after a time of its own."""
    number = int(asked.body)
    await asyncio.sleep(number * 7 % 5 / 1000)
    row = {"class_id": number, "score": 0.5, "box": [number, 0, 0, 0]}
    return http({"model": "null", "detections": [row]})


@pytest.mark.parametrize("payload", ["picture", "tensor"])
def test_answers_are_the_models_own(
    service: ServerProcess, system: Open, shapes: Model, scenes: list[bytes], payload: Payload
) -> None:
    network = system(service.url, model="shapes", payload=payload)
    assert network.form is shapes.format
    samples = library(shapes, scenes, payload)
    wanted = [Query(50 + i, samples[i * 5 % len(scenes)]) for i in range(72)]
    collector = ask(network, wanted)
    assert collector.reasons == {}
    check_against(shapes, scenes, wanted, collector.records)


@pytest.mark.parametrize("routing", ["round-robin", "least-outstanding"])
@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_each_answer_goes_to_its_own_query(
    peer: Start, system: Open, routing: str, nodes: int
) -> None:
    peers = [peer(say_number) for _ in range(nodes)]
    network = system(*[each.url for each in peers], routing=routing, connections=5)
    wanted = queries(600)
    collector = ask(network, wanted)
    assert collector.reasons == {}
    for query in wanted:
        number = query.sample.index
        found = collector.records[query.id]
        np.testing.assert_allclose(found, [[number, 0, number / 1000, 0, 0, 0.5, number]])
    # What asks before a test has connections of its own, closed at once.
    assert all(each.connections - 3 <= 5 for each in peers)
    assert sum(each.count(PREDICT) for each in peers) == 600


def test_many_threads_issue(peer: Start, system: Open) -> None:
    network = system(peer(say_number).url, connections=16)
    wanted = queries(400)
    collector = Collector(len(wanted))

    def issue(part: list[Query]) -> None:
        for query in part:
            network.issue([query], collector)

    threads = [threading.Thread(target=issue, args=[wanted[i::4]]) for i in range(4)]
    for thread in threads:
        thread.start()
    collector.wait()
    for thread in threads:
        thread.join()
    assert all(collector.records[q.id][0, 6] == q.sample.index for q in wanted)


def test_a_real_service_of_the_null_model(service: ServerProcess, system: Open) -> None:
    for payload, content in (("picture", b"x"), ("tensor", np.zeros((1, 9), np.uint8))):
        network = system(service.url, payload=payload)
        wanted = [Query(i, Sample(i, 1, 1, content)) for i in range(200)]
        collector = ask(network, wanted)
        assert collector.reasons == {}
        assert all(found.shape == (0, 7) for found in collector.records.values())


@pytest.mark.parametrize("routing", ["round-robin", "least-outstanding"])
def test_issue_returns_though_nobody_answers(peer: Start, system: Open, routing: str) -> None:
    async def never(asked: Asked) -> bytes:
        await asyncio.sleep(TIMEOUT_S)
        return b""

    peers = [peer(never), peer(never)]
    network = system(*[each.url for each in peers], connections=2, routing=routing)
    wanted = queries(5000)
    collector = Collector(len(wanted))
    network.issue(wanted, collector)
    network.issue([], collector)
    assert collector.ids == []
    network.close()
    reasons = collector.wait().reasons
    assert len(reasons) == 5000
    assert all(reason.startswith("aborted: ") for reason in reasons.values())
    assert sum(each.count(PREDICT) for each in peers) <= 4


def test_after_the_end(peer: Start, system: Open) -> None:
    before = threading.active_count()
    server = peer()
    network = system(server.url)
    network.close()
    network.close()
    reasons = ask(network, queries(3)).reasons
    assert set(reasons.values()) == {"aborted: the test ended before it was sent"}
    with pytest.raises(TailraceError, match="closed"):
        network.name()
    server.kill()
    assert threading.active_count() == before, "no thread is left"


# Failures


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            http({"error": "the queue is full"}, 503, Retry_After="1"),
            "http_5xx: {node} answered 503: the queue is full",
        ),
        (http(b"no", 404), "http_4xx: {node} answered 404"),
        (http(b"moved", 302), "http_3xx: {node} answered 302"),
        (b"", "reset: {node} closed the connection before its answer was whole"),
        (b"no http\r\n\r\n", "protocol: {node} does not answer in HTTP"),
        (http(b"ok"), "protocol: {node}: the answer is no prediction: JSON is malformed"),
        (http({"model": "null"}), "protocol: {node}: the answer has no detections"),
        (http({"model": "x" * 999}), "protocol: {node}: the answer is of 'xxxxx"),
    ],
)
def test_failures_have_reasons(peer: Start, system: Open, answer: bytes, reason: str) -> None:
    async def fail_every_third(asked: Asked) -> bytes:
        return answer if int(asked.body) % 3 == 0 else await nothing_found(asked)

    server = peer(fail_every_third)
    collector = ask(system(server.url), queries(60))
    assert sorted(collector.reasons) == list(range(1000, 1060, 3))
    (said,) = set(collector.reasons.values())
    assert said.startswith(reason.format(node=f"127.0.0.1:{server.port}"))
    assert len(said) < 250
    assert len(collector.records) == 40
    assert server.count(PREDICT) == 60, "nothing is sent twice"


def test_a_query_that_takes_too_long(peer: Start, system: Open) -> None:
    async def hang_on_seven(asked: Asked) -> bytes:
        if asked.body == b"7":
            await asyncio.sleep(TIMEOUT_S)
        return await nothing_found(asked)

    server = peer(hang_on_seven)
    collector = ask(system(server.url, timeout_s=0.5, connections=2), queries(20))
    assert collector.reasons == {
        1007: f"timeout: 127.0.0.1:{server.port} gave no answer within 0.5 s"
    }


# Several nodes


def test_round_robin(peer: Start, system: Open) -> None:
    peers = [peer(), peer(), peer()]
    ask(system(*[each.url for each in peers]), queries(90))
    for place, each in enumerate(peers):
        bodies = [int(asked.body) for asked in each.asked if asked.path == PREDICT]
        assert sorted(bodies) == list(range(place, 90, 3))


def test_the_fewest_unanswered(peer: Start, system: Open) -> None:
    """One node holds its answers back until the other has given all the rest."""
    release = asyncio.Event()

    async def hold(asked: Asked) -> bytes:
        await release.wait()
        return await nothing_found(asked)

    slow, fast = peer(hold), peer()
    network = system(slow.url, fast.url, routing="least-outstanding", connections=4)
    collector = Collector(100)
    network.issue(queries(100), collector)
    collector.wait(96)
    assert slow.count(PREDICT) == 4, "as many as it has connections, and none waits for it"
    assert fast.count(PREDICT) == 96
    slow.loop.call_soon_threadsafe(release.set)
    assert collector.wait().reasons == {}


def test_equals_take_turns(peer: Start, system: Open) -> None:
    peers = [peer(), peer()]
    network = system(*[each.url for each in peers], routing="least-outstanding")
    for query in queries(40):
        ask(network, [query])
    assert [each.count(PREDICT) for each in peers] == [20, 20]


@pytest.mark.parametrize("routing", ["round-robin", "least-outstanding"])
def test_a_node_that_dies_fails_its_own_queries(peer: Start, system: Open, routing: str) -> None:
    async def slowly(asked: Asked) -> bytes:
        await asyncio.sleep(0.002)
        return await nothing_found(asked)

    peers = [peer(slowly), peer(slowly)]
    network = system(*[each.url for each in peers], routing=routing, connections=4)
    wanted = queries(800)
    collector = Collector(len(wanted))
    network.issue(wanted, collector)
    collector.wait(100)
    began_s = time.monotonic()
    peers[1].kill()
    collector.wait()
    elapsed_s = time.monotonic() - began_s
    node = f"127.0.0.1:{peers[1].port}"
    assert collector.reasons
    assert all(node in reason for reason in collector.reasons.values())
    assert {reason.partition(":")[0] for reason in collector.reasons.values()} <= {
        "connect",
        "reset",
    }
    assert len(collector.records) + len(collector.reasons) == 800
    served_by_the_dead = peers[1].count(PREDICT)
    if routing == "round-robin":
        # It gets its half, dead or alive.
        assert 400 - served_by_the_dead <= len(collector.reasons) <= 400
    else:
        # What was on its way when it died, and one a second to try it out.
        assert len(collector.reasons) <= 4 + math.ceil(elapsed_s + 1)


@pytest.mark.parametrize("status", [500, 503, 404])
def test_a_node_that_refuses_at_once_does_not_draw_all(
    peer: Start, system: Open, status: int
) -> None:
    async def slowly(asked: Asked) -> bytes:
        await asyncio.sleep(0.002)
        return await nothing_found(asked)

    async def refuse(asked: Asked) -> bytes:
        return http({"error": "broken"}, status)

    good, bad = peer(slowly), peer(refuse)
    network = system(good.url, bad.url, routing="least-outstanding", connections=4)
    began_s = time.monotonic()
    collector = ask(network, queries(400))
    # Four at first, before the first refusal is there.
    assert len(collector.reasons) <= 4 + math.ceil(time.monotonic() - began_s + 1)
    assert len(collector.reasons) == bad.count(PREDICT) > 0
    assert len(collector.records) == good.count(PREDICT)


def test_a_node_that_refuses_after_a_while_is_tried_by_one(peer: Start, system: Open) -> None:
    async def slowly(asked: Asked) -> bytes:
        await asyncio.sleep(0.02)
        return await nothing_found(asked)

    async def refuse(asked: Asked) -> bytes:
        await asyncio.sleep(0.3)
        return http({}, 500)

    good, bad = peer(slowly), peer(refuse)
    network = system(good.url, bad.url, routing="least-outstanding", connections=8)
    began_s = time.monotonic()
    ask(network, queries(900))
    elapsed_s = time.monotonic() - began_s
    assert elapsed_s > 2, "there was time to try it out"
    assert 9 <= bad.count(PREDICT) <= 8 + elapsed_s


def test_a_node_that_recovers_is_used_again(peer: Start, system: Open) -> None:
    broken = True

    async def refuse_at_first(asked: Asked) -> bytes:
        return http({}, 500) if broken else await nothing_found(asked)

    good, bad = peer(), peer(refuse_at_first)
    network = system(good.url, bad.url, routing="least-outstanding")
    assert ask(network, queries(20)).reasons
    broken = False
    before, ends_s = bad.count(PREDICT), time.monotonic() + TIMEOUT_S
    while bad.count(PREDICT) < before + 20:
        assert time.monotonic() < ends_s
        assert ask(network, queries(4)).reasons == {}


@pytest.mark.parametrize("routing", ["round-robin", "least-outstanding"])
def test_all_nodes_dead(peer: Start, system: Open, routing: str) -> None:
    peers = [peer(), peer()]
    network = system(*[each.url for each in peers], routing=routing, connections=2)
    for each in peers:
        each.kill()
    collector = ask(network, queries(300))
    assert set(collector.reasons.values()) == {
        f"connect: cannot reach 127.0.0.1:{each.port}: Connection refused" for each in peers
    }
    assert len(collector.reasons) == 300


# Names


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
        TailraceError, match=rf"cannot reach 127\.0\.0\.1:{port}: Connection refused: is it running"
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


@pytest.mark.parametrize(
    "settings", [{"connections": 0}, {"timeout_s": 0}, {"headers": {"X": "a\nb"}}]
)
def test_settings_that_cannot_be(system: Open, settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        system("http://127.0.0.1:5000", **settings)


def test_this_very_machine(peer: Start, system: Open) -> None:
    assert system(peer().url).same_host
    assert is_this_machine("localhost")
    assert is_this_machine("127.8.9.1")
    assert is_this_machine("::1") or not socket.has_ipv6
    # RFC 5737 and RFC 3849: addresses for documentation, no machine's.
    assert not is_this_machine("192.0.2.1")
    assert not is_this_machine("2001:db8::1")


def test_https(peer: Start, system: Open, tmp_path: Path) -> None:
    """A certificate is checked, unless it is said not to be."""
    authority = trustme.CA()
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = peer(tls=context)
    for tls in (Tls(ca_file=trusted), Tls(verify=False)):
        assert len(ask(system(server.url, tls=tls), queries(20)).records) == 20
    with pytest.raises(TailraceError, match="cannot reach"):
        system(server.url)
    with pytest.raises(TailraceError, match="cannot use the CA file"):
        system(server.url, tls=Tls(ca_file=tmp_path / "missing"))
