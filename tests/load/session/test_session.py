"""The generator as a whole, against servers of known behaviour."""

import asyncio
import resource
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import scipy

from tailrace.control.window import summarize
from tailrace.load.client.request import Body
from tailrace.load.measure.histogram import Histogram
from tailrace.load.measure.point import Percentiles, Point
from tailrace.load.measure.server_timing import OTHER
from tailrace.load.schedule.arrivals import Poisson
from tailrace.load.schedule.profile import constant, parse_profile
from tailrace.load.session.session import Session
from tailrace.load.worker.launcher import (
    Channel,
    GeneratorError,
    Gone,
    Heard,
    ProcessLauncher,
)
from tailrace.load.worker.messages import Message, Reader, Setup, Snapshot, frame
from tests.kit.cli import command
from tests.kit.plans import await_intervals, reached, scheduled
from tests.kit.programs import Program
from tests.kit.server import OK, answer_after, answer_never, answer_raw
from tests.kit.waiting import TIMEOUT_S, await_exit


@pytest.mark.parametrize("workers", [1, 3])
async def test_what_is_offered_is_the_schedule(serve: Any, offer: Any, workers: int) -> None:
    server = serve()
    bodies = [Body(str(number).encode(), "text/plain") for number in range(7)]
    session, intervals = await offer(
        server.url, profile="400", interval_s=0.25, bodies=bodies, workers=workers
    )
    assert session.total.offered == len(scheduled(400, 1.0)) == len(server.arrived_ns)
    assert session.total.completed == session.total.offered
    assert session.duration_s == 1.0
    # Until the last answer is there.
    assert len(intervals) >= 4
    assert [interval.point.index for interval in intervals] == list(range(len(intervals)))
    assert sum(interval.point.offered for interval in intervals) == session.total.offered
    # Bodies are sent in turn over all workers.
    sent = sorted(int(body) for body in server.bodies)
    assert sent == sorted(number % 7 for number in range(session.total.offered))


@pytest.mark.alone("holds arrivals against the server's clock")
@pytest.mark.parametrize("workers", [1, 3])
async def test_requests_arrive_when_the_schedule_says(serve: Any, offer: Any, workers: int) -> None:
    """Up to this machine's noise, real arrivals are the intended ones, in number and in time."""
    server = serve()
    await offer(server.url, profile="300", duration_s=2.0, workers=workers)
    arrived = np.sort(np.array(server.arrived_ns)) / 1e9
    intended = scheduled(300, 2.0)
    late = arrived - intended - np.min(arrived - intended)
    assert np.median(late) < 0.005


@pytest.mark.alone("holds arrivals against the server's clock")
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


@pytest.mark.alone("holds arrivals against the server's clock")
async def test_a_live_change_takes_effect_without_a_burst(serve: Any, plan: Any) -> None:
    server = serve()
    session = Session(plan(server.url, profile="100", duration_s=3.0, arrivals="constant"))
    await session.start()
    start_s = time.monotonic() - session.elapsed_s
    await reached(session, 0.7)
    change_s = session.set_rate(1000)
    assert change_s - session.elapsed_s <= 0.020
    points = [interval.point async for interval in session.intervals()]
    after = [p for p in points if p.t_s - p.interval_s >= change_s and p.t_s <= 3.0]
    assert after[0].offered / after[0].interval_s == pytest.approx(1000, rel=0.05)
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
    session = Session(plan(server.url, profile="100", duration_s=1.2))
    await session.start()
    await reached(session, 0.3)
    change_s = session.set_rate(1000)
    async for _ in session.intervals():
        pass
    units = np.concatenate([next(Poisson().chunks(1))])
    intended = session.profile.inverse(units)
    intended = intended[intended < 1.2]
    assert session.total.offered == len(intended)
    counts, _ = np.histogram(intended, bins=np.arange(change_s, 1.2, 0.010))
    assert counts.max() <= scipy.stats.poisson.isf(1e-6, 10)


