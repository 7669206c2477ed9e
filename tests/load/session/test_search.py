"""The search: its course on services of known capacity, and one real one."""

import asyncio
import math
import os
import signal
import time
from typing import Any

import numpy as np
import pytest

from tailrace.errors import UsageError
from tailrace.load.judge.slo import parse_slo
from tailrace.load.measure.measurement import Measurement
from tailrace.load.measure.point import Interval
from tailrace.load.session.search import (
    Decision,
    Searcher,
    SearchLimits,
    ServiceGoneError,
    Step,
    conclude,
    judge_step,
    outlook,
    search,
)
from tests.kit.plans import load_workers
from tests.kit.samples import measured
from tests.kit.server import OK, answer_after, answer_by, answer_in_turn, answer_raw, http

SLO = parse_slo("p99<100ms")


def step(rate: float, holds: bool | None, duration_s: float) -> Step:
    decision: Decision = "late" if holds is None else "holds" if holds else "breaks"
    return Step(
        rate_per_s=rate,
        decision=decision,
        reason="the generator was late: use another",
        duration_s=duration_s,
        offered=1,
        completed=1,
        failed=0,
        over=0,
        percentile_ms=1.0,
        send_lag_p99_us=1.0,
    )


async def course(capacity: float, limits: SearchLimits) -> list[Step]:
    async def measure(rate: float, at_least_s: float) -> Step:
        return step(rate, rate <= capacity, at_least_s)

    return [step async for step in search(measure, limits)]


@pytest.mark.parametrize("capacity", [0.7, 10, 33.3, 1000, 54321])
async def test_it_closes_in_from_below(capacity: float) -> None:
    steps = await course(capacity, SearchLimits())
    found = conclude("http://h/", SLO, SearchLimits(), steps)
    assert found.confirmed
    assert found.rate_per_s is not None
    assert capacity / 1.02 <= found.rate_per_s <= capacity
    assert len(steps) <= 2 * abs(math.log2(capacity / 10)) + 12


async def test_nothing_holds() -> None:
    found = conclude("u", SLO, SearchLimits(), await course(0.05, SearchLimits()))
    assert found.rate_per_s is None
    assert not found.confirmed
    assert "not even 0.1 requests a second" in found.reason


async def test_everything_holds() -> None:
    limits = SearchLimits(highest=5000)
    found = conclude("u", SLO, limits, await course(1e9, limits))
    assert found.rate_per_s == 5000
    assert "the most that was allowed" in found.reason


@pytest.mark.parametrize("capacity", [3, 33.3, 1000, 54321])
async def test_it_says_how_many_steps_are_to_come(capacity: float) -> None:
    limits = SearchLimits()
    steps = await course(capacity, limits)
    said = [outlook(steps[:done], limits) for done in range(len(steps))]
    course_of = [what for what in said if what.endswith("to go")]
    assert course_of
    left = [int(what.split()[0]) for what in course_of]
    assert left == list(range(left[0], left[0] - len(left), -1))
    assert left[-1] in (1, 2)
    before = {"doubling", "halving"} if capacity < limits.start else {"doubling"}
    assert set(said[: said.index(course_of[0])]) == before
    assert said[-1] == "confirming"


async def late_from(limit: float, recovers: bool = False) -> list[Step]:
    """A search on a service of 1,000/s, by a generator that is late from `limit` on; on one that
    `recovers` only the first time at each rate.
    """
    seen: set[float] = set()

    async def measure(rate: float, at_least_s: float) -> Step:
        late = rate >= limit and not (recovers and rate in seen)
        seen.add(rate)
        return step(rate, None if late else rate <= 1000, at_least_s)

    return [step async for step in search(measure, SearchLimits())]


async def test_where_the_generator_is_late_is_its_own_limit_not_the_services() -> None:
    steps = await late_from(300)
    found = conclude("u", SLO, SearchLimits(), steps)
    assert found.rate_per_s is not None
    assert 290 < found.rate_per_s < 300
    assert found.confirmed
    assert "it is not the service that is measured: the generator was late" in found.reason
    assert "do not" not in found.reason
    # Each such rate was tried again.
    late = [step.rate_per_s for step in steps if step.decision == "late"]
    assert {late.count(rate) for rate in late} == {3}


async def test_a_rate_at_which_the_generator_was_late_once_is_decided_by_the_next_try() -> None:
    found = conclude("u", SLO, SearchLimits(), await late_from(300, recovers=True))
    assert found.confirmed
    assert found.rate_per_s == pytest.approx(1000, rel=0.02)
    assert found.reason.endswith("do not")


async def test_a_generator_that_is_late_at_any_rate_ends_the_search() -> None:
    steps = await late_from(0)
    found = conclude("u", SLO, SearchLimits(), steps)
    assert (found.rate_per_s, found.confirmed) == (None, False)
    assert found.reason.startswith("at 2.5 it is not the service that is measured: the generator")
    assert len(steps) == 9


