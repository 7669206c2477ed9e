import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from tailrace.load.measure.histogram import (
    BINS_PER_DECADE,
    HIGHEST_US,
    LOWEST_US,
    WIDTH_US,
    Histogram,
    OpenHistogram,
    bucket_of,
)
from tailrace.load.measure.point import Percentiles

times_ns = st.lists(st.integers(0, HIGHEST_US * 1000), min_size=1, max_size=300)


def recorded(values: list[int]) -> Histogram:
    return Histogram.of(np.array(values, dtype=np.int64))


@given(times_ns, st.sampled_from([50, 90, 99, 99.9, 100]))
def test_percentiles_are_the_ranked_values(values: list[int], percent: float) -> None:
    exact_us = sorted(values)[max(int(np.ceil(percent * len(values) / 100 - 1e-9)), 1) - 1] / 1000
    found = recorded(values).percentile_us(percent)[0]
    assert found == pytest.approx(exact_us, rel=0.0006, abs=1.01)


@given(times_ns)
def test_mean_and_max_are_exact(values: list[int]) -> None:
    percentiles = Percentiles.of(recorded(values))
    assert percentiles.max == pytest.approx(max(values) / 1e6, abs=1e-4)
    assert percentiles.mean == pytest.approx(sum(values) / len(values) / 1e6, abs=1e-4)


@given(times_ns)
def test_bins_count_everything_once(values: list[int]) -> None:
    histogram = recorded(values)
    found = histogram.bins()
    assert sum(found.values()) == len(values)
    expected: dict[int, int] = {}
    for bucket, count in zip(histogram.buckets, histogram.counts, strict=True):
        middle_us = float(LOWEST_US[bucket] + (WIDTH_US[bucket] - 1) / 2)
        b = 0
        while 10 ** ((b + 1) / BINS_PER_DECADE) <= middle_us:
            b += 1
        expected[b] = expected.get(b, 0) + int(count)
    assert found == expected


def test_bins_begin_at_whole_decades() -> None:
    histogram = recorded([0, 400, 1000, 9_000, 10_000, 1_000_000, 10**9, 10**12])
    assert histogram.bins() == {0: 3, 19: 1, 20: 1, 60: 1, 120: 1, 180: 1}
    assert Histogram().bins() == {}


@given(times_ns, times_ns)
def test_packed_histograms_merge_by_addition(a: list[int], b: list[int]) -> None:
    merged = Histogram.unpacked(recorded(a).pack()) + Histogram.unpacked(recorded(b).pack())
    whole = recorded(a + b)
    assert np.array_equal(merged.buckets, whole.buckets)
    assert np.array_equal(merged.counts, whole.counts)
    assert (merged.total, merged.sum_ns, merged.max_ns) == (whole.total, whole.sum_ns, whole.max_ns)


@given(st.lists(st.integers(0, HIGHEST_US), min_size=1, max_size=100))
def test_the_layout_is_hdr_histograms(values_us: list[int]) -> None:
    hdr = HdrHistogram(1, HIGHEST_US, 3)
    buckets = bucket_of(np.array(values_us, dtype=np.int64))
    for value, bucket in zip(values_us, buckets, strict=True):
        assert LOWEST_US[bucket] == hdr.get_lowest_equivalent_value(value)
        assert LOWEST_US[bucket] <= value < LOWEST_US[bucket] + WIDTH_US[bucket]
        assert WIDTH_US[bucket] <= max(1, value / 1000)


def test_longer_than_an_hour_counts_as_an_hour_but_keeps_its_maximum() -> None:
    histogram = recorded([7200 * 10**9])
    assert histogram.total == 1
    assert Percentiles.of(histogram, 1e6).max == pytest.approx(7200)


def test_an_empty_histogram_has_no_percentiles() -> None:
    assert Percentiles.of(Histogram()).p99 is None
    with pytest.raises(ValueError, match="empty"):
        Histogram().percentile_us(50)


def test_closing_starts_afresh() -> None:
    counting = OpenHistogram()
    counting.record(np.array([1000, 2000]))
    assert counting.closed().total == 2
    counting.record(np.array([500]))
    again = counting.closed()
    assert (again.total, again.sum_ns, again.max_ns) == (1, 500, 500)
