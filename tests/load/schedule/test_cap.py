import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tailrace.load.schedule.arrivals import parse_arrivals
from tailrace.load.schedule.cap import Cap
from tailrace.load.schedule.profile import constant, parse_profile
from tailrace.load.schedule.schedule import Schedule

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


@settings(deadline=None, max_examples=200)
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
