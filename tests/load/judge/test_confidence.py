import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from tailrace.load.judge.confidence import (
    allowed_over,
    chance_at_most,
    estimate_rank,
    min_queries,
    still_needed,
)

PERCENTS = [50, 75, 90, 95, 97, 99, 99.9, 99.99]

percents = st.one_of(st.sampled_from(PERCENTS), st.floats(1, 99.999))
overs = st.one_of(st.integers(0, 50), st.integers(0, 1_000_000))
queries = st.one_of(st.integers(0, 2000), st.integers(0, 100_000_000))


@pytest.mark.parametrize(
    ("percent", "h_min", "total"),
    [(90, [44, 63, 79], [44, 64, 81]), (99, [459, 661, 836], [459, 662, 838])],
)
def test_the_rules_own_numbers(percent: float, h_min: list[int], total: list[int]) -> None:
    found = [min_queries(percent, over) for over in range(3)]
    assert found == total
    assert [n - over for over, n in enumerate(found)] == h_min


@pytest.mark.parametrize(
    ("percent", "sent", "over", "needed"),
    [
        (99, 458, 0, 1),
        (99, 459, 0, 0),
        (99, 600, 1, 62),
        (99, 1000, 7, 596),
        (99, 3000, 40, 2727),
        (99, 5000, 100, 7571),
        (90, 80, 2, 1),
        (90, 2000, 1543, 14321),
    ],
)
def test_server_runs_as_loadgen_judged_them(
    percent: float, sent: int, over: int, needed: int
) -> None:
    """What mlcommons-loadgen 6.0.17 wrote after such runs: "at least … more queries"."""
    assert still_needed(percent, sent, over) == needed


@pytest.mark.parametrize(
    ("percent", "sent", "discarded"),
    [
        (90, 63, None),
        (90, 64, 0),
        (90, 80, 0),
        (90, 81, 1),
        (90, 1024, 79),
        (90, 20000, 1900),
        (99, 661, None),
        (99, 662, 0),
        (99, 838, 1),
        (99, 20000, 166),
    ],
)
def test_stream_runs_as_loadgen_judged_them(
    percent: float, sent: int, discarded: int | None
) -> None:
    """What mlcommons-loadgen 6.0.17 wrote: "Would discard … highest latency queries"."""
    rank = estimate_rank(percent, sent)
    assert rank == (None if discarded is None else sent - 1 - discarded)


def exact_chance_at_most(count: int, trials: int, share: Fraction) -> Fraction:
    return sum(
        (math.comb(trials, k) * share**k * (1 - share) ** (trials - k) for k in range(count + 1)),
        Fraction(0),
    )


@pytest.mark.parametrize("percent", [30, 50, 75, 90, 95])
def test_small_cases_are_those_of_exact_fractions(percent: int) -> None:
    share = Fraction(100 - percent, 100)
    for over in range(6):
        n = over + 1
        while exact_chance_at_most(over, n, share) >= Fraction(1, 100):
            n += 1
        assert min_queries(percent, over) == n
    for n in range(0, 120, 7):
        passing = [k for k in range(n) if exact_chance_at_most(k, n, share) < Fraction(1, 100)]
        assert allowed_over(percent, n) == (passing[-1] if passing else None)


@pytest.mark.parametrize("percent", PERCENTS)
@pytest.mark.parametrize("over", [0, 1, 2, 3, 10, 57, 1000, 31_623, 1_000_000])
def test_the_least_number_that_scipy_lets_pass(percent: float, over: int) -> None:
    n = min_queries(percent, over)
    assert scipy.special.betainc(n - over, over + 1, percent / 100) < 0.01
    # A run of nothing but requests over the bound, h = 0, never passes.
    assert n - 1 == over or scipy.special.betainc(n - 1 - over, over + 1, percent / 100) >= 0.01


