"""Several nodes: which one a query goes to, and what one that fails does to the others."""

from __future__ import annotations

import asyncio
import math
import time

import pytest

from tests.kit.peer import Asked
from tests.kit.server import http
from tests.kit.waiting import TIMEOUT_S
from tests.mlperf.network.asking import PREDICT, Open, Start, ask, queries
from tests.mlperf.peers import Collector, nothing_found


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
        f"connect: cannot reach 127.0.0.1:{each.port}: refused" for each in peers
    }
    assert len(collector.reasons) == 300
