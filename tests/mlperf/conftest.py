"""Servers to test over HTTP: real services, and others that do what a test says."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.mlperf.peers import TAILRACE, Answerer, Peer, nothing_found
from tests.service.conftest import ServerProcess, launch, scene_bytes, shapes_server

__all__ = ["launch", "shapes_server"]


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


@pytest.fixture
def service(shapes_server: ServerProcess) -> ServerProcess:
    """A real service of the embedded model and the null model, for tests that leave it as it is."""
    return shapes_server


@pytest.fixture(scope="session")
def scenes() -> list[bytes]:
    """Drawn scenes as JPEG files."""
    return [scene_bytes(1_000_100 + seed) for seed in range(24)]
