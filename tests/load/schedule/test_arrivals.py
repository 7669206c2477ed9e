from itertools import islice

import numpy as np
import pytest
import scipy
from numpy.typing import NDArray

from tailrace.errors import UsageError
from tailrace.load.config import LoadConfig
from tailrace.load.schedule.arrivals import (
    KINDS,
    Arrivals,
    ConstantArrivals,
    Gamma,
    Mmpp,
    Poisson,
    parse_arrivals,
    share,
)
from tailrace.load.schedule.profile import parse_profile
from tailrace.load.schedule.schedule import Schedule
from tailrace.load.settings import settings_of

MMPP = "mmpp:low=1,high=8,low_for=1000,high_for=100"
DRAWN = ["poisson", "gamma:0.3", "gamma:1", "gamma:2", MMPP]


def test_every_kind_is_tried_here_and_named_where_arrivals_are_set() -> None:
    assert {text.partition(":")[0] for text in ("constant", "trace:", *DRAWN)} == KINDS.keys()
    help_ = settings_of(LoadConfig)["arrivals"].help
    assert [kind.written for kind in KINDS.values() if kind.written not in help_] == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_takes_nothing_refuses_it_and_the_others_say_what_they_need(kind: str) -> None:
    takes_nothing = ":" not in KINDS[kind].written
    with pytest.raises(UsageError, match=f"{kind} arrivals take no 'x'" if takes_nothing else "."):
        parse_arrivals(f"{kind}:x")


def first(arrivals: Arrivals, count: int, seed: int = 1) -> NDArray[np.float64]:
    chunks = arrivals.chunks(seed)
    drawn: list[NDArray[np.float64]] = []
    while sum(map(len, drawn)) < count:
        drawn.append(next(chunks))
    return np.concatenate(drawn)[:count]


def dispersion(times: NDArray[np.float64], end: float, bin_width: float) -> float:
    counts, _ = np.histogram(times, bins=np.arange(0, end + bin_width / 2, bin_width))
    return float(counts.var() / counts.mean())


def gamma_dispersion(cv: float, window: float) -> float:
    """Var N/E N of an equilibrium renewal process: 1 + (2/w)·∫₀ʷ (H(s) − s) ds (Cox 1962, §4.5)."""
    shape = 1 / cv**2
    s = np.linspace(0, window, 4001)[1:] - window / 8000
    renewals = np.zeros_like(s)
    for n in range(1, int(window + 12 * cv * np.sqrt(window) + 40 * cv**2) + 10):
        renewals += scipy.special.gammainc(n * shape, s * shape)
    return float(1 + 2 * np.mean(renewals - s))


def mmpp_dispersion(low: float, high: float, d1: float, d2: float, window: float) -> float:
    """From the covariance of the rate, by numerical integration, not by the closed formula."""
    p1, p2 = d1 / (d1 + d2), d2 / (d1 + d2)
    mean = p1 * low + p2 * high
    tau = (np.arange(20_000) + 0.5) * window / 20_000
    covariance = p1 * p2 * ((high - low) / mean) ** 2 * np.exp(-(1 / d1 + 1 / d2) * tau)
    return float(1 + 2 / window * np.sum((window - tau) * covariance) * window / 20_000)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_poisson_at_2000_per_second_for_10_seconds(seed: int) -> None:
    times = first(Poisson(), 22_000, seed) / 2000
    gaps = np.diff(times[times < 10])
    assert gaps.mean() == pytest.approx(1 / 2000, rel=0.02)
    assert gaps.var() == pytest.approx(1 / 2000**2, rel=0.06)
    assert 0.9 <= dispersion(times, 10, 0.010) <= 1.1
    assert scipy.stats.kstest(gaps, "expon", args=(0, 1 / 2000)).pvalue > 0.01


@pytest.mark.parametrize(("bin_width", "tolerance"), [(1, 0.02), (10, 0.05), (100, 0.1)])
def test_poisson_dispersion_is_one_at_every_scale(bin_width: float, tolerance: float) -> None:
    times = first(Poisson(), 200_000)
    assert dispersion(times, 190_000, bin_width) == pytest.approx(1, abs=tolerance)


@pytest.mark.parametrize("cv", [0.1, 0.5, 1.0, 2.0, 4.0])
def test_gamma_gaps(cv: float) -> None:
    gaps = np.diff(first(Gamma(cv), 200_000), prepend=0)
    # 5 standard errors of the mean, and of the variance from the gamma's fourth moment.
    assert gaps.mean() == pytest.approx(1, abs=5 * cv / np.sqrt(200_000))
    spread = np.sqrt((2 + 6 * cv**2) / 200_000)
    assert gaps.var() == pytest.approx(cv**2, rel=5 * spread)
    # Positions near 2·10⁵ tell gaps over 10⁻¹⁰ apart; at a CV of 4 one in six is shorter.
    law = scipy.stats.gamma(1 / cv**2, scale=cv**2)
    seen, tiny = gaps[gaps > 1e-6], law.cdf(1e-6)
    assert len(seen) / len(gaps) == pytest.approx(1 - tiny, abs=0.005)
    assert scipy.stats.kstest(seen, lambda gap: (law.cdf(gap) - tiny) / (1 - tiny)).pvalue > 0.01
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 0.01


