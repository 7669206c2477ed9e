import numpy as np
import pytest

from tailrace.load.judge.dependence import decide, interval_us
from tailrace.load.judge.slo import parse_slo
from tailrace.load.judge.stretches import Stretches
from tests.kit.queues import KINDS, Kind, Modulated, Queue, Stalling, percentile_s, stretches_of
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
