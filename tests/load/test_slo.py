import numpy as np
import pytest

from tailrace.errors import UsageError
from tailrace.load.histogram import Histogram
from tailrace.load.slo import parse_slo


@pytest.fixture
def latency() -> Histogram:
    """1, 2, …, 100 ms."""
    histogram = Histogram()
    histogram.record(np.arange(1, 101, dtype=np.int64) * 1_000_000)
    return histogram


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("p99<100ms", True),
        ("p99<98.9ms", False),
        ("p99 <= 99.1ms", True),
        ("p50<51ms", True),
        ("p97.5<98.5ms", True),
        ("mean<51ms", True),
        ("mean<50ms", False),
        ("max<100ms", False),
        ("max<=100ms", True),
        ("p99.9<1s", True),
    ],
)
def test_bounds(latency: Histogram, expression: str, holds: bool) -> None:
    assert parse_slo(expression).holds(latency, failed=0) is holds


def test_a_failure_is_never_faster_than_the_bound(latency: Histogram) -> None:
    assert parse_slo("p99<101ms").holds(latency, failed=1)
    assert not parse_slo("p99<101ms").holds(latency, failed=2)
    assert parse_slo("p50<80ms").holds(latency, failed=40)
    assert not parse_slo("mean<1h").holds(latency, failed=1)
    assert not parse_slo("p99<1h").holds(Histogram(), failed=0)


@pytest.mark.parametrize("text", ["", "p99", "p99<", "p99>1ms", "p100<1s", "q99<1s", "p99<fast"])
def test_not_an_slo(text: str) -> None:
    with pytest.raises(UsageError):
        parse_slo(text)
