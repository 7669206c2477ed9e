"""Intended times of a worker, held back by a cap, and of a schedule that several runs share."""

import asyncio
import time
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from typing import Any

import numpy as np
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tailrace.errors import UsageError
from tailrace.load.client.request import Body
from tailrace.load.schedule.arrivals import Arrivals, Poisson, parse_arrivals
from tailrace.load.schedule.profile import Profile, constant, parse_profile
from tailrace.load.schedule.schedule import (
    NEVER_NS,
    Cap,
    Part,
    Schedule,
    parse_part,
    parse_start,
)
from tailrace.load.session.session import Session
from tailrace.load.worker.launcher import GeneratorError
from tests.kit.plans import make_plan


def run_schedule(
    arrivals: Arrivals,
    profile: Profile,
    until_s: float,
    change: tuple[float, float] | None = None,
    seed: int = 1,
    worker: int = 0,
    workers: int = 1,
) -> NDArray[np.float64]:
    """Intended times in s, taken one by one as a worker takes them, with one live change."""
    schedule = Schedule(arrivals, profile, seed, worker, workers)
    taken: list[int] = []
    due = schedule.next_piece().tolist()
    position = 0
    while True:
        while position == len(due):
            due, position = schedule.next_piece().tolist(), 0
        if change is not None and due[position] >= change[0] * 1e9:
            due, position = schedule.change(change[0], constant(change[1]), position).tolist(), 0
            change = None
            continue
        if due[position] >= until_s * 1e9:
            return np.array(taken) / 1e9
        taken.append(due[position])
        position += 1


def test_constant_rate_gives_exactly_rate_times_duration() -> None:
    times = run_schedule(parse_arrivals("constant"), constant(250), 10)
    assert len(times) == 2500
    assert np.allclose(np.diff(times), 1 / 250)


@pytest.mark.parametrize("seed", range(1, 6))
def test_from_100_to_1000_live(seed: int) -> None:
    times = run_schedule(Poisson(), constant(100), 12, change=(2.0, 1000.0), seed=seed)
    after = times[times >= 2.0] - 2.0
    assert len(after) / 10 == pytest.approx(1000, rel=0.03)
    # No burst: no 10 ms holds more than Poisson gives once in a million.
    counts, _ = np.histogram(after, bins=np.arange(0, 10.001, 0.010))
    assert counts.max() <= scipy.stats.poisson.isf(1e-6, 10)
    # No gap: the change loses no time before the first arrival at the new rate.
    assert after[0] < scipy.stats.expon.isf(1e-6, scale=1 / 1000)
    assert scipy.stats.kstest(np.diff(after), "expon", args=(0, 1 / 1000)).pvalue > 0.001


def test_the_first_interval_after_a_change_has_the_new_rate() -> None:
    firsts = []
    for seed in range(200):
        times = run_schedule(Poisson(), constant(100), 3, change=(2.0, 1000.0), seed=seed)
        firsts.append(int((times >= 2.0).sum()))
    # Poisson: mean 1,000, standard deviation √1,000; 200 of them bound the mean to ±7.
    assert np.mean(firsts) == pytest.approx(1000, abs=7)
    assert np.std(firsts) == pytest.approx(np.sqrt(1000), rel=0.15)
    even = run_schedule(parse_arrivals("constant"), constant(100), 3, change=(2.0, 1000.0))
    assert (even >= 2.0).sum() == pytest.approx(1000, abs=1)


@pytest.mark.parametrize("workers", [2, 4, 10])
def test_a_live_change_is_the_same_for_every_number_of_workers(workers: int) -> None:
    whole = run_schedule(Poisson(), constant(500), 5, change=(1.5, 2000))
    parts = [
        run_schedule(Poisson(), constant(500), 5, (1.5, 2000), worker=worker, workers=workers)
        for worker in range(workers)
    ]
    assert np.array_equal(np.sort(np.concatenate(parts)), whole)


def test_a_pause_and_its_end() -> None:
    schedule = Schedule(Poisson(), constant(0), 1)
    assert (schedule.next_piece() == NEVER_NS).all()
    resumed = schedule.change(7.0, constant(100), 0)
    assert resumed[0] >= 7e9
    assert np.diff(resumed).mean() == pytest.approx(1e7, rel=0.1)