@pytest.mark.parametrize("percent", PERCENTS)
@pytest.mark.parametrize("n", [100, 662, 5000, 270_336, 10_000_000, 100_000_000])
def test_the_most_that_scipy_lets_pass(percent: float, n: int) -> None:
    over = allowed_over(percent, n)
    if over is None:
        assert scipy.special.betainc(n, 1, percent / 100) >= 0.01
    else:
        assert scipy.special.betainc(n - over, over + 1, percent / 100) < 0.01
        assert scipy.special.betainc(n - over - 1, over + 2, percent / 100) >= 0.01


@given(percents, queries)
def test_the_two_questions_have_one_answer(percent: float, n: int) -> None:
    over = allowed_over(percent, n)
    if over is None:
        assert min_queries(percent, 0) > n
    else:
        assert min_queries(percent, over) <= n < min_queries(percent, over + 1)


@given(percents, overs)
def test_one_more_over_costs_at_least_one_more_request(percent: float, over: int) -> None:
    assert min_queries(percent, over) < min_queries(percent, over + 1)


@given(st.floats(1, 99.9), st.floats(0.001, 0.09), overs)
def test_a_higher_percentile_needs_no_fewer(percent: float, more: float, over: int) -> None:
    assert min_queries(percent, over) <= min_queries(percent + more, over)


@given(percents, queries, st.integers(1, 1000))
def test_more_requests_allow_no_fewer_over(percent: float, n: int, more: int) -> None:
    fewer = allowed_over(percent, n)
    larger = allowed_over(percent, n + more)
    assert fewer is None or (larger is not None and fewer <= larger <= fewer + more)


@given(percents, queries, st.data())
def test_what_is_still_needed_is_just_enough(percent: float, n: int, data: st.DataObject) -> None:
    over = data.draw(st.integers(0, min(n, 1_000_000)))
    needed = still_needed(percent, n, over)
    allowed = allowed_over(percent, n + needed)
    assert allowed is not None
    assert allowed >= over
    if needed:
        before = allowed_over(percent, n + needed - 1)
        assert before is None or before < over


@pytest.mark.parametrize("percent", [90, 99])
def test_the_estimate_bounds_the_percentile_as_often_as_it_promises(percent: float) -> None:
    rng = np.random.default_rng(7)
    runs, n = 2000, 1500
    rank = estimate_rank(percent, n)
    assert rank is not None
    estimates = np.sort(rng.exponential(size=(runs, n)), axis=1)[:, rank]
    true = -math.log(1 - percent / 100)
    # 99 % promised; four standard errors below that would be 0.981.
    assert np.mean(estimates >= true) > 0.981


@pytest.mark.parametrize("share", [Fraction(1, 2), Fraction(1, 10), Fraction(1, 1000)])
@pytest.mark.parametrize("trials", [1, 10, 200])
def test_binomial_chances_are_those_of_exact_fractions(share: Fraction, trials: int) -> None:
    for count in (-1, 0, 1, trials // 3, trials - 1, trials, trials + 1):
        exact = exact_chance_at_most(count, trials, share)
        assert chance_at_most(count, trials, float(share)) == pytest.approx(float(exact), rel=1e-12)


def test_no_requests_at_all() -> None:
    assert allowed_over(99, 0) is None
    assert estimate_rank(99, 0) is None
    assert still_needed(99, 0, 0) == 459


@pytest.mark.parametrize("percent", [0, 100, -1, 101, math.nan])
def test_not_a_percentile(percent: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 100"):
        min_queries(percent, 0)
    with pytest.raises(ValueError, match="between 0 and 100"):
        allowed_over(percent, 10)


def test_impossible_counts() -> None:
    with pytest.raises(ValueError, match="negative"):
        min_queries(99, -1)
    with pytest.raises(ValueError, match="negative"):
        allowed_over(99, -1)
    with pytest.raises(ValueError, match="more than there are"):
        still_needed(99, 3, 4)


def test_what_reckons_chances_is_imported_when_it_is_asked() -> None:
    """It takes longer than all else that a command needs to start."""
    code = (
        "import sys, tailrace.cli.load, tailrace.runs.run, tailrace.runs.compare.compare\n"
        "sys.exit('scipy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