@pytest.mark.parametrize("cv", [0.3, 1.0, 2.0])
@pytest.mark.parametrize(("window", "tolerance"), [(1, 0.03), (10, 0.06), (100, 0.12)])
def test_gamma_dispersion_at_three_scales(cv: float, window: float, tolerance: float) -> None:
    times = first(Gamma(cv), 400_000)
    expected = gamma_dispersion(cv, window)
    assert dispersion(times, 380_000, window) == pytest.approx(expected, rel=tolerance)
    if window == 100:
        assert expected == pytest.approx(cv**2, rel=0.1)


def test_gamma_of_one_is_poisson_in_law() -> None:
    gaps = np.diff(first(Gamma(1.0), 100_000), prepend=0)
    assert scipy.stats.kstest(gaps, "expon").pvalue > 0.01
    assert scipy.stats.ks_2samp(gaps, np.diff(first(Poisson(), 100_000, 9))).pvalue > 0.01


@pytest.mark.parametrize("window", [10, 100, 1000])
@pytest.mark.parametrize(
    ("low", "high", "d1", "d2"), [(1, 8, 1000, 100), (0, 1, 50, 50), (3, 4, 10, 200)]
)
def test_mmpp_dispersion(low: float, high: float, d1: float, d2: float, window: float) -> None:
    expected = mmpp_dispersion(low, high, d1, d2, window)
    mean = (low * d1 + high * d2) / (d1 + d2)
    sigma, variance = 1 / d1 + 1 / d2, d1 * d2 / (d1 + d2) ** 2 * ((high - low) / mean) ** 2
    closed = 1 + 2 * variance / sigma * (1 + np.expm1(-sigma * window) / (sigma * window))
    assert closed == pytest.approx(expected, rel=1e-6)
    seen = [dispersion(first(Mmpp(low, high, d1, d2), 500_000, s), 4e5, window) for s in range(5)]
    assert np.mean(seen) == pytest.approx(expected, rel=0.1)


def test_mmpp_has_mean_rate_one_from_the_start() -> None:
    """Averaged over seeds: a start in a fixed state would show in the first window."""
    early = [np.count_nonzero(first(Mmpp(1, 8, 100, 50), 4096, seed) < 50) for seed in range(600)]
    spread = np.sqrt(50 * mmpp_dispersion(1, 8, 100, 50, 50) / 600)
    assert np.mean(early) == pytest.approx(50, abs=4 * spread)
    assert np.var(early) == pytest.approx(50 * mmpp_dispersion(1, 8, 100, 50, 50), rel=0.2)
    late = [first(Mmpp(1, 8, 1000, 100), 500_000, seed)[-1] for seed in range(10)]
    assert np.mean(late) == pytest.approx(500_000, rel=0.01)


def test_mmpp_of_equal_rates_is_poisson() -> None:
    gaps = np.diff(first(Mmpp(5, 5, 10, 30), 100_000), prepend=0)
    assert scipy.stats.kstest(gaps, "expon").pvalue > 0.01


def test_mmpp_sends_nothing_in_a_silent_state() -> None:
    gaps = np.diff(first(Mmpp(0, 1, 1000, 1000), 400_000))
    assert (gaps > 100).sum() == pytest.approx(400_000 / 2000 * np.exp(-0.1), rel=0.25)


def test_poisson_gaps_are_independent() -> None:
    gaps = np.diff(first(Poisson(), 100_000))
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 0.01


@pytest.mark.parametrize("kind", DRAWN)
def test_seeds_differ_and_repeat(kind: str) -> None:
    arrivals = parse_arrivals(kind)
    assert np.array_equal(first(arrivals, 9000, 5), first(arrivals, 9000, 5))
    assert not np.array_equal(first(arrivals, 9000, 5), first(arrivals, 9000, 6))


@pytest.mark.parametrize("kind", [*DRAWN, "mmpp:low=0,high=1,low_for=0.1,high_for=3"])
def test_positions_never_decrease_across_chunks(kind: str) -> None:
    assert (np.diff(first(parse_arrivals(kind), 50_000)) >= 0).all()


def test_constant_gaps_are_one() -> None:
    assert np.array_equal(first(ConstantArrivals(), 10_000), np.arange(10_000))


@pytest.mark.parametrize("rate", [1, 3, 250, 1000 / 7, 99_999])
def test_constant_arrivals_at_a_constant_rate_leave_at_n_over_the_rate(rate: float) -> None:
    n = np.arange(10_000)
    assert np.array_equal(
        parse_profile(repr(float(rate))).inverse(first(ConstantArrivals(), 10_000)), n / rate
    )


@pytest.mark.parametrize("kind", ["constant", *DRAWN])
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


