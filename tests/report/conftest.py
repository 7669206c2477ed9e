"""Real runs, short ones, against a server on loopback."""

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.kit.plans import leave_run
from tests.kit.server import Server, answer_after, http

SLOW_S = 0.02
INTERVALS = 30
EVERY_FAILING = 50
"""The slow server answers so many requests, and then one with an error."""


def timed(delay_s: float) -> bytes:
    """An answer after so long, with two stages in Server-Timing."""
    return http(b"ok", Server_Timing=f"queue;dur={1000 * delay_s / 4}, infer;dur={750 * delay_s}")


async def answer_slowly(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(SLOW_S)
    failing = number % EVERY_FAILING == EVERY_FAILING - 1
    writer.write(http(b"", 500) if failing else timed(SLOW_S))


async def _make_all(base: Path) -> None:
    settings = {"duration_s": INTERVALS / 10, "interval_s": 0.1, "min_duration_s": 1}
    async with Server(answer_after(0.001, timed(0.001))) as fast, Server(answer_slowly) as slow:
        await asyncio.gather(
            leave_run(base / "fast", fast.url, slo="p99<1s", **settings),
            leave_run(base / "slow", slow.url, slo="p99<1ms", **settings),
        )
    killed = shutil.copytree(base / "slow", base / "killed")
    (killed / "result.json").unlink()


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three runs: `fast`, `slow`, and `killed`, which has no result."""
    base = tmp_path_factory.mktemp("runs")
    asyncio.run(_make_all(base))
    return base
