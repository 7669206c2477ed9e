import numpy as np
import pytest

from tailrace.load.judge.dependence import decide, interval_us
from tailrace.load.judge.slo import parse_slo
from tests.kit.queues import KINDS, Kind, Modulated, Queue, Stalling, percentile_s, stretches_of


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