@pytest.mark.parametrize("kind", ["constant", *DRAWN])
@pytest.mark.parametrize(
    "profile",
    ["500", "sine(mean=900,amp=900,period=3s)", "burst(base=0,peak=5k,every=1s,for=100ms)"],
)
def test_every_number_of_workers_offers_the_same_nanoseconds(kind: str, profile: str) -> None:
    arrivals, rate = parse_arrivals(kind), parse_profile(profile)

    def offered(worker: int, workers: int, count: int) -> NDArray[np.int64]:
        schedule = Schedule(arrivals, rate, 3, worker, workers)
        pieces = [schedule.next_piece()]
        while sum(map(len, pieces)) < count:
            pieces.append(schedule.next_piece())
        return np.concatenate(pieces)[:count]

    whole = offered(0, 1, 8000)
    for workers in (2, 4, 10):
        for worker in range(workers):
            part = offered(worker, workers, 8000 // workers)
            assert np.array_equal(part, whole[worker::workers])


def test_workers_of_ten_are_not_bursts() -> None:
    """Workers seeded alike would give an index of dispersion near 10."""
    parts = [
        np.concatenate(list(islice(share(Poisson().chunks(1), worker, 10), 20)))
        for worker in range(10)
    ]
    union = np.sort(np.concatenate(parts))
    assert dispersion(union, 80_000, 20) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    "profile",
    [
        "sine(mean=300,amp=200,period=20s)",
        "sine(mean=300,amp=300,period=7s,phase=0.75)",
        "0..600/200s",
        "burst(base=100,peak=2000,every=10s,for=1s)",
        "100@30s,50..900/60s,0@5s,sine(mean=300,amp=100,period=10s)",
    ],
)
def test_poisson_through_a_profile_has_its_intensity(profile: str) -> None:
    """Time-changed back by Λ the gaps are Exp(1), and every stretch holds its share of Λ."""
    rate = parse_profile(profile)
    times = rate.inverse(first(Poisson(), 40_000))
    back = np.array([rate.integral(t) for t in times.tolist()])
    assert scipy.stats.kstest(np.diff(back, prepend=0), "expon").pvalue > 0.01
    edges = np.linspace(0, times[-1], 60)
    expected = np.diff([rate.integral(t) for t in edges.tolist()])
    counts, _ = np.histogram(times, edges)
    enough = expected > 10
    score = float((((counts - expected) ** 2)[enough] / expected[enough]).sum())
    assert scipy.stats.chi2.sf(score, int(enough.sum())) > 0.001
    assert counts[expected == 0].sum() == 0


@pytest.mark.parametrize("kind", DRAWN)
def test_a_wave_shows_in_every_kind_of_arrivals(kind: str) -> None:
    wave = parse_profile("sine(mean=1000,amp=900,period=2s)")
    times = wave.inverse(first(parse_arrivals(kind), 2_000_000))
    counts, edges = np.histogram(np.mod(times, 2.0), 20, (0, 2))
    expected = np.diff([wave.integral(edge) for edge in edges.tolist()]) / wave.integral(2.0)
    spread = 0.15 if kind == MMPP else 0.02
    assert counts / counts.sum() == pytest.approx(expected, rel=spread, abs=0.002)


@pytest.mark.parametrize(
    "text",
    [
        "constant",
        "poisson",
        "gamma:0.3",
        "gamma:2",
        MMPP,
        "mmpp:low=0,high=1,low_for=0.5,high_for=2000000",
    ],
)
def test_an_expression_reads_as_the_same_arrivals(text: str) -> None:
    arrivals = parse_arrivals(text)
    assert arrivals.expression == text
    assert parse_arrivals(arrivals.expression) == arrivals
    assert arrivals.natural_rate_per_s is None
    assert arrivals.natural_duration_s is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("bursty", "constant, poisson"),
        ("poison", "did you mean poisson"),
        ("", "choose from constant"),
        ("poisson:2", "take no '2'"),
        ("gamma", "as in gamma:2"),
        ("gamma:wide", "is a number, not 'wide'"),
        ("gamma:9", "from 0.1 to 4"),
        ("gamma:nan", "from 0.1 to 4"),
        ("mmpp", "needs low, high, low_for, high_for"),
        ("mmpp:low=1,high=2", "needs low_for, high_for"),
        ("mmpp:low=1,low=2", "given twice"),
        ("mmpp:slow=1", "'slow=1' is not one of its keys"),
        ("mmpp:low=9,high=1,low_for=1,high_for=1", "low ≤ high"),
        ("mmpp:low=1,high=2,low_for=0,high_for=1", "low_for is a mean dwell"),
        ("mmpp:low=1,high=x,low_for=0,high_for=1", "high is a number"),
        ("trace:", "as in trace:arrivals.csv"),
    ],
)
def test_errors_say_what_to_write(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse_arrivals(text)


def test_scale_and_speed_belong_to_a_trace() -> None:
    with pytest.raises(UsageError, match="belong to a trace"):
        parse_arrivals("poisson", scale=2)
