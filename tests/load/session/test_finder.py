"""A search on real servers: what it is told of each stretch of load, and how it ends."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tailrace.errors import UsageError
from tailrace.load.measure.point import Interval
from tailrace.load.search.answer import FindLimits
from tailrace.load.session.finder import Finder, ServiceGoneError
from tailrace.load.session.found import Found, SearchProgress
from tests.kit.plans import load_workers
from tests.kit.server import OK, answer_after, answer_by, answer_in_turn, answer_raw, http
from tests.kit.waiting import TIMEOUT_S


async def steps_of(finder: Finder, count: int) -> AsyncIterator[SearchProgress]:
    """The first progress of each of `count` steps; the search is cut short after them."""
    told = 0
    async for now in finder.progress():
        if len(now.found.steps) > told:
            told = len(now.found.steps)
            yield now
            if told == count:
                finder.cancel("SIGINT")


async def outcome_of(finder: Finder, steps: int) -> Found:
    async for _ in steps_of(finder, steps):
        pass
    return finder.found


async def test_the_rate_doubles_in_one_run_that_never_pauses(serve: Any, plan: Any) -> None:
    server = serve()
    finder = Finder(plan(server.url, slo=["p99<5s"]), FindLimits(start_per_s=40))
    progress = [now async for now in steps_of(finder, 3)]
    found = finder.found
    # One in which the generator was late is tried again.
    tried = [step.rate_per_s for step in found.steps if step.decision != "late"]
    assert tried == [40, 80, 160][: len(tried)]
    assert len(progress) == 3
    assert (found.ended_by, found.confirmed) == ("SIGINT", False)
    assert found.reason.endswith("; cut short by SIGINT")
    assert [point.rate_per_s for point in found.curve] == tried
    for point in found.curve:
        expected = point.rate_per_s * point.seconds
        assert point.requests == pytest.approx(expected, abs=5 * expected**0.5)
    assert not finder.session.problems


@pytest.mark.parametrize("status", [b"401 Who", b"404 Not Found", b"429 Wait", b"500 Oops"])
async def test_a_service_that_answers_errors_alone_ends_the_search(
    serve: Any, plan: Any, status: bytes
) -> None:
    answer = answer_raw(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
    finder = Finder(plan(serve(answer).url, slo=["p99<1s"]), FindLimits())
    with pytest.raises(ServiceGoneError) as ended:
        await outcome_of(finder, 3)
    assert f"http: {status[:3].decode()} (HTTP/1.1 {status.decode()})" in str(ended.value)
    assert finder.session.elapsed_s < 3
    assert finder.found.ended_by == "error"
    assert str(ended.value) in finder.found.reason
    assert not load_workers()


async def test_a_service_that_is_gone_ends_the_search(plan: Any) -> None:
    finder = Finder(plan("http://127.0.0.1:9/", slo=["p99<1s"]), FindLimits())
    with pytest.raises(ServiceGoneError, match="nothing answers at"):
        await outcome_of(finder, 3)
    assert finder.session.elapsed_s < 3


async def test_a_search_ends_with_the_recording_that_it_replays(
    serve: Any, plan: Any, tmp_path: Path
) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("timestamp\n" + "".join(f"{n / 40}\n" for n in range(100)))
    replayed = plan(serve().url, slo=["p99<5s"], arrivals=f"trace:{trace}")
    finder = Finder(replayed, FindLimits(start_per_s=40))
    found = await outcome_of(finder, 12)
    assert "cut short by the end of the recording" in found.reason
    assert finder.session.total.offered == 100


async def test_a_service_that_dies_meanwhile_ends_the_search(serve: Any, plan: Any) -> None:
    dying = answer_by(lambda number: OK if number < 30 else http(b"", 500))
    finder = Finder(plan(serve(dying).url, slo=["p99<5s"]), FindLimits(start_per_s=40))
    with pytest.raises(ServiceGoneError, match=r"every request failed at .*http: 500"):
        await outcome_of(finder, 12)
    assert any(step.completed for step in finder.found.steps)


async def test_what_computes_leaves_the_cores_to_the_load(serve: Any, plan: Any) -> None:
    finder = Finder(plan(serve().url, slo=["p99<5s"]), FindLimits(start_per_s=40))
    async for _ in steps_of(finder, 1):
        (computing,) = (one for one in threading.enumerate() if one.name.startswith("search"))
        ours, its = (os.getpriority(os.PRIO_PROCESS, one) for one in (0, computing.native_id or 0))
        assert its > ours
    computing.join(TIMEOUT_S)
    assert not computing.is_alive()


async def test_failures_and_answers_over_the_bound_are_told(serve: Any, plan: Any) -> None:
    failing = answer_by(lambda number: http(b"", 500) if number % 10 == 3 else OK)
    finder = Finder(plan(serve(failing).url, slo=["p99<5s"]), FindLimits(start_per_s=80))
    found = await outcome_of(finder, 1)
    (step,) = found.steps
    assert step.decision == "breaks"
    assert step.reasons == {"http: 500": step.failed}
    assert step.over == step.failed > 0
    assert found.curve[0].share == pytest.approx(0.1, abs=0.05)


async def test_a_stretch_in_which_the_generator_stalled_is_late(serve: Any, plan: Any) -> None:
    """Each interval it is stopped for 60 ms, before a service that answers at once."""

    def stall(interval: Interval) -> None:
        (pid,) = load_workers()
        os.kill(pid, signal.SIGSTOP)
        asyncio.get_running_loop().call_later(0.06, os.kill, pid, signal.SIGCONT)

    finder = Finder(plan(serve().url, slo=["p99<50ms"]), FindLimits(start_per_s=200), stall)
    (step,) = (await outcome_of(finder, 1)).steps
    assert step.decision == "late"
    assert "the generator was late: p99 send lag" in step.reason


async def test_a_stretch_that_the_cap_on_connections_broke_says_so(serve: Any, plan: Any) -> None:
    capped = plan(serve(answer_after(0.1)).url, connections=12, slo=["p99<300ms"])
    finder = Finder(capped, FindLimits(start_per_s=200))
    found = await outcome_of(finder, 2)
    doubts = [step.doubt for step in found.steps if step.doubt is not None]
    assert doubts
    assert all("requests waited for a free connection" in doubt for doubt in doubts)
    assert doubts[-1] in found.findings


def test_an_slo_without_a_rate_is_refused(plan: Any) -> None:
    with pytest.raises(UsageError, match="needs a percentile"):
        Finder(plan("http://h/", slo=["max<1s"]), FindLimits())


@pytest.mark.alone("finds the capacity of this machine's server")
async def test_a_service_of_known_capacity(serve: Any, plan: Any) -> None:
    """One server that takes 20 ms: it serves at most 50 a second, and about 42 within p99<150ms."""
    finder = Finder(plan(serve(answer_in_turn(0.02)).url, slo=["p99<150ms"]), FindLimits(for_s=30))
    async for _ in finder.progress():
        pass
    found = finder.found
    if any(step.decision == "late" for step in found.steps):
        pytest.skip("this machine has no core left for the generator")
    assert found.confirmed
    assert found.estimate_per_s == pytest.approx(43, rel=0.08)
    assert found.rate_per_s is not None
    assert 35 < found.rate_per_s < 46