@pytest.mark.parametrize("spin", [False, True])
async def test_a_change_is_exact_though_something_is_always_due(
    serve: Any, plan: Any, spin: bool
) -> None:
    """At 3,000/s there is no gap to work it into the schedule: it is done at the last moment."""
    settings = {"profile": "3000", "arrivals": "constant", "duration_s": 1.0, "spin": spin}
    session = Session(plan(serve().url, **settings))
    await session.start()
    for at_s, rate in ((0.2, 2500), (0.35, 4000), (0.5, 3000)):
        await reached(session, at_s)
        session.set_rate(rate)
    async for _ in session.intervals():
        pass
    intended = session.profile.inverse(np.arange(8000, dtype=np.float64))
    # A stall of this machine at the very instant lets the few that were due go at the old rate.
    assert session.total.offered == pytest.approx((intended < 1.0).sum(), abs=5)


async def test_a_live_profile_is_offered_as_it_says(serve: Any, plan: Any) -> None:
    session = Session(plan(serve().url, profile="100", duration_s=1.5, workers=2))
    await session.start()
    points = []
    async for interval in session.intervals():
        points.append(interval.point)
        if len(points) == 1:
            change_s = session.follow(parse_profile("100..900/800ms,0"))
            # The ramp begins at its foot, and rises while one looks.
            assert 100 <= session.rate_per_s < 300
    changed = constant(100).changed(change_s, parse_profile("100..900/800ms,0"))
    intended = changed.inverse(next(Poisson().chunks(1)))
    # A worker that learns of it late has sent a few at the old rate.
    assert session.total.offered == pytest.approx((intended < 1.5).sum(), abs=5)
    for point in points[1:]:
        if point.t_s <= 1.5:
            assert point.target_per_s == pytest.approx(changed.rate(point.t_s), rel=1e-4)


async def test_a_profile_set_while_the_run_starts_holds_from_its_start(
    serve: Any, plan: Any
) -> None:
    session = Session(plan(serve().url, profile="100", duration_s=0.5, workers=2))
    starting = asyncio.create_task(session.start())
    await asyncio.sleep(0)
    assert session.set_rate(50) == 0
    assert session.set_rate(400) == 0
    await starting
    points = [interval.point async for interval in session.intervals()]
    assert session.total.offered == len(scheduled(400, 0.5))
    assert [(event.text, event.t_s) for event in points[0].events] == [("50/s", 0), ("400/s", 0)]


async def test_hundreds_of_changes_leave_a_session_as_small_as_it_was(
    serve: Any, plan: Any
) -> None:
    session = Session(plan(serve().url, profile="100", duration_s=1.5, interval_s=0.1))
    await session.start()
    made: list[float] = []
    points: list[Point] = []
    async for interval in session.intervals():
        points.append(interval.point)
        if interval.point.t_s < 1.2:
            made += [session.set_rate(100 + number) for number in range(40)]
            # What is still to be told, and what went on as the last interval ended.
            told_s = points[-1].t_s
            recent = sum(t_s >= told_s for t_s in made)
            assert len(session.profile.segments) <= recent + 1
    events = [event for point in points for event in point.events]
    assert [event.t_s for event in events] == pytest.approx(made, abs=1e-6)
    assert [event.text for event in events[:40]] == [f"{100 + number}/s" for number in range(40)]


async def test_what_is_done_to_a_run_is_told_in_the_interval_it_falls_into(
    serve: Any, plan: Any
) -> None:
    session = Session(plan(serve().url, profile="100", duration_s=None, interval_s=0.25))
    await session.start()
    points: list[Point] = []
    done: list[tuple[float, str, str]] = []
    async for interval in session.intervals():
        points.append(interval.point)
        if len(points) == 2:
            done.append((session.set_rate(200.5), "rate", "200.5/s"))
            done.append((session.set_rate(1000), "rate", "1000/s"))
        if len(points) == 4:
            text = "300..100/1s,100"
            done.append((session.follow(parse_profile(text)), "profile", text))
        if len(points) == 6:
            session.stop()
            session.stop()
            session.abandon()
    events = [event for point in points for event in point.events]
    assert [(e.kind, e.text) for e in events] == [
        *(known[1:] for known in done),
        ("stop", "stop"),
    ]
    assert [e.t_s for e in events[:-1]] == pytest.approx([known[0] for known in done], abs=1e-6)
    assert events[-1].t_s == pytest.approx(session.duration_s, abs=1e-6)
    for point in points:
        for event in point.events:
            assert point.t_s - point.interval_s - 0.002 <= event.t_s <= point.t_s
            assert event.wall_time - event.t_s == pytest.approx(session.start_wall_time, abs=1e-5)


