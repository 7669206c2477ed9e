"""The log as hdrhistogram writes it is read to the last count."""

import base64
import io
import itertools
import struct
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogWriter
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.load.measure.histogram import HIGHEST_US, SIZE, Histogram, bucket_of
from tailrace.load.measure.point import PERCENTS, Percentiles
from tailrace.runs.histogram_log import merge_log, read_log
from tailrace.untrusted import UnreadableError

Intervals = list[dict[int, int]]
"""Of each interval: time in µs → how often."""

intervals = st.lists(
    st.dictionaries(
        st.integers(0, HIGHEST_US) | st.integers(0, 5000) | st.sampled_from([0, 1, HIGHEST_US]),
        st.integers(1, 300) | st.integers(1, 1 << 45),
        max_size=12,
    ),
    max_size=6,
)


def write_hlog(recorded: Intervals) -> bytes:
    file = io.StringIO()
    log = HistogramLogWriter(file)
    log.output_comment("a comment")
    log.output_log_format_version()
    log.output_legend()
    for second, times in enumerate(recorded):
        histogram = HdrHistogram(1, HIGHEST_US, 3)
        for time_us, count in times.items():
            histogram.record_value(time_us, count)
        log.output_interval_histogram(histogram, 1e9 + second, 1e9 + second + 1)
    return file.getvalue().encode()


def dense(histogram: Histogram) -> Any:
    counts = np.zeros(SIZE, dtype=np.int64)
    counts[histogram.buckets] = histogram.counts
    return counts


def counts_of(recorded: Intervals) -> Any:
    counts = np.zeros(SIZE, dtype=np.int64)
    for times in recorded:
        for time_us, count in times.items():
            counts[bucket_of(np.array([time_us]))] += count
    return counts


@given(intervals)
@settings(max_examples=150)
def test_every_count_comes_back_in_its_bucket(recorded: Intervals) -> None:
    merged = merge_log(write_hlog(recorded).splitlines())
    assert np.array_equal(dense(merged), counts_of(recorded))
    assert merged.total == sum(sum(times.values()) for times in recorded)


@given(intervals)
@settings(max_examples=100)
def test_every_interval_comes_back_by_itself(recorded: Intervals) -> None:
    read = read_log(write_hlog(recorded).splitlines())
    assert read.starts == tuple(f"{1e9 + second:f}" for second in range(len(recorded)))
    for row, times in enumerate(recorded):
        expected = counts_of([times])
        assert np.array_equal(read.counts[row], expected[read.buckets])
        assert read.counts[row].sum() == expected.sum()


def test_a_damaged_line_costs_its_own_interval() -> None:
    lines = write_hlog([{5: 2}, {}, {70_000: 1}]).splitlines()
    read = read_log([*lines[:3], lines[3][:30], *lines[4:]])
    assert read.starts == ("1000000001.000000", "1000000002.000000")
    assert read.counts.sum(axis=1).tolist() == [0, 1]


def test_percentiles_and_mean_are_those_of_the_times() -> None:
    times_us = np.random.default_rng(3).lognormal(9, 0.7, 5000).astype(np.int64)
    direct = Histogram.of(times_us * 1000)
    parts = np.array_split(times_us, 7)
    recorded = [
        dict(zip(*(a.tolist() for a in np.unique(p, return_counts=True)), strict=True))
        for p in parts
    ]
    merged, expected = (
        Percentiles.of(merge_log(write_hlog(recorded).splitlines())),
        Percentiles.of(direct),
    )
    for name in PERCENTS:
        assert merged.get(name) == expected.get(name)
    assert merged.mean == pytest.approx(expected.mean, rel=5e-4)
    assert merged.max == pytest.approx(expected.max, rel=1e-3)


def test_times_that_have_a_bucket_each_have_their_mean() -> None:
    assert Percentiles.of(merge_log(write_hlog([{5: 2}, {8: 1}]).splitlines())).mean == 0.006


def test_an_empty_log_has_no_percentiles() -> None:
    assert Percentiles.of(merge_log([])).p99 is None
    assert Percentiles.of(merge_log(write_hlog([{}, {}]).splitlines())).p99 is None


def test_a_line_cut_short_anywhere_is_passed_over() -> None:
    recorded: Intervals = [{5: 2, 900: 3}, {70_000: 1, 80_000: 4}]
    whole = write_hlog(recorded)
    first = write_hlog(recorded[:1])
    for end in range(len(first), len(whole) - 1):
        assert np.array_equal(dense(merge_log(whole[:end].splitlines())), counts_of(recorded[:1]))
    assert np.array_equal(dense(merge_log(whole.splitlines())), counts_of(recorded))


@given(st.data())
@settings(max_examples=300)
def test_no_damage_raises(data: st.DataObject) -> None:
    log = bytearray(write_hlog([{5: 2, 900: 3}, {70_000: 1 << 40, 80_000: 4}]))
    for _ in range(data.draw(st.integers(1, 4))):
        log[data.draw(st.integers(0, len(log) - 1))] = data.draw(st.integers(0, 255))
    Percentiles.of(merge_log(bytes(log).splitlines()))


def line_of(plain: bytes) -> bytes:
    """A line of the log, of a histogram as it is before it is compressed."""
    packed = zlib.compress(plain)
    payload = struct.pack(">II", 0x1C849314, len(packed)) + packed
    return b"1.0,1.0,0.0," + base64.b64encode(payload)


def plain(counts: bytes) -> bytes:
    """A histogram that has `counts`, encoded."""
    header = struct.pack(">IIIIQQd", 0x1C849313, len(counts), 0, 3, 1, HIGHEST_US, 1.0)
    return header + counts


@given(st.binary(max_size=60), st.integers(0, 60), st.binary(max_size=300))
@settings(max_examples=300)
def test_no_histogram_that_is_well_packed_raises(damage: bytes, place: int, counts: bytes) -> None:
    whole = plain(counts)
    merge_log([line_of(whole[:place] + damage + whole[place + len(damage) :])])


def test_a_line_unpacks_to_no_more_than_a_histogram_has() -> None:
    line = line_of(plain(bytes(2**28)))
    assert len(line) < 2**20
    tracemalloc.start()
    assert merge_log([line]).total == 0
    assert read_log([line]).starts == ()
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 2**26


def test_more_than_a_run_has_is_no_log() -> None:
    # Each counts something in every bucket, in a line of half a kilobyte.
    line = line_of(plain(b"\x02" * SIZE))
    assert len(line) < 500
    assert merge_log([line]).total == SIZE
    assert merge_log([line], most=SIZE).total == SIZE
    for read in (merge_log, read_log):
        with pytest.raises(UnreadableError, match="more than a run has"):
            read(itertools.repeat(line), most=100 * SIZE)
