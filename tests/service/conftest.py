"""Real services: `tailrace serve` in a process of its own, on a port of its own."""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tailrace.datasets.shapes import draw_scene

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
TIMEOUT_S = 60.0


class Scrape:
    """What `/metrics` said once."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self._values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        """The value of a sample."""
        return self._values[name, frozenset(labels.items())]

    def outcomes(self, model: str) -> dict[str, int]:
        """Requests by how they ended, where there were any."""
        family = self.families["tailrace_requests"]
        return {
            sample.labels["outcome"]: int(sample.value)
            for sample in family.samples
            if sample.labels["model"] == model and sample.value
        }


def _enter(groups: Sequence[Path]) -> None:
    for group in groups:
        (group / "cgroup.procs").write_text("0")


class ServerProcess:
    """A running `tailrace serve`, and what it has said on stderr."""

    def __init__(
        self, *arguments: str, token: str | None = None, within: Sequence[Path] = ()
    ) -> None:
        environment = {k: v for k, v in os.environ.items() if k != "TAILRACE_TOKEN"}
        if token is not None:
            environment["TAILRACE_TOKEN"] = token
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tailrace", "serve", *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            preexec_fn=functools.partial(_enter, within) if within else None,
        )
        self.lines: queue.Queue[str | None] = queue.Queue()
        self.heard: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = ""

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def expect(self, pattern: str) -> re.Match[str]:
        """The first line, from where the last call stopped, in which `pattern` is found."""
        while (line := self.lines.get(timeout=TIMEOUT_S)) is not None:
            self.heard.append(line)
            if match := re.search(pattern, line):
                return match
        raise AssertionError(f"{pattern!r} was never said, but {self.heard}")

    def start(self) -> ServerProcess:
        """Waits until it serves and is ready."""
        self.url = self.expect(r"^tailrace: serving .* on (http://\S+)$")[1]
        self.expect(r"^tailrace: ready$")
        return self

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def scrape(self) -> Scrape:
        """`/metrics`, from whichever worker answers."""
        answer = httpx.get(f"{self.url}/metrics", timeout=TIMEOUT_S)
        assert answer.status_code == 200
        return Scrape(answer.text)

    def scrape_until(self, condition: Callable[[Scrape], bool]) -> Scrape:
        """The first `/metrics` of which `condition` holds."""
        ends_s = time.monotonic() + TIMEOUT_S
        while not condition(scrape := self.scrape()):
            assert time.monotonic() < ends_s, scrape.text
        return scrape

    def workers(self) -> list[int]:
        """Process ids of its children."""
        pid = self.process.pid
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT_S)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(TIMEOUT_S)
        assert self.process.stderr is not None
        self.process.stderr.close()


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
