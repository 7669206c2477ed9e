"""Whole searches against simulated services, in simulated time."""

import pytest

from tailrace.errors import UsageError
from tailrace.load.judge.slo import parse_slo
from tailrace.load.search.answer import FindLimits
from tailrace.load.search.search import Search
from tests.kit.searches import play
from tests.kit.services import Dead, Queue, constant


@pytest.mark.parametrize("seed", range(3))
def test_rate_of_a_queue_with_constant_service(seed: int) -> None:
    """M/D/1 of 200/s whose p99 is 37.7 ms at 140/s (Crommelin's formula)."""
    found = play(Queue(constant(1 / 200), seed), ["p99<37.7ms"], seed).answer
    assert found.estimate_per_s == pytest.approx(140, rel=0.04)
    assert found.rate_per_s is not None
    assert found.interval_per_s is not None
    assert found.interval_per_s[0] <= 140 <= found.interval_per_s[1]
    assert 120 < found.rate_per_s < 140 * 1.02
    assert found.spent_s <= 60.5


def test_dead_target_is_told_within_three_seconds() -> None:
    played = play(Dead(), ["p99<100ms"], 1)
    assert played.answer.gone
    assert played.answer.rate_per_s is None
    assert played.answer.spent_s <= 3


def test_largest_latency_has_no_rate() -> None:
    with pytest.raises(UsageError, match="percentile"):
        Search([parse_slo("max<1s")], FindLimits())