async def test_a_late_confirmation_confirms_nothing() -> None:
    async def measure(rate: float, at_least_s: float) -> Step:
        return step(rate, None if at_least_s >= 30 else rate <= 100, at_least_s)

    steps = [step async for step in search(measure, SearchLimits())]
    found = conclude("u", SLO, SearchLimits(), steps)
    assert not found.confirmed
    assert found.rate_per_s is not None
    assert [step.decision for step in steps[-3:]] == ["late"] * 3


async def test_a_confirmation_that_fails_steps_down() -> None:
    async def measure(rate: float, at_least_s: float) -> Step:
        # Long runs show what short ones do not.
        return step(rate, rate <= (100 if at_least_s < 30 else 95), at_least_s)

    steps = [step async for step in search(measure, SearchLimits())]
    found = conclude("u", SLO, SearchLimits(), steps)
    assert found.confirmed
    assert found.rate_per_s is not None
    assert 92 < found.rate_per_s <= 95


def test_a_search_that_was_cut_is_not_confirmed() -> None:
    steps = [step(10, True, 30), step(20, True, 30)]
    found = conclude("u", SLO, SearchLimits(), steps, "SIGTERM")
    assert (found.rate_per_s, found.confirmed, found.ended_by) == (20, False, "SIGTERM")
    assert found.reason.endswith("; cut short by SIGTERM")
    assert conclude("u", SLO, SearchLimits(), [], "SIGTERM").ended_by == "SIGTERM"


def tally_of(fast: int, slow: int = 0, failed: int = 0, outstanding: int = 0) -> Measurement:
    return measured([10.0] * fast + [200.0] * slow, failed, backlog=outstanding)


@pytest.mark.parametrize(
    ("total", "decision"),
    [
        (tally_of(0), None),
        (tally_of(458), None),
        (tally_of(459), "holds"),
        (tally_of(661, 1), "holds"),
        (tally_of(500, 2), None),
        (tally_of(300, 20), "breaks"),
        (tally_of(300, failed=20), "breaks"),
        # 10 requests a second and 100 ms: one may be outstanding for good reason, 500 may not.
        (tally_of(459, outstanding=10), "holds"),
        (tally_of(459, outstanding=500), "breaks"),
    ],
)
def test_a_step_is_decided_as_soon_as_it_can_be(total: Measurement, decision: str | None) -> None:
    assert judge_step(total, 10.0, SLO) == decision


def test_an_slo_without_a_percentile_is_refused(plan: Any) -> None:
    with pytest.raises(UsageError, match="needs a percentile"):
        Searcher(plan("http://h/"), parse_slo("mean<1s"), SearchLimits(), lambda *_: None)


def md1_rate(service_s: float, bound_s: float) -> float:
    """The Poisson rate at which p99 of the time in an M/D/1 queue is `bound_s`, by Lindley's
    recursion over a million arrivals a candidate.
    """
    gaps = np.random.default_rng(1).standard_exponential(1_000_000)
    low, high = 0.1 / service_s, 1 / service_s
    for _ in range(12):
        rate = (low + high) / 2
        walk = np.concatenate([[0.0], np.cumsum(service_s - gaps / rate)])
        waits = walk - np.minimum.accumulate(walk)
        if np.quantile(waits + service_s, 0.99) < bound_s:
            low = rate
        else:
            high = rate
    return low


@pytest.mark.alone("finds the capacity of this machine's server within 5 %")
async def test_a_service_of_known_capacity(serve: Any, plan: Any) -> None:
    """One server with a fixed service time of 4 ms: the rate found is theory's within 5 %.

    What else this machine does can only slow the service down: a first search that ends below is
    given a second chance.
    """
    slo = parse_slo("p99<24ms")
    limits = SearchLimits(
        start=110, precision=0.03, step_s=3, longest_s=10, warmup_s=1, confirm_s=5
    )
    expected = md1_rate(0.004, 0.024)
    found = 0.0
    for _ in range(2):
        searcher = Searcher(
            plan(serve(answer_in_turn(0.004)).url, interval_s=0.5), slo, limits, lambda *_: None
        )
        steps = [step async for step in search(searcher.measure, limits)]
        found = conclude("u", slo, limits, steps).rate_per_s or 0.0
        if found > 0.95 * expected:
            break
    if steps[-1].decision == "late":
        pytest.skip("this machine has no core left for the generator")
    assert found == pytest.approx(expected, rel=0.05)


async def test_a_step_in_which_the_generator_stalled_is_late(serve: Any, plan: Any) -> None:
    """Each interval it is stopped for 60 ms, before a service that answers at once."""

    def stall(rate_per_s: float, interval: Interval) -> None:
        (pid,) = load_workers()
        os.kill(pid, signal.SIGSTOP)
        asyncio.get_running_loop().call_later(0.06, os.kill, pid, signal.SIGCONT)

    limits = SearchLimits(step_s=1, longest_s=2, warmup_s=0.4)
    searcher = Searcher(plan(serve().url, interval_s=0.2), parse_slo("p99<50ms"), limits, stall)
    tried = await searcher.measure(200, 1)
    assert tried.decision == "late"
    assert "the generator was late: p99 send lag" in tried.reason