GIVEN = [
    "0",
    "30",
    "4000",
    "100..900/50ms,30",
    "sine(mean=300,amp=300,period=40ms,phase=0.3)",
    "burst(base=0,peak=900,every=8ms,for=2ms)",
    "200@4ms,0@3ms,700",
]


@pytest.mark.parametrize("workers", [1, pytest.param(3, marks=pytest.mark.slow("the same again"))])
def test_thousands_of_changes_move_no_arrival_and_leave_nothing_behind(workers: int) -> None:
    """A change each 10 ms for half a minute, known 10 ms ahead, on a clock that only this test
    moves: the times are those of the profile that remembers every change, bit for bit.
    """
    draw = np.random.default_rng(4)
    changes = [
        (number * 0.01 + 0.007 * draw.random(), parse_profile(GIVEN[draw.integers(len(GIVEN))]))
        for number in range(1, 3000)
    ]
    whole = constant(500)
    for change in changes:
        whole = whole.changed(*change)
    for worker in range(workers):
        schedule = Schedule(Poisson(), constant(500), 2, worker, workers)
        taken: list[int] = []
        due, position = schedule.next_piece().tolist(), 0
        for t_s, following in [*changes, (60.0, constant(0))]:
            now_ns = (t_s - 0.01) * 1e9
            while True:
                if position == len(due):
                    due, position = schedule.next_piece().tolist(), 0
                if due[position] > now_ns:
                    break
                taken.append(due[position])
                position += 1
            due, position = schedule.change(t_s, following, position).tolist(), 0
            assert len(schedule.profile.segments) <= 12
        units = np.concatenate(list(islice(Poisson().chunks(2), 10)))[worker::workers]
        expected = np.rint(whole.inverse(units) * 1e9)
        assert len(taken) > 3000
        assert np.array_equal(taken, expected[expected <= (60.0 - 0.01) * 1e9])


@pytest.mark.parametrize("arrivals", ["poisson", "constant"])
@pytest.mark.parametrize("at_s", [0.0, 0.3, 2.0, 7.77])
@pytest.mark.parametrize("worker", [0, 2])
def test_what_is_skipped_is_all_that_is_due_before(arrivals: str, at_s: float, worker: int) -> None:
    """As one that takes a worker's place does it: knowing nothing of the profile's past, in two
    steps, with a change between them.
    """
    process = parse_arrivals(arrivals)
    profile = parse_profile("200@1s,3000..100/4s,900")
    whole = run_schedule(
        process, profile, 20, change=(at_s + 0.05, 400.0), worker=worker, workers=3
    )
    schedule = Schedule(process, profile.without_past(at_s), 1, worker, 3)
    skipped = schedule.skip(at_s)
    schedule.change(at_s + 0.05, constant(400), 0)
    skipped += schedule.skip(at_s + 0.0987)
    assert skipped == (whole < at_s + 0.0987).sum()
    rest: list[float] = []
    while not rest or rest[-1] < 20:
        rest += (schedule.next_piece() / 1e9).tolist()
    assert [t for t in rest if t < 20] == whole[skipped:].tolist()


DENSE = "mmpp:low=1,high=1000000,low_for=500000,high_for=5000"


def taken(
    schedule: Schedule, until_s: float, *changes: tuple[float, str], lead_s: float = 0.01
) -> NDArray[np.float64]:
    """Intended times in s, taken one by one as a worker takes them, changes told ahead of time."""
    sent: list[int] = []
    due, position = schedule.next_piece().tolist(), 0
    for at_s, given_text in (*changes, (until_s, "")):
        while True:
            while position == len(due):
                due, position = schedule.next_piece().tolist(), 0
            if due[position] >= (at_s - (lead_s if given_text else 0)) * 1e9:
                break
            sent.append(due[position])
            position += 1
        if given_text:
            profile = parse_profile(given_text)
            due, position = schedule.change(at_s, profile, position).tolist(), 0
    return np.array(sent) / 1e9


def most_in(times: NDArray[np.float64], window_s: float) -> int:
    """The most that any window, its end left out, has; times are good to 1 µs."""
    ends = np.searchsorted(times, times + window_s - 2e-6, side="left")
    return int((ends - np.arange(len(times))).max(initial=0))


