"""Signals, worker processes, and how they end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tailrace.machine.cgroup import cores
from tailrace.models import store, zoo
from tests.kit.waiting import TIMEOUT_S, await_exit, until, wait_until

pytestmark = pytest.mark.slow("starts a service of its own each time")

Launch = Callable[..., Any]


def _read_head(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        assert piece, data
        data += piece
    return data


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_with_0_once_begun_requests_are_answered(
    launch: Launch, jpeg: bytes, workers: str, number: signal.Signals
) -> None:
    server = launch("shapes", "--port", "0", "--workers", workers).start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S) as connection:
        connection.sendall(
            b"POST /predict/shapes HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            b"Content-Length: %d\r\n\r\n" % len(jpeg)
        )
        # The service has begun to read: this request is in flight.
        assert _read_head(connection).startswith(b"HTTP/1.1 100 ")
        server.process.send_signal(number)
        while True:
            try:
                socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S).close()
            except ConnectionError:
                break
        assert server.process.poll() is None
        connection.sendall(jpeg)
        assert _read_head(connection).startswith(b"HTTP/1.1 200 ")
        while connection.recv(65536):
            pass
    assert server.process.wait(TIMEOUT_S) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_grace_is_a_bound(launch: Launch, workers: str) -> None:
    server = launch("shapes", "--port", "0", "--workers", workers, "--grace", "1s").start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S) as connection:
        connection.sendall(
            b"POST /predict/shapes HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            b"Content-Length: 1000\r\n\r\n"
        )
        assert _read_head(connection).startswith(b"HTTP/1.1 100 ")
        # The body never comes; without a bound this would not return.
        server.process.send_signal(signal.SIGTERM)
        assert _read_head(connection).startswith(b"HTTP/1.1 503 ")
    assert server.process.wait(TIMEOUT_S) == 0


async def test_stopping_answers_what_has_begun_and_what_waits(
    launch: Launch, draw: Callable[..., bytes]
) -> None:
    picture = draw(1_000_002, size_px=(4000, 3000))
    server = launch("shapes", "--port", "0", "--concurrency", "1", "--grace", "100s").start()
    requests = 16

    def all_there(scrape: Any) -> bool:
        # Its own requests are counted nowhere.
        levels = ("tailrace_requests_in_flight", "tailrace_queue_depth")
        here = sum(int(scrape(level, worker="1")) for level in levels)
        return here + scrape.outcomes("shapes").get("ok", 0) >= requests and here > 1

    async with httpx.AsyncClient(base_url=server.url, timeout=TIMEOUT_S) as client:
        posts = asyncio.gather(
            *(client.post("/predict/shapes", content=picture) for _ in range(requests))
        )
        await asyncio.to_thread(server.scrape_until, all_there)
        server.process.send_signal(signal.SIGTERM)
        answers = await posts
    assert [answer.status_code for answer in answers] == [200] * requests
    assert server.process.wait(TIMEOUT_S) == 0


async def test_what_is_unanswered_when_the_grace_is_over_is_told_so(launch: Launch) -> None:
    fault = ("--fault", "stage=infer,delay=600s,share=1")
    server = launch("null", "--port", "0", "--concurrency", "1", "--grace", "200ms", *fault).start()
    async with httpx.AsyncClient(base_url=server.url, timeout=TIMEOUT_S) as client:
        gets = asyncio.gather(*(client.get("/gpu") for _ in range(2)))
        # One is at work, one waits.
        await asyncio.to_thread(
            server.scrape_until, lambda scrape: scrape("tailrace_queue_depth", worker="1") == 1
        )
        server.process.send_signal(signal.SIGTERM)
        answers = await gets
    assert [answer.status_code for answer in answers] == [503, 503]
    assert {answer.json()["error"] for answer in answers} == {"the service is stopping"}
    assert server.process.wait(TIMEOUT_S) == 0
    assert not [line for line in server.rest() if "Traceback" in line]


async def _ask_on(port: int, endings: Counter[str], keep: bool) -> None:
    # On one connection after another, until there is none to be had.
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            return
        with contextlib.closing(writer):
            last = False
            while not last:
                writer.write(b"GET /helloworld HTTP/1.1\r\nHost: x\r\n\r\n")
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                    await reader.readexactly(len("hello world"))
                except (ConnectionError, asyncio.IncompleteReadError) as error:
                    endings[repr(error)] += 1
                    break
                endings[head[:12].decode()] += 1
                last = not keep or b"connection: close" in head
                await asyncio.sleep(0)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_no_request_is_lost_when_it_stops_under_load(launch: Launch, workers: str) -> None:
    for _ in range(2):
        server = launch("null", "--port", "0", "--workers", workers).start()
        endings: Counter[str] = Counter()
        clients = [
            asyncio.create_task(_ask_on(server.port, endings, keep=number % 4 > 0))
            for number in range(100)
        ]
        async with asyncio.timeout(TIMEOUT_S):
            await until(lambda endings=endings: endings.total() >= 1000)
            server.process.send_signal(signal.SIGTERM)
            await asyncio.gather(*clients)
        assert set(endings) == {"HTTP/1.1 200"}
        assert server.process.wait(TIMEOUT_S) == 0


async def test_no_request_is_lost_when_one_worker_is_told_to_end(launch: Launch) -> None:
    server = launch("null", "--port", "0", "--workers", "2").start()
    endings: Counter[str] = Counter()
    clients = [
        asyncio.create_task(_ask_on(server.port, endings, keep=number % 4 > 0))
        for number in range(50)
    ]
    async with asyncio.timeout(TIMEOUT_S):
        await until(lambda: endings.total() >= 1000)
        os.kill(server.workers()[1], signal.SIGTERM)
        await asyncio.to_thread(server.expect, r"worker 2 \(pid \d+\) ended with code 0")
        server.process.send_signal(signal.SIGTERM)
        await asyncio.gather(*clients)
    assert set(endings) == {"HTTP/1.1 200"}


def test_unready_before_it_ends(launch: Launch) -> None:
    server = launch("shapes", "--port", "0", "--workers", "2").start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S) as busy:
        busy.sendall(
            b"POST /predict/shapes HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            b"Content-Length: 1000\r\n\r\n"
        )
        assert _read_head(busy).startswith(b"HTTP/1.1 100 ")
        server.process.send_signal(signal.SIGTERM)
        while True:
            try:
                if httpx.get(f"{server.url}/v2/health/ready", timeout=TIMEOUT_S).is_error:
                    break
            except httpx.TransportError:
                break
        assert server.process.poll() is None
        busy.sendall(bytes(1000))
        assert _read_head(busy).startswith(b"HTTP/1.1 415 ")
    assert server.process.wait(TIMEOUT_S) == 0


def test_signal_while_it_starts_ends_it_at_once(launch: Launch) -> None:
    server = launch("shapes", "--port", "0", "--workers", "2")
    wait_until(lambda: server.workers() or server.process.poll() is not None)
    assert server.stop() == 0
    assert not [line for line in server.rest() if "killed" in line]


@pytest.mark.smoke
def test_killed_worker_is_replaced(launch: Launch, jpeg: bytes) -> None:
    server = launch("shapes", "--port", "0", "--workers", "2").start()
    for _ in range(4):
        assert _predict(server, jpeg) == 200
    # An answer is on its way before it is counted.
    server.scrape_until(lambda scrape: scrape.outcomes("shapes") == {"ok": 4})
    victim, survivor = server.workers()
    os.kill(victim, signal.SIGKILL)
    server.expect(rf"worker 1 \(pid {victim}\) died of SIGKILL")
    # Its sibling answers meanwhile.
    assert _predict(server, jpeg) == 200
    heir = int(server.expect(r"worker 1 \(pid (\d+)\) ready")[1])
    assert set(server.workers()) == {survivor, heir}
    for _ in range(4):
        assert _predict(server, jpeg) == 200
    # What the dead one had counted stays.
    scrape = server.scrape_until(lambda scrape: scrape.outcomes("shapes") == {"ok": 9})
    assert [scrape("tailrace_worker_restarts_total", worker=worker) for worker in "12"] == [1, 0]
    assert scrape("tailrace_worker_requests_total", worker="1") >= 3
    assert server.stop() == 0
    await_exit(heir)
    await_exit(survivor)


def _predict(server: Any, picture: bytes) -> int:
    answer = httpx.post(f"{server.url}/predict/shapes", content=picture, timeout=TIMEOUT_S)
    return answer.status_code


def _ready(server: Any) -> int:
    return httpx.get(f"{server.url}/v2/health/ready", timeout=TIMEOUT_S).status_code


def test_not_ready_while_any_worker_is_down(launch: Launch, tmp_path: Path, jpeg: bytes) -> None:
    embedded = store.model_file(zoo.find("shapes"))
    assert embedded is not None
    file = tmp_path / "model.onnx"
    shutil.copy(embedded, file)
    arguments = ("shapes", "--model-path", str(file), "--port", "0", "--workers", "2")
    server = launch(*arguments).start()
    assert _ready(server) == 200
    # What takes its place cannot start for the moment.
    file.unlink()
    os.kill(server.workers()[0], signal.SIGKILL)
    server.expect(r"worker 1 \(pid \d+\) died of SIGKILL: starting another")
    assert {_ready(server) for _ in range(4)} == {503}
    assert {_predict(server, jpeg) for _ in range(4)} == {200}
    assert server.scrape()("tailrace_worker_ready", worker="1") == 0
    # Nor is it tried again and again without a pause.
    delays_s = [
        float(server.expect(r"could not start \(there is no model file .*\): .* in (\S+) s$")[1])
        for _ in range(2)
    ]
    assert delays_s == [1, 2]
    assert {_ready(server) for _ in range(4)} == {503}
    shutil.copy(embedded, file)
    server.expect(r"worker 1 \(pid \d+\) ready")
    assert {_ready(server) for _ in range(4)} == {200}
    assert server.scrape()("tailrace_worker_restarts_total", worker="1") == 3
    assert server.stop() == 0


def test_connections_wait_for_the_only_worker_to_be_replaced(launch: Launch, jpeg: bytes) -> None:
    server = launch("shapes", "--port", "0").start()
    assert _predict(server, jpeg) == 200
    (victim,) = server.workers()
    os.kill(victim, signal.SIGKILL)
    await_exit(victim)
    # Nobody is there to answer, but nobody is refused.
    assert httpx.get(f"{server.url}/v2/health/live", timeout=TIMEOUT_S).status_code == 200
    while _ready(server) == 503:
        assert _predict(server, jpeg) in (200, 503)
    assert _predict(server, jpeg) == 200
    assert server.scrape()("tailrace_worker_restarts_total", worker="1") == 1
    assert server.stop() == 0


def test_worker_that_stands_still_is_set_aside_and_replaced(launch: Launch, jpeg: bytes) -> None:
    server = launch("shapes", "--port", "0", "--workers", "2").start()
    victim, survivor = server.workers()
    os.kill(victim, signal.SIGSTOP)
    try:
        server.expect(rf"worker 1 \(pid {victim}\) stands still: it gets no new connections")
        # Its sibling has them all.
        assert {_predict(server, jpeg) for _ in range(4)} == {200}
        assert {_ready(server) for _ in range(4)} == {503}
        assert server.scrape()("tailrace_worker_ready", worker="1") == 0
        os.kill(victim, signal.SIGCONT)
        server.expect(rf"worker 1 \(pid {victim}\) moves again")
        assert _ready(server) == 200
        os.kill(victim, signal.SIGSTOP)
        server.expect(rf"worker 1 \(pid {victim}\) hung: it has stood still for 10 s: starting")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGCONT)
    server.expect(r"worker 1 \(pid \d+\) ready")
    assert _ready(server) == 200
    scrape = server.scrape()
    assert [scrape("tailrace_worker_hangs_total", worker=worker) for worker in "12"] == [1, 0]
    assert [scrape("tailrace_worker_restarts_total", worker=worker) for worker in "12"] == [1, 0]
    assert survivor in server.workers()
    assert server.stop() == 0


def test_worker_whose_inference_does_not_end_is_replaced(launch: Launch, jpeg: bytes) -> None:
    arguments = ("null", "--port", "0", "--stuck-after", "2s")
    server = launch(*arguments, "--fault", "stage=infer,delay=600s,share=0.5").start()
    assert httpx.get(f"{server.url}/gpu", timeout=TIMEOUT_S).status_code == 200
    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S) as connection:
        connection.sendall(b"GET /gpu HTTP/1.1\r\nHost: x\r\n\r\n")
        server.expect(r"worker 1 \(pid \d+\) hung: an inference has taken 2 s: starting another")
        server.expect(r"worker 1 \(pid \d+\) ready")
    assert _ready(server) == 200
    assert server.scrape()("tailrace_worker_hangs_total", worker="1") == 1
    assert server.stop() == 0


def test_worker_that_is_told_to_end_finishes_and_is_replaced(launch: Launch, jpeg: bytes) -> None:
    server = launch("shapes", "--port", "0", "--workers", "2").start()
    os.kill(server.workers()[1], signal.SIGTERM)
    server.expect(r"worker 2 \(pid \d+\) ended with code 0: starting another")
    server.expect(r"worker 2 \(pid \d+\) ready")
    assert _ready(server) == 200
    assert server.stop() == 0


def test_connections_are_dealt_in_turn(launch: Launch) -> None:
    server = launch("null", "--port", "0", "--workers", "2").start()
    with contextlib.ExitStack() as stack:
        for _ in range(64):
            connection = stack.enter_context(
                socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S)
            )
            connection.sendall(b"GET /gpu HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 200 " in _read_head(connection)
        scrape = server.scrape_until(lambda scrape: scrape.outcomes("null") == {"ok": 64})
        each = [scrape("tailrace_worker_requests_total", worker=worker) for worker in "12"]
        assert each == [32, 32]


def test_what_was_chosen_is_said(launch: Launch) -> None:
    arguments = ("null", "--port", "0", "--workers", "2", "--concurrency", "3", "--intra-op", "2")
    server = launch(*arguments, "--queue", "7", "--max-batch", "4", "--batch-window", "3ms")
    server.start()
    (line,) = (line for line in server.heard if "threads" in line)
    assert "2 x 3 x 2 = 12 threads (workers x concurrency x intra-op)" in line
    assert re.search(rf"on {cores()} (of \d+ )?cores", line)
    assert "queue of 7 a worker" in line
    chosen = httpx.get(f"{server.url}/v2", timeout=TIMEOUT_S).json()["service"]
    assert [chosen[key] for key in ("workers", "concurrency", "intra_op_threads")] == [2, 3, 2]
    assert (chosen["max_batch"], chosen["batch_window_ms"], chosen["spin"]) == (4, 3.0, False)


def test_twin_says_so_wherever_results_are_shown(
    launch: Launch, jpeg: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILRACE_CACHE", str(tmp_path))
    server = launch("ssd-mobilenet", "shapes", "--twin", "--port", "0").start()
    notice = "twin: answers are meaningless"
    assert [line for line in server.heard if notice in line] == [
        f"tailrace: ssd-mobilenet: {notice}"
    ]
    with httpx.Client(base_url=server.url, timeout=TIMEOUT_S) as client:
        twin = client.post("/predict/ssd-mobilenet", content=jpeg).json()
        real = client.post("/predict/shapes", content=jpeg).json()
        assert twin["notice"] == notice
        assert "notice" not in real
        assert client.get("/v2").json()["service"]["notice"] == f"ssd-mobilenet: {notice}"
        # It has no pictures of its own kind, but what it answers has no meaning anyway.
        assert client.get("/gpu").text == "ok"


@pytest.mark.parametrize("count", [1, 2])
def test_no_worker_outlives_its_parent(launch: Launch, count: int) -> None:
    server = launch("shapes", "--port", "0", "--workers", str(count)).start()
    workers = server.workers()
    assert len(workers) == count
    server.process.kill()
    for pid in workers:
        await_exit(pid)
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S)
