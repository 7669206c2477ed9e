import numpy as np
import pytest
import scipy
from numpy.typing import NDArray

from tailrace.load.judge.dependence import decide, interval_us
from tailrace.load.judge.slo import parse_slo
from tailrace.load.judge.stretches import MOST, Stretches
from tailrace.load.measure.histogram import Histogram
from tailrace.load.measure.measurement import Measurement
from tests.kit.queues import (
    KINDS,
    Kind,
    Modulated,
    Queue,
    Requests,
    Service,
    Stalling,
    percentile_s,
    stretches_of,
)
from tests.kit.samples import measured


@pytest.mark.parametrize(
    "service",
    [
        *(Queue(kind, 200.0, 0.6) for kind in KINDS),
        Modulated(200.0, 0.5),
        Stalling(200.0, 1.0, 0.1),
    ],
    ids=lambda one: getattr(one, "kind", type(one).__name__),
)
def test_simulated_services_have_the_shares_that_are_exact(service: Queue) -> None:
    latency_s = service.draw(np.random.default_rng(1), 2000.0).latency_s
    for percent in (90.0, 99.0):
        bound_s = percentile_s(service, percent)
        over = 100 * float((latency_s > bound_s).mean())
        assert over == pytest.approx(100 - percent, rel=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_far_from_the_bound_a_minute_decides(kind: Kind) -> None:
    queue = Queue(kind, 200.0, 0.4)
    stretches = stretches_of(queue.draw(np.random.default_rng(2), 60.0), 60.0, 200.0)
    bound_ms = 1000 * percentile_s(queue, 99.0)
    assert decide(stretches, parse_slo(f"p99<{5 * bound_ms:f}ms")).outcome == "kept"
    assert decide(stretches, parse_slo(f"p99<{bound_ms / 3:f}ms")).outcome == "broken"
    assert decide(stretches, parse_slo(f"p99<{bound_ms:f}ms")).outcome == "undecided"
    interval = interval_us(stretches, 99.0)
    assert interval is not None
    assert interval[0] < 1000 * bound_ms < interval[1]


def latencies(times_us: NDArray[np.float64], seconds: int = 40) -> Stretches:
    """Independent requests, in so many intervals."""
    stretches = Stretches()
    for part in np.array_split(np.round(times_us * 1e3).astype(np.int64), seconds):
        timed = Measurement(completed=len(part), series={"latency": Histogram.of(part)})
        stretches.add(timed, 1.0, 200.0)
    return stretches


def test_the_interval_surrounds_the_percentile_and_widens_with_the_confidence() -> None:
    stretches = latencies(np.random.default_rng(5).lognormal(9, 0.6, 40_000))
    for percent in (50, 90, 95, 99, 99.9):
        found = [interval_us(stretches, percent, level) for level in (0.9, 0.95, 0.99)]
        (percentile,) = stretches.latency.percentile_us(percent)
        ends = [one for one in found if one is not None]
        assert len(ends) == 3
        lows, highs = zip(*ends, strict=True)
        assert sorted(lows, reverse=True) == list(lows)
        assert sorted(highs) == list(highs)
        assert lows[0] <= percentile <= highs[0]


@pytest.mark.parametrize(("percent", "of_the_width"), [(50.0, 0.9), (90.0, 0.9), (99.0, 0.8)])
def test_independent_requests_lose_little_by_being_asked(
    percent: float, of_the_width: float
) -> None:
    """Beside the interval of as many independent requests, by the exact binomial."""
    count = 40_000
    times_us = np.random.default_rng(7).lognormal(9, 0.6, count)
    found = interval_us(latencies(times_us), percent)
    assert found is not None
    ranks = scipy.stats.binom.ppf([0.025, 0.975], count, percent / 100).astype(int)
    exact = np.sort(times_us)[ranks]
    assert exact[1] - exact[0] > of_the_width * (found[1] - found[0]) / 1.5


def test_a_queue_says_less_than_as_many_independent_requests() -> None:
    queue = Queue("M/M/1", 200.0, 0.7)
    requests = queue.draw(np.random.default_rng(8), 120.0)
    shuffled = Requests(
        requests.intended_s, np.random.default_rng(9).permutation(requests.latency_s)
    )
    widths = []
    for each in (requests, shuffled):
        found = interval_us(stretches_of(each, 120.0, 200.0), 90.0)
        assert found is not None
        widths.append(found[1] - found[0])
    # F of its p90 is about 24.
    assert 3 < widths[0] / widths[1] < 8


@pytest.mark.parametrize("count", [0, 1, 5])
def test_too_few_for_an_interval(count: int) -> None:
    stretches = latencies(np.ones(count))
    assert interval_us(stretches, 50) is None
    assert interval_us(stretches, 99) is None


def test_latencies_beyond_the_histogram_keep_a_true_upper_end() -> None:
    two_hours_us = 7.2e9
    interval = interval_us(latencies(np.full(4000, two_hours_us)), 90)
    assert interval is not None
    assert interval[0] <= 3.6e9
    assert interval[1] == two_hours_us


@pytest.mark.parametrize(
    ("percent", "level", "message"),
    [(0, 0.95, "percentile"), (100, 0.95, "percentile"), (99, 0, "level"), (99, 1, "level")],
)
def test_what_cannot_be_asked(percent: float, level: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        interval_us(latencies(np.ones(1000)), percent, level)


@pytest.mark.parametrize("kind", KINDS)
def test_an_interval_holds_the_percentile_of_a_queue_as_often_as_it_says(kind: Kind) -> None:
    queue, rng, runs = Queue(kind, 200.0, 0.7), np.random.default_rng(10), 60
    true_us = 1e6 * percentile_s(queue, 90.0)
    drawn = (stretches_of(queue.draw(rng, 60.0), 60.0, 200.0) for _ in range(runs))
    given = [one for one in (interval_us(each, 90.0) for each in drawn) if one is not None]
    assert len(given) > 0.7 * runs
    held = sum(low <= true_us <= high for low, high in given)
    # As independent requests have it, it would be in half of them.
    assert held / len(given) > 0.86


@pytest.mark.parametrize(
    "service",
    [Queue("M/M/1", 200.0, 0.7), Queue("M/H/1", 200.0, 0.5), Modulated(200.0), Stalling(200.0)],
    ids=str,
)
def test_a_bound_that_is_just_broken_is_hardly_ever_kept(service: Service) -> None:
    rng, slo = np.random.default_rng(11), parse_slo(f"p99<{1e3 * percentile_s(service, 99):f}ms")
    drawn = (stretches_of(service.draw(rng, 60.0), 60.0, 200.0) for _ in range(60))
    assert sum(decide(each, slo).outcome == "kept" for each in drawn) <= 2


@pytest.mark.parametrize("statistic", ["mean", "max"])
def test_a_mean_and_the_largest_are_decided_too(statistic: str) -> None:
    queue = Queue("M/D/1", 200.0, 0.5)
    stretches = stretches_of(queue.draw(np.random.default_rng(12), 500.0), 500.0, 200.0)
    for bound_ms, outcome in ((500, "kept"), (1, "broken")):
        assert decide(stretches, parse_slo(f"{statistic}<{bound_ms}ms")).outcome == outcome
    stretches.add(measured([1.0], failed=1), 1.0, 200.0)
    assert decide(stretches, parse_slo(f"{statistic}<500ms")).outcome == "broken"


def test_a_mean_at_the_bound_is_not_decided() -> None:
    queue, rng = Queue("M/M/1", 200.0, 0.7), np.random.default_rng(13)
    mean_ms = 1e3 / (200 / 0.7 - 200)
    slo = parse_slo(f"mean<{mean_ms:f}ms")
    drawn = (stretches_of(queue.draw(rng, 60.0), 60.0, 200.0) for _ in range(60))
    outcomes = [decide(each, slo).outcome for each in drawn]
    assert outcomes.count("undecided") >= 56


def test_failures_have_a_bound_of_their_own() -> None:
    def run(failed: int) -> Stretches:
        stretches = Stretches()
        for _ in range(100):
            stretches.add(measured([5.0] * 100, failed=failed), 1.0, 100.0)
        return stretches

    assert decide(run(0), parse_slo("failed<0.1%")).outcome == "kept"
    assert decide(run(1), parse_slo("failed<0.1%")).outcome == "broken"
    assert decide(run(1), parse_slo("failed<5%")).outcome == "kept"
    assert decide(run(0), parse_slo("failed<0.001%")).outcome == "undecided"


def test_twice_as_long_a_run_decides_what_it_said_it_would() -> None:
    queue, rng = Queue("M/D/1", 200.0, 0.5), np.random.default_rng(14)
    slo = parse_slo(f"p99<{1e3 * percentile_s(queue, 99.7):f}ms")
    first = decide(stretches_of(queue.draw(rng, 40.0), 40.0, 200.0), slo)
    assert first.outcome == "undecided"
    assert first.needed_s is not None
    for_s = 40.0 + 2 * first.needed_s
    assert decide(stretches_of(queue.draw(rng, for_s), for_s, 200.0), slo).outcome == "kept"


def test_rates_are_strata_of_their_own() -> None:
    """A step of the rate makes latencies jump; that is no variation of either rate."""
    rng = np.random.default_rng(15)
    stretches = Stretches()
    for rate, level_ms in ((100.0, 5.0), (200.0, 50.0)):
        for _ in range(40):
            stretches.add(measured(rng.exponential(level_ms, 100)), 1.0, rate)
    assert [len(part) for part in stretches.strata] == [40, 40]
    found = interval_us(stretches, 90.0)
    assert found is not None
    assert found[1] / found[0] < 1.2


def test_a_long_run_is_kept_in_bounded_pieces_and_says_the_same() -> None:
    queue = Queue("M/D/1", 20.0, 0.5)
    for_s = 3 * MOST
    stretches = stretches_of(queue.draw(np.random.default_rng(16), for_s), for_s, 20.0)
    assert MOST / 4 < len(stretches) <= MOST
    assert stretches.length_s == for_s
    assert stretches.answered.sum() == stretches.latency.total
    true_us = 1e6 * percentile_s(queue, 90.0)
    found = interval_us(stretches, 90.0)
    assert found is not None
    assert found[0] * 0.95 < true_us < found[1] * 1.05


def of_two_seconds(over: int, within: int) -> Stretches:
    generator, stretches = np.random.default_rng(3), Stretches()
    for _ in range(2):
        times_ms = [*generator.uniform(150, 250, over), *generator.uniform(5, 15, within)]
        stretches.add(measured(times_ms), 1.0, 200.0)
    return stretches


@pytest.mark.parametrize(
    ("over", "within", "slo", "outcome"),
    [
        (100, 0, "p99<100ms", "broken"),
        (50, 50, "p99.9<100ms", "broken"),
        # 1 in 50 services that keep it just so shows half of its requests over it.
        (50, 50, "p99<100ms", "undecided"),
        (100, 0, "p90<100ms", "undecided"),
        (0, 100, "p99<100ms", "undecided"),
    ],
)
def test_no_run_is_too_short_where_nearly_all_are_over(
    over: int, within: int, slo: str, outcome: str
) -> None:
    decision = decide(of_two_seconds(over, within), parse_slo(slo))
    assert (decision.outcome, decision.over) == (outcome, 2 * over)
    assert (decision.needed_s is None) == (outcome == "broken")


def test_a_run_too_short_to_know_itself_asks_for_the_rest_of_a_minute() -> None:
    decision = decide(of_two_seconds(0, 100), parse_slo("p99<100ms"))
    assert decision.needed_s == 58
    assert decision.reason.endswith("too short to tell: 58 s more may decide it")
