import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.load.measure.breakdown import FEWEST, Breakdown, Xray


def xray(requests: list[tuple[int, dict[str, int]]]) -> Xray | None:
    """Of requests, each the number of its bin and its components in ns."""
    parts = (
        Breakdown(
            tuple(spans), np.array([number]), np.array([[1], *([ns] for ns in spans.values())])
        )
        for number, spans in requests
    )
    return Breakdown.merged(parts).xray()


def test_one_in_a_hundred_waits_in_the_queue() -> None:
    fast = (60, {"queue": 10_000, "infer": 1_000_000})
    slow = (94, {"queue": 50_000_000, "infer": 1_200_000})
    assert xray([fast] * 990 + [slow] * 10) == Xray(
        tail_requests=10,
        median_requests=200,
        from_ms=50.1187,
        tail_ms={"queue": 50, "infer": 1.2},
        median_ms={"queue": 0.01, "infer": 1},
        gap_ms={"queue": 49.99, "infer": 0.2},
        explains="queue",
    )


def test_a_border_takes_its_part_of_a_bin() -> None:
    # The slowest 2 of 200 are one of the last bin and one of the four before it.
    requests = [(10, {"a": 1000}), *[(50, {"a": 5000})] * 4, (90, {"a": 9000})]
    found = xray([(10, {"a": 1000})] * 194 + requests)
    assert found is not None
    assert found.tail_ms == {"a": (5000 + 9000) / 2 / 1e6}
    assert found.median_ms == {"a": 0.001}
    # The 40 % from 80 to 120 are half of the first bin and half of the second.
    found = xray([(10, {"a": 1_000_000})] * 100 + [(50, {"a": 5_000_000})] * 100)
    assert found is not None
    assert found.median_ms == {"a": 3}
    assert found.tail_ms == {"a": 5}


def test_too_few_have_no_tail() -> None:
    assert xray([(10, {"a": 1})] * (FEWEST - 1)) is None
    assert xray([]) is None
    assert xray([(10, {"a": 1})] * FEWEST) is not None


def test_no_gap_has_no_explanation() -> None:
    found = xray([(10, {"a": 1000, "b": 2000})] * 500)
    assert found is not None
    assert (found.explains, found.share, found.gap_total_ms) == (None, None, 0)


def test_the_share_of_the_gap() -> None:
    found = xray([(60, {"a": 1_000_000, "b": 5})] * 99 + [(94, {"a": 31_000_000, "b": 10_000_005})])
    assert found is not None
    assert (found.explains, found.share) == ("a", pytest.approx(0.75))
    # What is shorter in the tail makes none explain more than all of it.
    found = xray([(60, {"a": 0, "b": 2_000_000})] * 99 + [(94, {"a": 9_000_000, "b": 0})])
    assert found is not None
    assert (found.explains, found.share) == ("a", 1)


@given(st.integers(0, 2**32), st.integers(FEWEST, 300), st.integers(1, 4))
def test_the_components_of_each_group_are_its_mean_latency(
    seed: int, count: int, components: int
) -> None:
    """The groups are those of the sorted latencies, those in one bin taken for alike."""
    spans = np.random.default_rng(seed).integers(0, 10**9, (count, components)).tolist()
    parts = [dict(zip("abcd", row, strict=False)) for row in spans]
    latencies = [sum(spans.values()) for spans in parts]
    ranked = sorted(range(len(parts)), key=latencies.__getitem__)
    number = {request: rank * 199 // (len(parts) - 1) for rank, request in enumerate(ranked)}
    found = xray([(number[request], spans) for request, spans in enumerate(parts)])
    assert found is not None
    assert found.tail_ms.keys() == found.median_ms.keys() == found.gap_ms.keys()
    in_bins: dict[int, list[int]] = {}
    for request, latency in enumerate(latencies):
        in_bins.setdefault(number[request], []).append(latency)
    evened = [float(np.mean(in_bins[number[request]])) for request in ranked]
    for means, low, high in ((found.tail_ms, 0.99, 1), (found.median_ms, 0.4, 0.6)):
        assert sum(means.values()) == pytest.approx(
            mean_between(evened, low, high) / 1e6, abs=4 * 5e-5 + 1e-6
        )
    gap_ms = sum(found.tail_ms.values()) - sum(found.median_ms.values())
    assert found.gap_total_ms == pytest.approx(gap_ms, abs=1e-3)
    if found.explains is not None:
        assert found.gap_ms[found.explains] == max(found.gap_ms.values()) > 0


def mean_between(values: list[float], low: float, high: float) -> float:
    """Mean of sorted values between two shares of them, the ones on the borders in proportion."""
    count = len(values)
    weights = [
        max(0.0, min(rank + 1, high * count) - max(rank, low * count)) for rank in range(count)
    ]
    return math.fsum(w * v for w, v in zip(weights, values, strict=True)) / math.fsum(weights)