async def test_what_takes_effect_after_the_end_is_told_in_the_last_interval(
    serve: Any, plan: Any
) -> None:
    session = Session(plan(serve().url, profile="100", duration_s=None, interval_s=0.25))
    await session.start()
    points: list[Point] = []
    async for interval in session.intervals():
        points.append(interval.point)
        if len(points) == 2:
            change_s = session.set_rate(200)
            session.stop()
    assert change_s > session.duration_s
    assert [event.text for event in points[-1].events] == ["stop", "200/s"]


async def test_the_slowest_requests_bring_their_stages(serve: Any, offer: Any) -> None:
    """Requests 20, 40, … are slow, the later the slower, and say themselves how slow."""

    async def answer(_: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        number = int(body)
        slow_s = 0 if number % 20 else number / 400
        await asyncio.sleep(slow_s)
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
            b"Server-Timing: queue;dur=%.1f, infer;dur=1.5\r\n\r\nok" % (slow_s * 1000)
        )

    session, intervals = await offer(
        serve(answer).url,
        profile="200",
        arrivals="constant",
        duration_s=1.0,
        workers=2,
        bodies=[Body(b"{{counter}}", "text/plain")],
    )
    assert session.total.completed == 200
    points = [interval.point for interval in intervals]
    for point in points:
        latencies = [request.latency_ms for request in point.slowest]
        assert len(latencies) == min(5, point.completed)
        assert latencies == sorted(latencies, reverse=True)
        assert latencies[0] == point.latency_ms.max
        assert sum(point.latency_bins.values()) == point.completed
    found = {
        request.stages_ms["queue"]: request
        for point in points
        for request in point.slowest
        if request.stages_ms["queue"] > 0
    }
    # The slowest of all: requests 160 and 180; number n is due at n / 200 s.
    for slow_ms in (400.0, 450.0):
        request = found[slow_ms]
        assert request.stages_ms == {"queue": slow_ms, "infer": 1.5}
        assert request.service_ms >= slow_ms
        assert request.latency_ms == pytest.approx(
            request.service_ms + request.send_lag_ms + request.connection_ms, abs=1e-3
        )


@pytest.mark.alone("90 % of its requests are answered at once, if nothing else holds them up")
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
    assert p90_1 / 1e6 < 0.25


async def test_it_waits_for_what_is_in_flight(serve: Any, offer: Any) -> None:
    session, _ = await offer(serve(answer_after(0.7)).url, profile="50", duration_s=0.5)
    assert session.total.failed == {}
    assert session.total.completed == session.total.offered > 10
    assert session.total.latency.percentile_us(1)[0] >= 0.699e6


@pytest.mark.slow("answers come after the longest limit that there is by default, 10 s")
async def test_every_limit_on_a_request_follows_the_timeout(serve: Any, offer: Any) -> None:
    url = serve(answer_after(10.2)).url
    session, _ = await offer(url, duration_s=0.1, arrivals="constant", timeout_s=12.0)
    assert session.total.completed == 10


async def test_requests_beyond_the_connection_cap_are_late_not_lost(serve: Any, offer: Any) -> None:
    server = serve(answer_after(0.1))
    session, intervals = await offer(
        server.url,
        profile="200",
        arrivals="constant",
        duration_s=0.5,
        interval_s=0.2,
        connections=10,
    )
    # 10 connections of 100 ms serve 100 a second: 100 requests take 1 s, the last waits 0.4 s.
    assert server.connections == 10
    assert session.total.completed == 100
    assert max(interval.point.backlog for interval in intervals) > 10
    service, latency = session.total.of("service"), session.total.latency
    assert latency.max_ns / 1e9 >= 0.5
    assert 0.0999 <= service.percentile_us(50)[0] / 1e6 < latency.percentile_us(50)[0] / 1e6
    # Waiting for a connection is no lateness of the generator's, and the verdict says so.
    waits_ns = int(session.total.breakdown.sums_ns["connection-wait"].sum())
    assert waits_ns / 100 / 1e9 >= 0.15
    assert session.total.send_lag.percentile_us(50)[0] < 100_000
    assert any("waited for a free connection" in reason for reason in session.verdict.reasons)


