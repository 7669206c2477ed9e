"""Addresses at which there is no cluster."""

from __future__ import annotations

import socket

import pytest
from ray.util import get_node_ip_address

from tailrace.errors import TailraceError, UsageError
from tailrace.fleet import cluster


@pytest.mark.parametrize("address", ["nonsense", "auto:x", "ray://host:10001", ":6379", "host:"])
def test_no_address(address: str) -> None:
    with pytest.raises(UsageError, match="auto or HOST:PORT"):
        cluster.connect(address)


def test_nobody_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(TailraceError, match="no Ray cluster answers"):
            cluster.connect(f"127.0.0.1:{port}")


def test_auto_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(TailraceError, match=":1 "):
        cluster.connect(cluster.AUTO)


def test_one_that_takes_connections_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_REACH_S", 0.5)
    # Ray takes a loopback address for this one.
    with socket.create_server((get_node_ip_address(), 0)) as silent:
        host, port = silent.getsockname()
        with pytest.raises(TailraceError, match="no Ray cluster answers"):
            cluster.connect(f"{host}:{port}")
