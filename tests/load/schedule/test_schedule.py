from itertools import islice

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from tailrace.load.schedule.arrivals import Arrivals, Poisson, parse_arrivals
from tailrace.load.schedule.profile import Profile, constant, parse_profile
from tailrace.load.schedule.schedule import NEVER_NS, Schedule


def run(
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
    times = run(parse_arrivals("constant"), Profile([0], [250]), 10)
    assert len(times) == 2500
    assert np.allclose(np.diff(times), 1 / 250)


@pytest.mark.parametrize("seed", range(1, 6))
def test_from_100_to_1000_live(seed: int) -> None:
    times = run(Poisson(), Profile([0], [100]), 12, change=(2.0, 1000.0), seed=seed)
    after = times[times >= 2.0] - 2.0
    assert len(after) / 10 == pytest.approx(1000, rel=0.03)
    # No burst: no 10 ms holds more than Poisson gives once in a million.
    counts, _ = np.histogram(after, bins=np.arange(0, 10.001, 0.010))
    assert counts.max() <= stats.poisson.isf(1e-6, 10)
    # No gap: the change loses no time before the first arrival at the new rate.
    assert after[0] < stats.expon.isf(1e-6, scale=1 / 1000)
    assert stats.kstest(np.diff(after), "expon", args=(0, 1 / 1000)).pvalue > 0.001


def test_the_first_interval_after_a_change_has_the_new_rate() -> None:
    firsts = []
    for seed in range(200):
        times = run(Poisson(), Profile([0], [100]), 3, change=(2.0, 1000.0), seed=seed)
        firsts.append(int((times >= 2.0).sum()))
    # Poisson: mean 1,000, standard deviation √1,000; 200 of them bound the mean to ±7.
    assert np.mean(firsts) == pytest.approx(1000, abs=7)
    assert np.std(firsts) == pytest.approx(np.sqrt(1000), rel=0.15)
    constant = run(parse_arrivals("constant"), Profile([0], [100]), 3, change=(2.0, 1000.0))
    assert (constant >= 2.0).sum() == pytest.approx(1000, abs=1)


@pytest.mark.parametrize("workers", [2, 4, 10])
def test_a_live_change_is_the_same_for_every_number_of_workers(workers: int) -> None:
    whole = run(Poisson(), Profile([0], [500]), 5, change=(1.5, 2000))
    parts = [
        run(Poisson(), Profile([0], [500]), 5, (1.5, 2000), worker=worker, workers=workers)
        for worker in range(workers)
    ]
    assert np.array_equal(np.sort(np.concatenate(parts)), whole)


def test_a_pause_and_its_end() -> None:
    schedule = Schedule(Poisson(), Profile([0], [0]), 1)
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


@pytest.mark.parametrize("workers", [1, 3])
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
        for t_s, given in [*changes, (60.0, constant(0))]:
            now_ns = (t_s - 0.01) * 1e9
            while True:
                if position == len(due):
                    due, position = schedule.next_piece().tolist(), 0
                if due[position] > now_ns:
                    break
                taken.append(due[position])
                position += 1
            due, position = schedule.change(t_s, given, position).tolist(), 0
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
    whole = run(process, profile, 20, change=(at_s + 0.05, 400.0), worker=worker, workers=3)
    schedule = Schedule(process, profile.without_past(at_s), 1, worker, 3)
    skipped = schedule.skip(at_s)
    schedule.change(at_s + 0.05, constant(400), 0)
    skipped += schedule.skip(at_s + 0.0987)
    assert skipped == (whole < at_s + 0.0987).sum()
    rest: list[float] = []
    while not rest or rest[-1] < 20:
        rest += (schedule.next_piece() / 1e9).tolist()
    assert [t for t in rest if t < 20] == whole[skipped:].tolist()