async def test_a_backlog_that_grows_is_told_though_all_is_answered_in_the_end(
    serve: Any, offer: Any
) -> None:
    """10 connections of 100 ms serve 100 a second, and have 450 to serve within 1.8 s."""
    session, intervals = await offer(
        serve(answer_after(0.1)).url,
        profile="250",
        arrivals="constant",
        duration_s=1.8,
        interval_s=0.1,
        connections=10,
    )
    assert intervals[-1].point.outstanding == 0
    assert any("the backlog grew all the time" in reason for reason in session.verdict.reasons)


async def test_stopping_ends_the_run_with_its_results(serve: Any, plan: Any) -> None:
    server = serve()
    session = Session(plan(server.url, profile="200", duration_s=None))
    await session.start()
    await reached(session, 0.6)
    session.stop()
    points = [interval.point async for interval in session.intervals()]
    assert 0.6 <= session.duration_s < 30
    assert session.total.offered == session.total.completed == len(server.arrived_ns)
    assert sum(point.completed for point in points) == session.total.completed
    assert all(point.target_per_s == 200 for point in points)


async def test_abandoning_counts_the_unanswered(serve: Any, plan: Any) -> None:
    session = Session(plan(serve(answer_never).url, profile="100", duration_s=None, timeout_s=30.0))
    await session.start()
    await reached(session, 0.5)
    began = time.monotonic()
    session.abandon()
    async for _ in session.intervals():
        pass
    assert time.monotonic() - began < 20
    assert session.total.failed == {"aborted": session.total.offered}
    assert session.total.offered > 20


async def test_a_recorded_rate_that_is_gone_when_the_workers_read_it(
    serve: Any, plan: Any, tmp_path: Path
) -> None:
    file = tmp_path / "rates.csv"
    file.write_text("t_s,rate\n0,50\n10,500\n")
    session = Session(plan(serve().url, duration_s=60.0))
    await session.start()
    profile = parse_profile(f"trace({file})")
    session.follow(profile)
    await anext(session.intervals())
    assert session.problems == []
    assert session.rate_per_s == 50
    file.unlink()
    session.follow(profile)
    async with asyncio.timeout(TIMEOUT_S):
        points = [interval.point async for interval in session.intervals()]
    assert "load worker 0 gave up" in session.problems[0]
    assert str(file) in session.problems[0]
    events = [event for point in points for event in point.events]
    # Which comes first depends on whether the worker gave up within the change's 10 ms of notice.
    assert {event.kind for event in events[-2:]} == {"worker", "profile"}
    # What it had counted stays.
    assert session.total.offered == session.total.completed + session.total.failures > 20


def test_a_worker_ends_when_its_session_is_gone(serve: Any, tmp_path: Path) -> None:
    words = ("load", serve().url, "--workers", 2, "--for", "60s", "--out", "run")
    program = Program(command(*words), cwd=tmp_path, stderr=subprocess.PIPE)
    try:
        await_intervals(tmp_path / "run", 1)
        workers = program.workers()
        assert len(workers) == 2
        program.process.kill()
        for pid in workers:
            await_exit(pid)
    finally:
        program.close()


async def test_all_lines_of_server_timing_count(serve: Callable[..., Any], offer: Any) -> None:
    """A proxy adds a line of its own, and some stages are only known in the end: not those of an
    interim response.
    """

    timed = answer_raw(
        b"HTTP/1.1 103 Early Hints\r\nServer-Timing: early;dur=1\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Server-Timing\r\n"
        b'Server-Timing: app;dur=40;desc="a, b"\r\nserver-timing: edge;DUR="1"\r\n\r\n'
        b"2\r\nok\r\n0\r\nServer-Timing: send;dur=2\r\n\r\n"
    )

    session, intervals = await offer(serve(timed).url, duration_s=0.3)
    means_ms = {name: Percentiles.of(h).mean for name, h in session.total.stages.items()}
    assert means_ms == {"app": 40, "edge": 1, "send": 2}
    assert session.total.stages["app"].total == session.total.completed > 0
    assert intervals[0].point.stages_ms["send"].mean == pytest.approx(2, rel=0.001)