async def test_a_step_that_the_cap_on_connections_broke_says_so(serve: Any, plan: Any) -> None:
    limits = SearchLimits(step_s=2, longest_s=4, warmup_s=0.4)
    capped = plan(serve(answer_after(0.05)).url, interval_s=0.2, connections=4)
    slo = parse_slo("p99<500ms")
    searcher = Searcher(capped, slo, limits, lambda *_: None)
    # A busy machine's step is late, and is tried again, as by a search.
    while (broke := await searcher.measure(150, 2)).decision == "late":
        pass
    assert broke.decision == "breaks"
    assert "requests waited for a free connection" in (broke.doubt or "")
    found = conclude("u", slo, limits, [step(60, True, 2), broke])
    assert "150 do not (" in found.reason
    assert "raise --connections" in found.reason


async def test_a_generator_that_stays_late_does_not_take_the_longest_time(
    serve: Any, plan: Any
) -> None:
    """At 5/s the SLO would be proven after 92 s; that the generator is late is so after one."""

    begun = asyncio.Event()

    async def stall() -> None:
        await begun.wait()
        while workers := load_workers():
            (pid,) = workers
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(0.1)
            os.kill(pid, signal.SIGCONT)
            await asyncio.sleep(0.05)

    limits = SearchLimits(step_s=1, longest_s=100, warmup_s=0.4)
    searcher = Searcher(plan(serve().url, interval_s=0.2), SLO, limits, lambda *_: begun.set())
    stalling = asyncio.create_task(stall())
    began = time.monotonic()
    tried = await searcher.measure(5, 1)
    stalling.cancel()
    assert tried.decision == "late"
    assert time.monotonic() - began < 60


async def test_what_is_counted_is_what_comes_after_the_warm_up(serve: Any, plan: Any) -> None:
    limits = SearchLimits(step_s=1, longest_s=1, warmup_s=1)
    plan = plan(serve().url, arrivals="constant", interval_s=0.5)
    tried = await Searcher(plan, SLO, limits, lambda *_: None).measure(100, 1)
    assert tried.duration_s == pytest.approx(1, abs=0.2)
    assert tried.offered / tried.duration_s == pytest.approx(100, rel=0.05)


@pytest.mark.parametrize("status", [b"401 Who", b"404 Not Found", b"429 Wait", b"500 Oops"])
async def test_a_service_that_answers_errors_alone_ends_the_search(
    serve: Any, plan: Any, status: bytes
) -> None:
    answer = answer_raw(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
    searcher = Searcher(plan(serve(answer).url, interval_s=0.2), SLO, SearchLimits(), lambda *_: 0)
    began = time.monotonic()
    with pytest.raises(ServiceGoneError) as ended:
        await searcher.measure(20, 60)
    assert f"http: {status[:3].decode()} (HTTP/1.1 {status.decode()})" in str(ended.value)
    assert time.monotonic() - began < 40


async def test_a_service_that_dies_in_a_later_step_ends_the_search(serve: Any, plan: Any) -> None:
    dying = answer_by(lambda number: OK if number < 30 else http(b"", 500))
    limits = SearchLimits(step_s=0.5, longest_s=0.5, warmup_s=0.2)
    searcher = Searcher(plan(serve(dying).url, interval_s=0.2), SLO, limits, lambda *_: None)
    await searcher.measure(100, 0.5)
    with pytest.raises(ServiceGoneError, match=r"every request failed at .*http: 500"):
        await searcher.measure(100, 0.5)


async def test_a_service_that_is_gone_ends_the_search(plan: Any) -> None:
    limits = SearchLimits(start=20, step_s=1, warmup_s=0.5)
    searcher = Searcher(plan("http://127.0.0.1:9/", interval_s=0.5), SLO, limits, lambda *_: None)
    with pytest.raises(ServiceGoneError, match="nothing answers at"):
        await searcher.measure(20, 1)


async def test_a_search_that_is_cancelled_ends_at_once(serve: Any, plan: Any) -> None:
    searcher = Searcher(
        plan(serve().url, interval_s=0.2),
        SLO,
        SearchLimits(),
        lambda rate, interval: searcher.cancel("SIGINT"),
    )
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await searcher.measure(20, 60)
    assert time.monotonic() - began < 40


@pytest.mark.parametrize(
    ("limits", "complaint"),
    [
        ({"start": 0.0}, "the start rate must be at least 0.1 a second, not 0"),
        ({"highest": 0.0}, "the highest rate must be at least 0.1 a second, not 0"),
        ({"step_s": 20.0, "longest_s": 10.0}, "10 s, is shorter than the least, 20 s"),
    ],
)
def test_limits_between_which_there_is_nothing(limits: dict[str, float], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        SearchLimits(**limits)
