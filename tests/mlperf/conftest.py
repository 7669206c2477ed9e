"""Servers to test over HTTP: real services, and others that do what a test says."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.kit.peer import Answerer, Peer
from tests.kit.pictures import scene_bytes
from tests.kit.programs import ServerProcess
from tests.mlperf.peers import TAILRACE, nothing_found


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    """Starts servers: `peer(answer)` passes for a Tailrace service with the null model, unless it
    is given other `routes`."""
    with contextlib.ExitStack() as stack:

        def start(
            answer: Answerer = nothing_found,
            routes: Mapping[str, bytes] = TAILRACE,
            tls: ssl.SSLContext | None = None,
        ) -> Peer:
            peer = Peer(answer, routes, tls)
            stack.callback(peer.kill)
            return peer

        yield start


@pytest.fixture
def service(shapes_server: ServerProcess) -> ServerProcess:
    """A real service of the embedded model and the null model, for tests that leave it as it is."""
    return shapes_server


@pytest.fixture(scope="session")
def scenes() -> list[bytes]:
    """Drawn scenes as JPEG files."""
    return [scene_bytes(1_000_100 + seed) for seed in range(24)]
