"""Real services: `tailrace serve` in a process of its own, on a port of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.kit.pictures import scene_bytes
from tests.kit.programs import Scrape, ServerProcess
from tests.kit.waiting import TIMEOUT_S


@pytest.fixture
def client(shapes_server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shapes_server.url, timeout=TIMEOUT_S) as client:
        yield client


@pytest.fixture(scope="session")
def read_metrics() -> Callable[[str], Scrape]:
    """Reads the text of `/metrics`."""
    return Scrape


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    return scene_bytes(1_000_001)


@pytest.fixture
def survives(shapes_server: ServerProcess, client: httpx.Client, jpeg: bytes) -> Iterator[None]:
    """After the test, the same process serves."""
    before = shapes_server.workers()
    yield
    assert client.post("/predict/shapes", content=jpeg).status_code == 200
    assert shapes_server.workers() == before


@pytest.fixture(scope="session")
def png() -> bytes:
    return scene_bytes(1_000_001, ".png")


@pytest.fixture(scope="session")
def draw() -> Callable[..., bytes]:
    return scene_bytes
