"""A load worker in this process, where what it holds can be looked at."""

import asyncio
import time
from typing import Any

import pytest

from tailrace.load.session.workers import Workers
from tailrace.load.worker import worker as worker_module
from tailrace.load.worker.launcher import ProcessLauncher
from tailrace.load.worker.worker import Worker
from tests.kit.server import answer_never
from tests.kit.waiting import TIMEOUT_S, until


async def test_requests_that_wait_have_a_limit(
    serve: Any, plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond it they wait in the schedule, which takes no memory."""

    monkeypatch.setattr(worker_module, "_MOST_WAITING", 500)
    asked = plan(
        serve(answer_never).url, profile="20000", duration_s=None, connections=1, timeout_s=0.7
    )
    workers = Workers(asked, ProcessLauncher(), *[lambda *_: None] * 3)
    setup = workers._setup(0, asked.profile, 0.0)

    async def heard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 16):
            pass

    server = await asyncio.start_server(heard, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    worker = Worker(setup, writer.transport)  # type: ignore[arg-type]
    running = asyncio.create_task(worker.run(time.monotonic_ns()))
    (pool,) = worker._pools
    async with asyncio.timeout(TIMEOUT_S):
        await until(lambda: worker._full)
        assert len(pool.waiting) >= 500
        # No other joins them; and what is due for longer than its timeout is given up where it is.
        before: float = float("inf")
        while "timeout: too many waited before it" not in worker._recorder.reasons:
            waiting = len(pool.waiting)
            assert waiting <= before
            before = waiting if worker._full else float("inf")
            await asyncio.sleep(0.001)
    worker.abandon()
    await running
    writer.close()
    server.close()
