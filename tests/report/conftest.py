"""Real runs, short ones, against a server on loopback."""

import asyncio
import shutil
from pathlib import Path

import pytest

from tailrace.runs.directory import RunDirectory
from tailrace.runs.run import Run
from tests.kit.plans import make_plan

SLOW_S = 0.02
INTERVALS = 30
EVERY_FAILING = 50
"""The slow server answers so many requests, and then one with an error."""


async def make_run(path: Path, url: str, *, rate: str = "200", slo: str = "p99<1s") -> None:
    """A run of 3 s, an interval being 100 ms, in the directory `path`."""
    plan = make_plan(
        url, rate, duration_s=INTERVALS / 10, interval_s=0.1, slo=slo, min_duration_s=1
    )
    run = Run(plan, RunDirectory(path, plan))
    await run.start()
    async for _ in run.intervals():
        pass


async def serve(delay_s: float, *, failing: bool = False) -> asyncio.Server:
    """A server that answers ok after `delay_s`, with two stages in Server-Timing."""
    number = 0
    stages = f"Server-Timing: queue;dur={1000 * delay_s / 4}, infer;dur={750 * delay_s}"
    ok = f"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{stages}\r\n\r\nok".encode()
    error = b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal number
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(delay_s)
                number += 1
                writer.write(error if failing and number % EVERY_FAILING == 0 else ok)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


def address(server: asyncio.Server, path: str = "") -> str:
    """Where `server` answers."""
    return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/{path}"


async def _make_all(base: Path) -> None:
    async with await serve(0.001) as fast, await serve(SLOW_S, failing=True) as slow:
        await asyncio.gather(
            make_run(base / "fast", address(fast)),
            make_run(base / "slow", address(slow), slo="p99<1ms"),
        )
    killed = shutil.copytree(base / "slow", base / "killed")
    (killed / "result.json").unlink()


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three runs: `fast`, `slow`, and `killed`, which has no result."""
    base = tmp_path_factory.mktemp("runs")
    asyncio.run(_make_all(base))
    return base
