"""What the X-ray says of tails that do not come from the service."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from tailrace.load.measure.breakdown import Xray
from tailrace.load.session.session import Session
from tests.kit.plans import load_workers, reached
from tests.kit.server import OK, answer_after
from tests.kit.tls import certified

DELAY_S = 1.2
"""Far more than what other programs on a busy machine add."""

TIMED = OK.replace(b"\r\n\r\n", b"\r\nServer-Timing: queue;dur=0.2, infer;dur=1.5\r\n%b\r\n")

answer_timed = answer_after(0.002, TIMED % b"")
"""After 2 ms, of which the service accounts for 1.7."""


def explained(session: Session) -> Xray:
    assert session.total.failed == {}
    xray = session.total.breakdown.xray()
    assert xray is not None
    sums_ns = sum(int(sums.sum()) for sums in session.total.breakdown.sums_ns.values())
    assert sums_ns == session.total.latency.sum_ns
    return xray


@contextlib.asynccontextmanager
async def slow_proxy(port: int, way: Callable[[int, int], float]) -> AsyncIterator[str]:
    """The URL of a TCP proxy before `port`, which passes each chunk on after `way(connection,
    chunk)` seconds, both counted from 0."""
    tasks: set[asyncio.Task[None]] = set()
    connections = 0

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        number, connections = connections, connections + 1
        there, back = await asyncio.open_connection("127.0.0.1", port)
        answers = asyncio.create_task(pump(there, writer))
        try:
            chunk = 0
            while data := await reader.read(65536):
                await asyncio.sleep(way(number, chunk))
                back.write(data)
                chunk += 1
        finally:
            answers.cancel()
            back.close()
            writer.close()

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_slow_way_is_the_network(serve: Any, offer: Any) -> None:
    slow = iter(range(1000))

    def way(connection: int, chunk: int) -> float:
        return DELAY_S if next(slow) % 33 == 32 else 0.0

    async with slow_proxy(serve(answer_timed).port, way) as url:
        session, _ = await offer(url, profile="80", duration_s=1.5)
    xray = explained(session)
    assert xray.explains == "network"
    assert xray.tail_ms["network"] > 900 * DELAY_S
    assert xray.tail_ms["infer"] == pytest.approx(1.5)
    assert "service" not in xray.tail_ms


async def test_without_server_timing_network_and_service_are_one(serve: Any, offer: Any) -> None:
    async def late(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(DELAY_S if number % 33 == 32 else 0.002)
        writer.write(OK)

    session, _ = await offer(serve(late).url, profile="80", duration_s=1.5)
    xray = explained(session)
    assert xray.explains == "service"
    assert "network" not in xray.tail_ms


@pytest.mark.alone("TLS through a proxy: what it takes on a busy machine is the network's")
async def test_late_handshakes_are_the_connection(serve: Any, offer: Any, tmp_path: Path) -> None:
    """A TLS server behind a proxy that is slow with every 33rd client's first words; connections
    end with each answer.
    """
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    last = answer_after(0.002, TIMED % b"Connection: close\r\n")
    server = serve(last, tls=certified(authority=authority))

    def way(connection: int, chunk: int) -> float:
        return DELAY_S if connection % 33 == 32 and chunk == 0 else 0.0

    async with slow_proxy(server.port, way) as url:
        session, _ = await offer(
            url.replace("http:", "https:"),
            profile="80",
            duration_s=1.5,
            ca_file=tmp_path / "ca.pem",
        )
    xray = explained(session)
    assert xray.explains == "connect"
    lag_s = session.total.send_lag.percentile_us(99)[0] / 1e6
    assert lag_s < DELAY_S / 2
    assert not any("late" in reason for reason in session.verdict.reasons if lag_s < 1e-3)
    assert xray.median_ms["connect"] > 0
    assert "connection-wait" not in xray.tail_ms


async def test_at_the_cap_requests_wait_for_a_connection(serve: Any, offer: Any) -> None:
    """One connection, which takes some 300 requests a second, and a burst of 600."""
    session, _ = await offer(
        serve(answer_timed).url, profile="50@500ms,600@500ms,50", duration_s=2.0, connections=1
    )
    xray = explained(session)
    assert session.total.cap_waits > 50
    assert xray.explains == "connection-wait"
    assert xray.share is not None
    assert xray.share > 0.8


async def test_a_stalled_generator_is_send_lag(serve: Any, plan: Any) -> None:
    session = Session(plan(serve(answer_timed).url, profile="200", duration_s=2.0))
    await session.start()
    (process,) = load_workers()
    await reached(session, 0.5)
    os.kill(process, signal.SIGSTOP)
    await reached(session, 1.3)
    os.kill(process, signal.SIGCONT)
    async for _ in session.intervals():
        pass
    xray = explained(session)
    assert xray.explains == "send-lag"
    assert xray.share is not None
    assert xray.share > 0.5