@pytest.mark.parametrize(
    "arrivals", ["constant", "poisson", "gamma:4", DENSE, "mmpp:low=0,high=9,low_for=50,high_for=9"]
)
@pytest.mark.parametrize("profile", ["100", "20..100/3s,100", "sine(mean=50,amp=50,period=2s)"])
def test_no_second_has_more(arrivals: str, profile: str) -> None:
    for seed in (1, 592):
        schedule = Schedule(parse_arrivals(arrivals), parse_profile(profile), seed, cap_per_s=100)
        times = taken(schedule, 20)
        assert (np.diff(times) >= 0).all()
        assert most_in(times, 1.0) <= 100


@settings(max_examples=200)
@given(
    gaps=st.lists(st.floats(0, 0.3), max_size=300),
    rate=st.one_of(st.integers(1, 50).map(float), st.floats(0.3, 50)),
    cut=st.integers(1, 300),
)
def test_what_is_too_dense_is_held_and_nothing_else(
    gaps: list[float], rate: float, cut: int
) -> None:
    due = np.cumsum(gaps)
    cap = Cap(rate)
    first = cap.hold(due[:cut])
    cap.pass_all()
    left = np.concatenate([first, cap.hold(due[cut:])])
    assert len(left) == len(due)
    assert (left >= due).all()
    assert (np.diff(left) >= 0).all()
    assert most_in(left, np.ceil(rate) / rate) <= np.ceil(rate)
    if most_in(due, np.ceil(rate) / rate) <= np.ceil(rate):
        assert np.array_equal(left, due)
        assert not cap.held


def test_below_the_cap_no_time_changes() -> None:
    arrivals, profile = parse_arrivals("poisson"), constant(50)
    free = Schedule(arrivals, profile, 3)
    capped = Schedule(arrivals, profile, 3, cap_per_s=1000)
    for _ in range(50):
        assert np.array_equal(free.next_piece(), capped.next_piece())
    assert not capped.held


@pytest.mark.parametrize("workers", [2, 3, 7])
@pytest.mark.parametrize("arrivals", ["poisson", DENSE])
def test_all_workers_hold_back_the_one_schedule(arrivals: str, workers: int) -> None:
    changes = [(1.5, "30"), (1.52, "90"), (4.0, "0"), (5.0, "100..50/2s,100")]
    process = parse_arrivals(arrivals)
    whole = taken(Schedule(process, constant(100), 592, cap_per_s=100), 9, *changes)
    parts = [
        taken(Schedule(process, constant(100), 592, worker, workers, 100), 9, *changes)
        for worker in range(workers)
    ]
    assert np.array_equal(np.sort(np.concatenate(parts)), whole)
    assert all(np.array_equal(part, whole[w::workers][: len(part)]) for w, part in enumerate(parts))
    assert most_in(whole, 1.0) <= 100


def test_what_is_held_back_does_not_come_after_a_change() -> None:
    schedule = Schedule(parse_arrivals(DENSE), constant(100), 592, cap_per_s=100)
    times = taken(schedule, 20, (3.0, "0"), (7.0, "10"))
    assert schedule.held
    assert (times < 3.0).sum() > 250
    assert ((times >= 3.0) & (times < 7.0)).sum() == 0
    assert (times >= 7.0).sum() > 0


def test_a_change_further_ahead_than_a_piece() -> None:
    schedule = Schedule(parse_arrivals("poisson"), constant(5000), 1, cap_per_s=5000)
    times = taken(schedule, 3, (1.0, "0"), (2.0, "5000"), lead_s=0.3)
    assert ((times >= 1.0) & (times < 2.0)).sum() == 0
    assert (times < 1.0).sum() == pytest.approx(4900, rel=0.03)
    assert (times >= 2.0).sum() == pytest.approx(4900, rel=0.03)


@pytest.mark.parametrize("cap", [0.0, 0.5, 1.0, 2.5, 1e9, 1e12])
def test_any_cap(cap: float) -> None:
    schedule = Schedule(parse_arrivals("constant"), constant(min(cap, 1e5)), 1, cap_per_s=cap)
    times = np.concatenate([schedule.next_piece() for _ in range(3)]) / 1e9
    assert (np.diff(times) >= 0).all()
    assert not schedule.held


