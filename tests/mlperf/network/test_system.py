"""The system over the network: every query comes to one end, and it is the right one."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trustme

from tailrace.errors import TailraceError, UsageError
from tailrace.load.client.target import Tls
from tailrace.mlperf.network.system import is_this_machine
from tailrace.mlperf.system import Payload, Query, Sample
from tailrace.models.model import Model
from tests.kit.peer import Asked
from tests.kit.programs import ServerProcess
from tests.kit.server import http
from tests.kit.waiting import TIMEOUT_S
from tests.mlperf.network.asking import (
    PREDICT,
    Open,
    Start,
    ask,
    check_against,
    library,
    queries,
    say_number,
)
from tests.mlperf.peers import Collector, nothing_found


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
    with pytest.raises(UsageError, match="cannot use the CA file"):
        system(server.url, tls=Tls(ca_file=tmp_path / "missing"))
