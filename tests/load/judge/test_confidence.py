import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from tailrace.load.judge.confidence import enough_for, percentile_interval_us, rank_interval
from tailrace.load.measure.histogram import Histogram

Draw = Callable[[np.random.Generator, tuple[int, int]], NDArray[np.float64]]
Quantile = Callable[[float], float]

DISTRIBUTIONS: dict[str, tuple[Draw, Quantile]] = {
    "exponential": (
        lambda rng, shape: rng.exponential(1000, shape),
        lambda p: float(stats.expon.ppf(p, scale=1000)),
    ),
    "lognormal": (
        lambda rng, shape: rng.lognormal(7, 1.5, shape),
        lambda p: float(stats.lognorm.ppf(p, 1.5, scale=math.exp(7))),
    ),
}
CASES = [
    (100, 50, 4000),
    (100, 90, 4000),
    (100, 95, 4000),
    (1000, 50, 2000),
    (1000, 90, 2000),
    (1000, 99, 2000),
    (10_000, 50, 400),
    (10_000, 99, 400),
    (10_000, 99.9, 400),
]


def recorded(times_us: NDArray[np.float64]) -> Histogram:
    histogram = Histogram()
    histogram.record((times_us * 1000).astype(np.int64))
    return histogram


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize(("count", "percent", "runs"), CASES)
def test_the_interval_holds_the_percentile_as_often_as_it_says(
    name: str, count: int, percent: float, runs: int
) -> None:
    draw, quantile = DISTRIBUTIONS[name]
    ranks = rank_interval(percent, count)
    assert ranks is not None
    low, high = ranks
    samples = np.sort(draw(np.random.default_rng(count), (runs, count)), axis=1)
    true = quantile(percent / 100)
    held = np.mean((samples[:, low - 1] <= true) & (true <= samples[:, high - 1]))
    four_errors = 4 * math.sqrt(0.95 * 0.05 / runs)
    promised = stats.binom.cdf(high - 1, count, percent / 100) - stats.binom.cdf(
        low - 1, count, percent / 100
    )
    assert held > 0.95 - four_errors
    assert abs(held - promised) < four_errors


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99, 0.999])
@pytest.mark.parametrize("percent", [5, 50, 90, 99, 99.9])
@pytest.mark.parametrize("count", [50, 500, 4000, 10**6, 10**8])
def test_no_narrower_ranks_would_do(count: int, percent: float, level: float) -> None:
    p, tail = percent / 100, (1 - level) / 2
    ranks = rank_interval(percent, count, level)
    if ranks is None:
        assert max(p**count, (1 - p) ** count) >= tail
        return
    low, high = ranks
    assert 1 <= low < high <= count
    # Missing on a side: fewer than `low` samples below the percentile, or at least `high`.
    assert stats.binom.cdf(low - 1, count, p) < tail <= stats.binom.cdf(low, count, p)
    assert stats.binom.sf(high - 1, count, p) < tail <= stats.binom.sf(high - 2, count, p)


def test_ranks_that_tables_give() -> None:
    # 95 % intervals of the median: sign test tables (Conover, Practical Nonparametric Statistics).
    assert rank_interval(50, 6) == (1, 6)
    assert rank_interval(50, 10) == (2, 9)
    assert rank_interval(50, 20) == (6, 15)
    assert rank_interval(50, 5) is None


def test_how_many_samples_a_percentile_needs() -> None:
    found = {percent: enough_for(percent) for percent in (50, 90, 95, 99, 99.9, 99.99)}
    assert found == {50: 6, 90: 36, 95: 72, 99: 368, 99.9: 3688, 99.99: 36_887}
    assert enough_for(1) == enough_for(99)
    assert enough_for(99, level=0.99) == 528


@given(st.floats(0.01, 99.99), st.floats(0.01, 0.999))
def test_an_interval_exists_from_enough_on_and_not_before(percent: float, level: float) -> None:
    enough = enough_for(percent, level)
    assert rank_interval(percent, enough, level) is not None
    assert rank_interval(percent, enough - 1, level) is None


@given(st.floats(1, 99), st.integers(0, 10**6), st.floats(0.5, 0.99))
def test_more_confidence_takes_a_wider_interval(percent: float, count: int, level: float) -> None:
    wide = rank_interval(percent, count, level + 0.009)
    narrow = rank_interval(percent, count, level)
    if wide is not None:
        assert narrow is not None
        assert wide[0] <= narrow[0] < narrow[1] <= wide[1]


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_for_anything(count: int) -> None:
    assert rank_interval(50, count) is None
    assert rank_interval(99, count) is None
    assert percentile_interval_us(recorded(np.ones(count)), 99) is None


@given(st.lists(st.integers(0, 10**13), min_size=6, max_size=300), st.sampled_from([50, 90, 95]))
def test_the_histograms_interval_covers_that_of_the_samples(
    values_ns: list[int], percent: float
) -> None:
    histogram = Histogram()
    histogram.record(np.array(values_ns, dtype=np.int64))
    ranks = rank_interval(percent, len(values_ns))
    interval = percentile_interval_us(histogram, percent)
    if ranks is None:
        assert interval is None
        return
    assert interval is not None
    in_order = sorted(values_ns)
    low_us, high_us = (in_order[rank - 1] / 1000 for rank in ranks)
    assert interval[0] <= low_us <= high_us <= interval[1] <= in_order[-1] / 1000
    hour_us = 3.6e9
    if high_us < hour_us:
        assert interval[0] == pytest.approx(low_us, rel=0.001, abs=1)
        assert interval[1] == pytest.approx(high_us, rel=0.001, abs=1)


def test_the_interval_surrounds_the_percentile_the_histogram_gives() -> None:
    times_us = np.random.default_rng(5).lognormal(9, 0.6, 20_000)
    histogram = recorded(times_us)
    for percent in (50, 90, 95, 99, 99.9):
        interval = percentile_interval_us(histogram, percent)
        assert interval is not None
        assert interval[0] <= histogram.percentile_us(percent)[0] <= interval[1]
    narrow, wide = (percentile_interval_us(histogram, percent) for percent in (50, 99.9))
    assert narrow is not None
    assert wide is not None
    assert narrow[1] / narrow[0] < 1.05 < wide[1] / wide[0] < 2


def test_latencies_beyond_the_histogram_keep_a_true_upper_end() -> None:
    two_hours = 7200 * 10**9
    histogram = Histogram()
    histogram.record(np.full(100, two_hours, dtype=np.int64))
    interval = percentile_interval_us(histogram, 90)
    assert interval is not None
    assert interval[0] <= 3.6e9
    assert interval[1] == two_hours / 1000


@pytest.mark.parametrize(
    ("percent", "level", "message"),
    [(0, 0.95, "percentile"), (100, 0.95, "percentile"), (99, 0, "level"), (99, 1, "level")],
)
def test_what_cannot_be_asked(percent: float, level: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rank_interval(percent, 1000, level)
    with pytest.raises(ValueError, match=message):
        enough_for(percent, level)
    with pytest.raises(ValueError, match="negative"):
        rank_interval(99, -1)
