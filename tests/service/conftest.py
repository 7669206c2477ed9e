"""Real services: `tailrace serve` in a process of its own, on a port of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import httpx
import pytest

from tailrace.datasets.shapes import draw_scene
from tests.server_process import TIMEOUT_S, Scrape, ServerProcess

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


Serve = Callable[..., ServerProcess]


@pytest.fixture
def launch() -> Iterator[Serve]:
    """`launch("shapes", "--port", "0", …)`: a process, not waited for, `within` control groups."""
    with contextlib.ExitStack() as stack:

        def start(
            *arguments: str, token: str | None = None, within: Sequence[Path] = ()
        ) -> ServerProcess:
            server = ServerProcess(*arguments, token=token, within=within)
            stack.callback(server.close)
            return server

        yield start


@pytest.fixture(scope="session")
def shapes_server() -> Iterator[ServerProcess]:
    """The embedded model, for every test that leaves a service as it was."""
    server = ServerProcess("shapes", "null", "--port", "0")
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def client(shapes_server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shapes_server.url, timeout=TIMEOUT_S) as client:
        yield client


def scene_bytes(seed: int, suffix: str = ".jpg", size_px: tuple[int, int] | None = None) -> bytes:
    """A drawn scene as a file; `size_px` is width, height."""
    image = cv2.cvtColor(draw_scene(seed).image, cv2.COLOR_RGB2BGR)
    if size_px is not None:
        image = cv2.resize(image, size_px)
    _, encoded = cv2.imencode(suffix, image)
    return encoded.tobytes()


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


@pytest.fixture(scope="session")
def coco_model() -> Path:
    file = SHARED / "models/ssd-mobilenet-v1-coco/ssd_mobilenet_v1_coco.onnx"
    if not file.is_file():
        pytest.skip("needs ../shared/models/ssd-mobilenet-v1-coco beside the repository")
    return file


@pytest.fixture(scope="session")
def coco_mini() -> Path:
    folder = SHARED / "datasets/coco-mini"
    if not folder.is_dir():
        pytest.skip("needs ../shared/datasets/coco-mini beside the repository")
    return folder
