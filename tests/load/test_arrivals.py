from itertools import islice

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from tailrace.errors import UsageError
from tailrace.load.arrivals import Arrivals, Constant, Poisson, parse_arrivals, share


def first(arrivals: Arrivals, count: int, seed: int = 1) -> NDArray[np.float64]:
    chunks = arrivals.chunks(seed)
    drawn: list[NDArray[np.float64]] = []
    while sum(map(len, drawn)) < count:
        drawn.append(next(chunks))
    return np.concatenate(drawn)[:count]


def dispersion(times: NDArray[np.float64], end: float, bin_width: float) -> float:
    counts, _ = np.histogram(times, bins=np.arange(0, end + bin_width / 2, bin_width))
    return float(counts.var() / counts.mean())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_poisson_at_2000_per_second_for_10_seconds(seed: int) -> None:
    times = first(Poisson(), 22_000, seed) / 2000
    gaps = np.diff(times[times < 10])
    assert gaps.mean() == pytest.approx(1 / 2000, rel=0.02)
    assert gaps.var() == pytest.approx(1 / 2000**2, rel=0.06)
    assert 0.9 <= dispersion(times, 10, 0.010) <= 1.1
    assert stats.kstest(gaps, "expon", args=(0, 1 / 2000)).pvalue > 0.01


@pytest.mark.parametrize(("bin_width", "tolerance"), [(1, 0.02), (10, 0.05), (100, 0.1)])
def test_poisson_dispersion_is_one_at_every_scale(bin_width: float, tolerance: float) -> None:
    times = first(Poisson(), 200_000)
    assert dispersion(times, 190_000, bin_width) == pytest.approx(1, abs=tolerance)


def test_poisson_gaps_are_independent() -> None:
    gaps = np.diff(first(Poisson(), 100_000))
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 0.01


def test_seeds_differ_and_repeat() -> None:
    assert np.array_equal(first(Poisson(), 9000, 5), first(Poisson(), 9000, 5))
    assert not np.array_equal(first(Poisson(), 9000, 5), first(Poisson(), 9000, 6))


def test_constant_gaps_are_one() -> None:
    assert np.array_equal(first(Constant(), 10_000), np.arange(10_000))


@pytest.mark.parametrize("kind", ["constant", "poisson"])
@pytest.mark.parametrize("workers", [1, 2, 3, 4, 10])
def test_workers_together_send_the_one_schedule(kind: str, workers: int) -> None:
    arrivals = parse_arrivals(kind)
    whole = np.concatenate(list(islice(arrivals.chunks(7), 5)))
    parts = [
        np.concatenate(list(islice(share(arrivals.chunks(7), worker, workers), 5)))
        for worker in range(workers)
    ]
    for worker, part in enumerate(parts):
        assert np.array_equal(part, whole[worker::workers])
    assert np.array_equal(np.sort(np.concatenate(parts)), whole)


def test_workers_of_ten_are_not_bursts() -> None:
    """Workers seeded alike would give an index of dispersion near 10."""
    parts = [
        np.concatenate(list(islice(share(Poisson().chunks(1), worker, 10), 20)))
        for worker in range(10)
    ]
    union = np.sort(np.concatenate(parts))
    assert dispersion(union, 80_000, 20) == pytest.approx(1, abs=0.1)


def test_unknown_arrivals() -> None:
    with pytest.raises(UsageError, match="constant, poisson"):
        parse_arrivals("bursty")