async def test_the_beginning_of_a_long_server_timing_counts(serve: Any, offer: Any) -> None:
    entries = ", ".join(f"s{number};dur=0.001" for number in range(1000)).encode()

    timed = answer_raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
        b"Server-Timing: %b\r\nServer-Timing: late;dur=1\r\n\r\nok" % entries
    )

    session, _ = await offer(serve(timed).url, duration_s=0.3)
    stages = session.total.stages
    assert list(stages) == [*(f"s{number}" for number in range(64)), OTHER]
    assert {histogram.total for histogram in stages.values()} == {session.total.completed}


async def test_a_server_of_ever_new_stages_fills_no_memory(serve: Any, offer: Any) -> None:
    """Each worker meets others first; the run has so many nevertheless, in all its intervals."""

    async def timed(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
            b"Server-Timing: db-%b;dur=0.01\r\n\r\nok" % body
        )

    session, intervals = await offer(
        serve(timed).url,
        profile="500",
        duration_s=0.5,
        interval_s=0.25,
        workers=2,
        bodies=[Body(b"{{counter}}", "text/plain")],
    )
    stages = session.total.stages
    assert len(stages) == 64 + 1
    assert sum(histogram.total for histogram in stages.values()) == session.total.completed
    for interval in intervals:
        point = interval.point
        assert set(point.stages_ms) <= set(stages)
        assert set(point.components_us) <= {"send-lag", "connect", "connection-wait", *stages} | {
            "network"
        }
    assert len(summarize(intervals).stages_ms) <= 64 + 1


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
    async with asyncio.timeout(TIMEOUT_S):
        points = [interval.point async for interval in session.intervals()]
    assert session.problems == []
    assert session.duration_s < 30
    assert sum(point.offered for point in points) == session.total.offered


class Garbling(ProcessLauncher):
    """Its workers' second report holds a histogram with more counts than buckets."""

    async def launch(self, setup: Setup, heard: Heard, gone: Gone) -> Channel:
        def garbled(message: Message) -> None:
            if isinstance(message, Snapshot) and message.measured.index == 1:
                odd = Histogram(np.array([1]), np.array([1, 1]))
                measured = msgspec.structs.replace(message.measured, series={"latency": odd})
                message = msgspec.structs.replace(message, measured=measured)
            heard(frame(message))

        return await super().launch(setup, Reader(garbled).feed, gone)


async def test_a_report_that_cannot_be_merged_is_raised_to_the_reader(
    serve: Any, plan: Any
) -> None:
    server = serve()
    session = Session(
        plan(server.url, profile="200", duration_s=None, interval_s=0.2, workers=2),
        Garbling(),
    )
    await session.start()
    intervals = session.intervals()
    async with asyncio.timeout(TIMEOUT_S):
        assert (await anext(intervals)).point.index == 0
        with pytest.raises(ValueError, match="same length"):
            await anext(intervals)
        await session.give_up()
    assert session.problems == []


@pytest.mark.alone("takes all of the machine")
async def test_a_rate_that_no_worker_can_send_is_told_to_the_end(serve: Any, offer: Any) -> None:
    """What it comes to too late is failed at once, so that it is done in time, and not killed."""
    session, _ = await offer(
        serve().url, profile="4000000", arrivals="constant", duration_s=1.0, timeout_s=0.5
    )
    assert session.problems == []
    assert session.total.offered == 4_000_000
    assert session.total.reasons["timeout: the generator came too late to it"] > 1_000_000
    assert session.total.send_lag.total > 3_000_000
    assert any("the generator was late" in reason for reason in session.verdict.reasons)
    assert "4,000,000 requests a second are more than 1 load worker" in (
        session.plan.beyond_workers or ""
    )


def test_a_rate_that_workers_can_send_is_not_spoken_of(plan: Any) -> None:
    assert plan("http://h/", profile="250000").beyond_workers is None
    assert plan("http://h/", profile="1000000", workers=8).beyond_workers is None
    assert plan("http://h/", profile="1M", part="0/8").beyond_workers is None
