"""Signals, worker processes, and how they end."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tailrace.models import store, zoo

Launch = Callable[..., Any]
TIMEOUT_S = 60.0


def _ended(pid: int) -> bool:
    """Waits for a process that is not ours to end."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        readable, _, _ = select.select([handle], [], [], TIMEOUT_S)
        return bool(readable)
    finally:
        os.close(handle)


def _sockets(pid: int) -> int:
    count = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += entry.readlink().name.startswith("socket:")
        except FileNotFoundError:
            continue
    return count


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
        assert server.stop() == 0


def test_killed_worker_is_replaced(launch: Launch, jpeg: bytes) -> None:
    server = launch("shapes", "--port", "0", "--workers", "2").start()
    victim, survivor = server.workers()
    os.kill(victim, signal.SIGKILL)
    server.expect(rf"worker \d \(pid {victim}\) died of SIGKILL")
    # Its sibling answers meanwhile.
    answer = httpx.post(f"{server.url}/predict/shapes", content=jpeg, timeout=TIMEOUT_S)
    assert answer.status_code == 200
    heir = int(server.expect(r"worker \d \(pid (\d+)\) ready")[1])
    assert set(server.workers()) == {survivor, heir}
    for _ in range(4):
        answer = httpx.post(f"{server.url}/predict/shapes", content=jpeg, timeout=TIMEOUT_S)
        assert answer.status_code == 200
    assert server.stop() == 0
    assert _ended(heir)
    assert _ended(survivor)


def test_worker_that_cannot_start_is_tried_again(launch: Launch, tmp_path: Path) -> None:
    embedded = store.model_file(zoo.find("shapes"))
    file = tmp_path / "model.onnx"
    shutil.copy(embedded, file)
    arguments = ("shapes", "--model-path", str(file), "--port", "0", "--workers", "2")
    server = launch(*arguments).start()
    file.unlink()
    os.kill(server.workers()[0], signal.SIGKILL)
    server.expect(r"could not start \(there is no model file .*\): starting another in 1 s")
    assert httpx.get(f"{server.url}/helloworld", timeout=TIMEOUT_S).status_code == 200
    shutil.copy(embedded, file)
    server.expect(r"worker \d \(pid \d+\) ready")
    assert server.stop() == 0


def test_connections_are_shared_out_evenly(launch: Launch) -> None:
    server = launch("shapes", "--port", "0", "--workers", "2").start()
    before = {pid: _sockets(pid) for pid in server.workers()}
    connections = []
    for _ in range(8):
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S)
        connection.sendall(b"GET /helloworld HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in _read_head(connection)
        connections.append(connection)
    assert [_sockets(pid) - count for pid, count in before.items()] == [4, 4]
    for connection in connections:
        connection.close()


def test_no_worker_outlives_its_parent(launch: Launch) -> None:
    server = launch("shapes", "--port", "0", "--workers", "2").start()
    workers = server.workers()
    assert len(workers) == 2
    server.process.kill()
    assert all(_ended(pid) for pid in workers)
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S)
