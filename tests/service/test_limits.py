"""More requests at once than may wait, more connections than are of use."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tailrace.service import usage

pytestmark = pytest.mark.slow("thousands of connections")


@pytest.mark.smoke
async def test_flood_gets_answers_or_503_and_nothing_else(
    launch: Callable[..., Any], draw: Callable[..., bytes]
) -> None:
    url = launch("shapes", "--port", "0", "--queue", "1", "--concurrency", "1").start().url
    big = draw(1_000_002, size_px=(4000, 3000))
    async with httpx.AsyncClient(timeout=60) as client:
        posts = [client.post(f"{url}/predict/shapes", content=big) for _ in range(24)]
        answers = await asyncio.gather(*posts)
        counts = Counter(answer.status_code for answer in answers)
        assert set(counts) == {200, 503}
        assert counts[200] >= 2
        for answer in answers:
            if answer.status_code == 503:
                assert answer.headers["Retry-After"] == "1"
        again = await client.post(f"{url}/predict/shapes", content=big)
        assert again.status_code == 200


@pytest.fixture
def files() -> Iterator[int]:
    """How many files this process may open, as many as it can get."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET /gpu HTTP/1.1\r\nHost: x\r\n",
        b"GET /gpu HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 10_000,
        b"POST /predict/shapes HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n\xff\xd8",
    ],
    ids=["silent", "head", "long head", "body"],
)
def test_thousands_of_half_requests_starve_no_one(
    launch: Callable[..., Any], jpeg: bytes, files: int, begun: bytes
) -> None:
    server = launch("shapes", "--port", "0").start()
    [worker] = server.workers()
    count = min(2000, files - 200)
    with contextlib.ExitStack() as stack, httpx.Client(base_url=server.url, timeout=60) as client:
        assert client.post("/predict/shapes", content=jpeg).status_code == 200
        before_bytes = _resident_bytes(worker)
        for _ in range(count):
            half = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 60))
            half.sendall(begun)
        for _ in range(20):
            assert client.get("/helloworld").status_code == 200
            assert client.post("/predict/shapes", content=jpeg).status_code == 200
        with httpx.Client(base_url=server.url, timeout=60) as newcomer:
            assert newcomer.get("/gpu").status_code == 200
        grown_bytes = _resident_bytes(worker) - before_bytes
        assert grown_bytes < count * (20 * 2**10 + len(begun)) + 20 * 2**20
    assert server.workers() == [worker]


def _resident_bytes(pid: int) -> int:
    used = usage.read(pid)
    assert used is not None
    return used.resident_bytes


async def test_many_rows_take_little_more_than_their_bytes_and_give_them_back(
    launch: Callable[..., Any],
) -> None:
    server = launch("shapes", "--port", "0", "--concurrency", "2").start()
    [worker] = server.workers()
    body = bytes(60 * 300 * 300 * 3)
    headers = {"Inference-Header-Content-Length": "0"}
    url = f"{server.url}/v2/models/shapes/infer"

    async def infer(client: httpx.AsyncClient, rows: bytes) -> None:
        answer = await client.post(url, content=rows, headers=headers)
        assert answer.status_code == 200

    async with httpx.AsyncClient(timeout=60) as client:
        await asyncio.gather(*(infer(client, body[:270_000]) for _ in range(8)))
        before_bytes = _resident_bytes(worker)
        await asyncio.gather(*(infer(client, body) for _ in range(3)))
    assert _most_resident_bytes(worker) - before_bytes < 4.5 * len(body)
    assert _resident_bytes(worker) - before_bytes < len(body)
    scrape = server.scrape()
    assert scrape("tailrace_batch_size_bucket", model="shapes", le="1.0") == 8 + 3 * 60


def _most_resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024