@pytest.mark.parametrize("workers", [1, 3])
def test_one_that_takes_over_counts_its_own(workers: int) -> None:
    process, profile = parse_arrivals("poisson"), constant(50)
    for worker in range(workers):
        free = Schedule(process, profile, 5, worker, workers)
        capped = Schedule(process, profile, 5, worker, workers, cap_per_s=1000)
        for at_s in (0.0, 3.7, 120.0):
            assert capped.skip(at_s) == free.skip(at_s)
        free_times = np.concatenate([free.next_piece() for _ in range(8)])
        pieces = [capped.next_piece() for _ in range(8 * workers)]
        assert np.array_equal(np.concatenate(pieces)[:500], free_times[:500])


@given(workers=st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_every_arrival_is_of_one_worker_of_one_part(workers: list[int]) -> None:
    parts = len(workers)
    shares = [
        Part(index, parts).share(worker, count)
        for index, count in enumerate(workers)
        for worker in range(count)
    ]
    for arrival in range(200):
        assert sum(arrival % shares_ == share for share, shares_ in shares) == 1


def test_the_whole_is_as_without_parts() -> None:
    assert [Part().share(worker, 3) for worker in range(3)] == [(0, 3), (1, 3), (2, 3)]


def test_parts_as_they_are_written() -> None:
    assert parse_part("0/8") == Part(0, 8)
    assert parse_part(str(Part(7, 8))) == Part(7, 8)
    for text in ("8/8", "1", "-1/2", "1/0", "a/b", "1/2/3", ""):
        with pytest.raises(UsageError, match="is no part"):
            parse_part(text)


def test_starts_as_they_are_written() -> None:
    soon = datetime.fromtimestamp(round(time.time()) + 3600, UTC)
    for zone in (UTC, timezone(timedelta(hours=2)), timezone(timedelta(hours=-11))):
        assert parse_start(soon.astimezone(zone).isoformat()) == soon.timestamp()
    for text in ("2299-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00"):
        with pytest.raises(UsageError, match="more than a year ahead"):
            make_plan("http://h/", start_at=text).check_start()
    with pytest.raises(UsageError, match="s ago"):
        make_plan("http://h/", start_at="2001-01-01T00:00:00Z").check_start()
    make_plan("http://h/", start_at=soon.isoformat()).check_start()
    for text in ("", "12:00", "2999-01-01T00:00:00", "4000000000"):
        with pytest.raises(UsageError, match="is no time with its zone"):
            parse_start(text)


@pytest.mark.slow("starts far enough ahead for the slowest worker")
async def test_parts_send_the_one_schedule_together(serve: Any, plan: Any) -> None:
    server = serve()
    # Ahead of when the slowest of their workers is there.
    start_at = time.time() + 10.0
    common = {
        "profile": "300",
        "duration_s": 1.5,
        "arrivals": "gamma:2",
        "start_at": datetime.fromtimestamp(start_at, UTC).isoformat(),
        "bodies": [Body(b"{{counter}}", "text/plain")],
    }
    sessions = [
        Session(plan(server.url, part="0/2", workers=1, **common)),
        Session(plan(server.url, part="1/2", workers=2, **common)),
    ]
    await asyncio.gather(*(session.start() for session in sessions))
    points = [[i.point async for i in session.intervals()] for session in sessions]

    schedule = Schedule(parse_arrivals("gamma:2", 1, 1), constant(300), 1)
    intended = np.concatenate([schedule.next_piece() for _ in range(10)]) / 1e9
    intended = intended[intended < 1.5]
    # Each of the schedule once, with its own number.
    assert sorted(map(int, server.bodies)) == list(range(len(intended)))
    assert {session.total.offered for session in sessions} == {
        len(intended[0::2]),
        len(intended[1::2]),
    }
    for session in sessions:
        assert session.start_wall_time == pytest.approx(start_at, abs=1e-3)
    assert all(point.target_per_s == 150 for part in points for point in part if point.t_s <= 1.5)
    arrived_s = np.array(server.arrived_ns) / 1e9 + time.time() - time.monotonic()
    late_s = np.sort(arrived_s) - start_at - intended
    assert late_s.min() > -1e-3


async def test_a_start_that_has_passed_is_no_start(serve: Any, plan: Any) -> None:
    passed = datetime.now(UTC).isoformat()
    session = Session(plan(serve().url, start_at=passed))
    with pytest.raises(GeneratorError, match="the time to start had passed"):
        await session.start()
