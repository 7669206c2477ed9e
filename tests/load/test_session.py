"""The generator as a whole, against servers of known behaviour."""

import asyncio
import os
import resource
import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tailrace.load.arrivals import Poisson
from tailrace.load.link import GeneratorError
from tailrace.load.profile import Profile
from tailrace.load.request import Body
from tailrace.load.schedule import Schedule
from tailrace.load.session import Session

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def scheduled(rate: float, duration_s: float, seed: int = 1) -> np.ndarray:
    schedule = Schedule(Poisson(), Profile([0], [rate]), seed)
    times = np.concatenate([schedule.next_chunk() for _ in range(10)]) / 1e9
    return times[times < duration_s]


@pytest.mark.parametrize("workers", [1, 2, 4])
async def test_what_is_offered_is_the_schedule(serve: Any, offer: Any, workers: int) -> None:
    server = serve()
    session, intervals = await offer(server.url, profile="400", duration_s=2.0, workers=workers)
    assert session.total.offered == len(scheduled(400, 2.0)) == len(server.arrived_ns)
    assert session.total.completed == session.total.offered
    assert session.duration_s == 2.0
    assert [interval.point.index for interval in intervals] == [0, 1, 2, 3]
    assert sum(interval.point.offered for interval in intervals) == session.total.offered


@pytest.mark.parametrize("workers", [1, 3])
async def test_requests_arrive_when_the_schedule_says(serve: Any, offer: Any, workers: int) -> None:
    """Up to this machine's noise, real arrivals are the intended ones, in number and in time."""
    server = serve()
    await offer(server.url, profile="300", duration_s=2.0, workers=workers)
    arrived = np.sort(np.array(server.arrived_ns)) / 1e9
    intended = scheduled(300, 2.0)
    late = arrived - intended - np.min(arrived - intended)
    assert np.median(late) < 0.005


async def test_poisson_counts_at_the_server(serve: Any, offer: Any) -> None:
    server = serve()
    await offer(server.url, profile="2000", duration_s=3.0)
    arrived = np.array(server.arrived_ns) / 1e9
    arrived -= arrived[0]
    gaps = np.diff(np.sort(arrived))
    assert gaps.mean() == pytest.approx(1 / 2000, rel=0.05)
    counts, _ = np.histogram(arrived, bins=np.arange(0, 2.95, 0.1))
    # In 100 ms bins what this machine adds in lateness weighs little.
    assert 0.4 < counts.var() / counts.mean() < 2.5


async def test_bodies_are_sent_in_turn_over_all_workers(serve: Any, offer: Any) -> None:
    server = serve()
    bodies = [Body(str(number).encode(), "text/plain") for number in range(7)]
    session, _ = await offer(server.url, profile="200", bodies=bodies, workers=3)
    sent = sorted(int(body) for body in server.bodies)
    assert sent == sorted(number % 7 for number in range(session.total.offered))


async def test_a_live_change_takes_effect_without_a_burst(serve: Any, plan: Any) -> None:
    server = serve()
    session = Session(plan(server.url, profile="100", duration_s=3.0, arrivals="constant"))
    await session.start()
    await asyncio.sleep(0.7)
    change_s = session.set_rate(1000)
    assert change_s - session.elapsed_s <= 0.020
    points = [interval.point async for interval in session.intervals()]
    after = [p for p in points if p.t_s - p.interval_s >= change_s and p.t_s <= 3.0]
    assert after[0].offered / after[0].interval_s == pytest.approx(1000, rel=0.05)
    start_s = session._start_ns / 1e9
    arrived = np.array(server.arrived_ns) / 1e9 - start_s
    # The server's own log: whole stretches on either side have their rates.
    before = ((arrived > 0.2) & (arrived < change_s)).sum() / (change_s - 0.2)
    assert before == pytest.approx(100, rel=0.1)
    assert ((arrived > change_s) & (arrived < 3.0)).sum() == pytest.approx(
        1000 * (3.0 - change_s), rel=0.05
    )
    assert session.total.offered == pytest.approx(100 * change_s + 1000 * (3 - change_s), abs=2)


async def test_a_live_change_of_poisson_load_has_no_burst_in_the_schedule(
    serve: Any, plan: Any
) -> None:
    """Intended times under the change that really happened, from the profile the session kept."""
    server = serve()
    session = Session(plan(server.url, profile="100", duration_s=2.0))
    await session.start()
    await asyncio.sleep(0.5)
    change_s = session.set_rate(1000)
    async for _ in session.intervals():
        pass
    units = np.concatenate([next(Poisson().chunks(1))])
    intended = session.profile.inverse(units)
    intended = intended[intended < 2.0]
    assert session.total.offered == len(intended)
    counts, _ = np.histogram(intended, bins=np.arange(change_s, 2.0, 0.010))
    assert counts.max() <= stats.poisson.isf(1e-6, 10)


