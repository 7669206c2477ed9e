"""Servers to test over HTTP: real services, and others that do what a test says."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.mlperf.peers import TAILRACE, Answerer, Peer, nothing_found
from tests.service.conftest import ServerProcess, scene_bytes


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    """Starts servers: `peer(answer)` passes for a Tailrace service with the null model, unless it
    is given other `routes`."""
    peers: list[Peer] = []

    def start(
        answer: Answerer = nothing_found,
        routes: Mapping[str, bytes] = TAILRACE,
        tls: ssl.SSLContext | None = None,
    ) -> Peer:
        peers.append(Peer(answer, routes, tls))
        return peers[-1]

    yield start
    for each in peers:
        each.kill()


@pytest.fixture(scope="session")
def service() -> Iterator[ServerProcess]:
    """A real service of the embedded model and the null model, for tests that leave it as it is."""
    server = ServerProcess("shapes", "null", "--port", "0")
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def launch() -> Iterator[Callable[..., ServerProcess]]:
    """Starts services of a test's own: `launch("null", "--port", "0", token=…)`."""
    servers: list[ServerProcess] = []

    def start(*arguments: str, token: str | None = None) -> ServerProcess:
        servers.append(ServerProcess(*arguments, token=token))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def scenes() -> list[bytes]:
    """Drawn scenes as JPEG files."""
    return [scene_bytes(1_000_100 + seed) for seed in range(24)]
