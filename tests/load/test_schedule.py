import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from tailrace.load.arrivals import Arrivals, Poisson, parse_arrivals
from tailrace.load.profile import Profile
from tailrace.load.schedule import NEVER_NS, Schedule


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
    due = schedule.next_chunk().tolist()
    position = 0
    while True:
        while position == len(due):
            due, position = schedule.next_chunk().tolist(), 0
        if change is not None and due[position] >= change[0] * 1e9:
            due, position = schedule.change(*change, position).tolist(), 0
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
    assert (schedule.next_chunk() == NEVER_NS).all()
    resumed = schedule.change(7.0, 100.0, 0)
    assert resumed[0] >= 7e9
    assert np.diff(resumed).mean() == pytest.approx(1e7, rel=0.1)