async def test_a_stall_shows_in_every_request_it_held_up(serve: Any, offer: Any) -> None:
    """A server that stops for 1 s at 100 requests a second delays about 100 of them, evenly from
    1 s down to 0. A generator that waits for answers would show a single slow one.
    """
    began: list[float] = []

    async def stall(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        now = time.monotonic()
        began.append(now)
        into = now - began[0]
        if 4.0 <= into < 5.0:
            await asyncio.sleep(5.0 - into)
        writer.write(OK)

    server = serve(stall)
    session, _ = await offer(
        server.url, profile="100", duration_s=10.0, arrivals="constant", interval_s=1.0
    )
    assert session.total.completed == 1000
    latency = session.total.latency
    p90_1, p95, p99, p99_9 = latency.percentile_us(90.1, 95, 99, 99.9)
    assert p99 / 1e6 == pytest.approx(0.9, abs=0.05)
    assert p99_9 / 1e6 == pytest.approx(0.99, abs=0.05)
    assert p95 / 1e6 == pytest.approx(0.5, abs=0.05)
    assert p90_1 / 1e6 < 0.06
    counts = latency.counts
    slow = [(index, count) for index, count in enumerate(counts) if count]
    assert sum(count for _, count in slow) == 1000


async def test_it_waits_for_what_is_in_flight(serve: Any, offer: Any) -> None:
    async def slow(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1.0)
        writer.write(OK)

    session, _ = await offer(serve(slow).url, profile="50", duration_s=0.5)
    assert session.total.failed == {}
    assert session.total.completed == session.total.offered > 10
    assert session.total.latency.percentile_us(50)[0] == pytest.approx(1e6, rel=0.2)


async def test_requests_beyond_the_connection_cap_are_late_not_lost(serve: Any, offer: Any) -> None:
    async def slow(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        writer.write(OK)

    server = serve(slow)
    session, intervals = await offer(
        server.url, profile="100", duration_s=1.0, arrivals="constant", connections=5
    )
    # 5 connections of 100 ms serve 50 a second: 100 requests take 2 s, the last waits 1 s.
    assert server.connections == 5
    assert session.total.completed == 100
    assert max(interval.point.backlog for interval in intervals) > 10
    assert session.total.latency.max_ns / 1e9 == pytest.approx(1.1, abs=0.2)
    assert session.total.service.percentile_us(50)[0] / 1e6 == pytest.approx(0.1, abs=0.05)
    assert session.total.send_lag.max_ns / 1e9 == pytest.approx(1.0, abs=0.2)


async def test_stopping_ends_the_run_with_its_results(serve: Any, plan: Any) -> None:
    server = serve()
    session = Session(plan(server.url, profile="200", duration_s=None))
    await session.start()
    await asyncio.sleep(0.6)
    session.stop()
    points = [interval.point async for interval in session.intervals()]
    assert 0.6 <= session.duration_s < 3
    assert session.total.offered == session.total.completed == len(server.arrived_ns)
    assert sum(point.completed for point in points) == session.total.completed
    assert all(point.target_per_s == 200 for point in points)


async def test_abandoning_counts_the_unanswered(serve: Any, plan: Any) -> None:
    async def never(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    session = Session(plan(serve(never).url, profile="100", duration_s=None, timeout_s=30.0))
    await session.start()
    await asyncio.sleep(0.5)
    began = time.monotonic()
    session.abandon()
    async for _ in session.intervals():
        pass
    assert time.monotonic() - began < 5
    assert session.total.failed == {"aborted": session.total.offered}
    assert session.total.offered > 20


async def test_a_killed_worker_is_reported_and_the_rest_goes_on(serve: Any, plan: Any) -> None:
    server = serve()
    session = Session(plan(server.url, profile="200", duration_s=2.0, workers=2))
    await session.start()
    victim = session._workers[0]._process
    assert victim is not None
    await asyncio.sleep(0.7)
    os.kill(victim.pid, signal.SIGKILL)
    points = [interval.point async for interval in session.intervals()]
    assert len(session.problems) == 1
    assert "load worker 0 died" in session.problems[0]
    full = len(scheduled(200, 2.0))
    assert 0.4 * full < session.total.completed < 0.9 * full
    assert points[-1].t_s >= 2.0


async def test_all_workers_killed_ends_the_run(serve: Any, plan: Any) -> None:
    session = Session(plan(serve().url, duration_s=60.0))
    await session.start()
    victim = session._workers[0]._process
    assert victim is not None
    await asyncio.sleep(0.8)
    os.kill(victim.pid, signal.SIGKILL)
    began = time.monotonic()
    async for _ in session.intervals():
        pass
    assert time.monotonic() - began < 1.5
    assert session.problems
    assert session.total.completed > 0


async def test_a_worker_ends_when_its_session_is_gone(serve: Any, plan: Any) -> None:
    session = Session(plan(serve().url, duration_s=60.0))
    await session.start()
    worker = session._workers[0]
    assert worker._transport is not None
    assert worker._process is not None
    worker._transport.abort()
    await asyncio.wait_for(worker._process.wait(), 5)
    async for _ in session.intervals():
        pass


async def test_stages_are_read_from_server_timing(serve: Callable[..., Any], offer: Any) -> None:
    async def timed(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
            b"Server-Timing: queue;dur=2, infer;dur=30.5\r\n\r\nok"
        )

    session, intervals = await offer(serve(timed).url, duration_s=0.5)
    assert set(session.total.stages) == {"queue", "infer"}
    assert session.total.stages["infer"].total == session.total.completed
    assert session.total.stages["infer"].percentiles(1000).p50 == pytest.approx(30.5, rel=0.001)
    assert intervals[0].point.stages_ms["queue"].mean == pytest.approx(2, rel=0.001)


async def test_more_connections_than_the_machine_allows(serve: Any, plan: Any) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY:
        pytest.skip("this machine allows any number of open files")
    session = Session(plan(serve().url, connections=hard + 1))
    with pytest.raises(GeneratorError, match="lower --connections"):
        await session.start()


@pytest.mark.parametrize("how", ["stop", "abandon"])
async def test_ending_a_run_while_it_starts(serve: Any, plan: Any, how: str) -> None:
    session = Session(plan(serve().url, duration_s=60.0))
    starting = asyncio.create_task(session.start())
    await asyncio.sleep(0)
    getattr(session, how)()
    await starting
    async with asyncio.timeout(10):
        points = [interval.point async for interval in session.intervals()]
    assert session.problems == []
    assert session.duration_s < 1
    assert sum(point.offered for point in points) == session.total.offered
