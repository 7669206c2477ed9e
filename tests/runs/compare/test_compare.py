"""Runs compared: what is called more than noise, is; what is noise, is called so."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import UsageError
from tailrace.runs.compare.compare import (
    Comparison,
    Difference,
    compare,
    compare_series,
    read_comparable,
)
from tailrace.runs.compare.series import RunSeries
from tailrace.runs.listing import read_run
from tests.kit.plans import leave_run
from tests.kit.queues import poisson
from tests.kit.server import answer_after
from tests.runs.compare.synthetic import series_of, turn, wandering

SHORT_RUN = {"duration_s": 1.53, "interval_s": 0.1}


def figure(comparison: Comparison, name: str) -> Difference:
    return next(found for found in comparison.differences if found.name == name)


def alarms(pairs: list[tuple[RunSeries, RunSeries]], paired: bool = False) -> dict[str, float]:
    """Share of pairs in which a figure is called more than noise."""
    found = [compare_series(*([run] for run in pair), paired=paired) for pair in pairs]
    names = ("mean", "p50", "p90", "p99")
    return {n: float(np.mean([figure(c, n).more_than_noise is True for c in found])) for n in names}


@pytest.mark.slow("hundreds of pairs of runs")
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8])
def test_runs_of_one_process_are_rarely_told_apart(correlation: float) -> None:
    random = np.random.default_rng(11)
    pairs = [
        (wandering(random, correlation=correlation), wandering(random, correlation=correlation))
        for _ in range(100)
    ]
    # Of 100, 5 % are 5 ± 2.2. The level wanders for so long at 0.8 that a minute holds 7 of it.
    for name, share in alarms(pairs).items():
        assert share <= (0.22 if correlation > 0.7 else 0.12), name


@pytest.mark.slow("hundreds of pairs of runs")
@pytest.mark.parametrize("paired", [False, True])
def test_runs_of_one_queue_are_rarely_told_apart(paired: bool) -> None:
    random = np.random.default_rng(12)
    pairs = []
    for _ in range(40):
        met = [poisson(random, 200, 60)] * 2 if paired else [poisson(random, 200, 60) for _ in "ab"]
        first, second = (turn(random, "exponential", one, 1 / 260, stretches=60) for one in met)
        pairs.append((first, second))
    for name, share in alarms(pairs, paired).items():
        assert share <= 0.15, name


@pytest.mark.slow("hundreds of pairs of runs")
def test_a_tenth_more_is_found_in_a_minute_at_500_a_second() -> None:
    random = np.random.default_rng(13)
    found = []
    for _ in range(20):
        base, other = (
            wandering(random, correlation=0.5, rate_per_s=500, wander=0.03, scale=scale)
            for scale in (1, 1.1)
        )
        comparison = compare_series([base], [other])
        found.append(figure(comparison, "p50").more_than_noise is True)
        ends = figure(comparison, "p99").ratio_interval
        assert ends is not None
        assert ends[0] < 1.12
        assert ends[1] > 1.08
    assert np.mean(found) >= 0.9


def test_what_both_runs_met_does_not_blur_their_difference() -> None:
    """Bursts of arrivals are the same in both: drawn in the same places, they cancel."""
    random = np.random.default_rng(14)
    arrivals_s = poisson(random, 200, 60)
    base, other = (
        turn(random, "exponential", arrivals_s, 1 / 280, stretches=60),
        turn(random, "exponential", arrivals_s, 1 / 280, stretches=60),
    )
    spread = {}
    for paired in (False, True):
        ends = figure(compare_series([base], [other], paired=paired), "mean").ratio_interval
        assert ends is not None
        spread[paired] = ends[1] / ends[0]
    assert spread[True] < spread[False]


@given(st.integers(0, 1000), st.floats(0, 0.9))
@settings(max_examples=15)
def test_a_run_differs_in_nothing_from_itself(seed: int, correlation: float) -> None:
    run = wandering(np.random.default_rng(seed), correlation=correlation, rate_per_s=30)
    for paired in (False, True):
        for found in compare_series([run], [run], paired=paired).differences:
            assert found.base == found.other
            assert found.ratio == (None if found.name == "failed" else 1)
            assert found.more_than_noise in (False, None)


@pytest.mark.slow("hundreds of pairs of runs")
@given(st.integers(0, 1000), st.floats(0.5, 2))
@settings(max_examples=15)
def test_the_other_way_round_every_ratio_is_inverted(seed: int, scale: float) -> None:
    random = np.random.default_rng(seed)
    base = wandering(random, correlation=0.3, rate_per_s=50)
    other = wandering(random, correlation=0.3, rate_per_s=50, scale=scale)
    there, back = (
        compare_series(*([run] for run in pair), paired=True)
        for pair in ((base, other), (other, base))
    )
    for forth, back_again in zip(there.differences, back.differences, strict=True):
        assert (forth.base, forth.other) == (back_again.other, back_again.base)
        assert forth.more_than_noise == back_again.more_than_noise
        if forth.name == "failed" or forth.ratio_interval is None:
            continue
        assert forth.ratio is not None
        assert back_again.ratio == pytest.approx(1 / forth.ratio)
        assert back_again.ratio_interval is not None
        low, high = forth.ratio_interval
        assert back_again.ratio_interval == pytest.approx((1 / high, 1 / low), rel=0.02)


def test_with_few_intervals_nothing_is_said_of_chance() -> None:
    short = wandering(np.random.default_rng(1), correlation=0.0, duration_s=7)
    comparison = compare_series([short], [short])
    for found in comparison.differences:
        assert found.ratio_interval is None
        assert found.more_than_noise is None
        assert found.base == found.other
    assert any("base has 7 intervals" in note for note in comparison.notes)


def test_a_percentile_that_rests_on_one_stall_is_not_told() -> None:
    stretch = np.repeat(np.arange(60), 100)
    latency_ms = np.random.default_rng(2).uniform(10, 20, 6000)
    stalled = latency_ms.copy()
    stalled[3000:3100] = 500
    comparison = compare_series(
        [series_of(stretch, latency_ms, 60)], [series_of(stretch, stalled, 60)]
    )
    assert figure(comparison, "p99.9").more_than_noise is None
    assert figure(comparison, "p50").more_than_noise is False
    assert any(
        "p99.9" in note.partition(":")[0] and "too short a run to tell" in note
        for note in comparison.notes
    )


async def test_an_interval_without_answers_is_one_of_the_run(serve: Any, tmp_path: Path) -> None:
    await leave_run(tmp_path / "run", serve(answer_after(0.4)).url, **SHORT_RUN)
    read = read_comparable(tmp_path / "run").series
    assert read.unread == 0
    assert (read.counts.sum(axis=1) == 0).any()
    # What came in after the end of the offering is there too, with the time that it took.
    record = read_run(tmp_path, "run")
    points, result = record.points, record.result
    assert result is not None
    assert read.length_s.sum() == pytest.approx(result.answered_s, abs=0.02)
    assert read.counts.sum() == sum(point.completed for point in points)
    assert points[-1].t_s > 1.53


def test_failed_requests_are_slower_than_any_other() -> None:
    stretch = np.repeat(np.arange(60), 100)
    latency_ms = np.random.default_rng(3).uniform(10, 20, 6000)
    sound = series_of(stretch, latency_ms, 60)
    losing = series_of(stretch, latency_ms, 60, failed=np.full(60, 2))
    comparison = compare_series([sound], [losing])
    p99, failed = figure(comparison, "p99"), figure(comparison, "failed")
    assert p99.other == math.inf
    assert p99.ratio == math.inf
    assert p99.more_than_noise is True
    assert p99.ratio_interval == (math.inf, math.inf)
    p50 = figure(comparison, "p50")
    assert p50.other is not None
    assert p50.base is not None
    assert p50.other > p50.base
    assert failed.base == 0
    assert failed.other == pytest.approx(100 * 2 / 102)
    assert failed.more_than_noise is True
    assert failed.difference_interval is not None
    low, high = failed.difference_interval
    assert 0 < low < 100 * 2 / 102 < high
    assert msgspec.json.decode(msgspec.json.encode(comparison))["differences"][4]["other"] is None


def test_a_few_failures_may_be_chance() -> None:
    stretch = np.repeat(np.arange(60), 100)
    latency_ms = np.full(6000, 10.0)
    sound = series_of(stretch, latency_ms, 60)
    for failures, told in ((2, False), (4, False), (20, True)):
        failed = np.zeros(60)
        failed[np.linspace(0, 59, failures).astype(int)] = 1
        found = figure(
            compare_series([sound], [series_of(stretch, latency_ms, 60, failed)]), "failed"
        )
        assert found.more_than_noise is told, failures


def test_nothing_answered_is_no_figure() -> None:
    sound = series_of(np.repeat(np.arange(20), 50), np.full(1000, 10.0), 20)
    dead = series_of([], [], 20, failed=np.full(20, 50))
    comparison = compare_series([sound], [dead])
    assert figure(comparison, "mean").other is None
    assert figure(comparison, "mean").more_than_noise is None
    assert figure(comparison, "p50").other == math.inf
    assert figure(comparison, "failed").other == 100


async def test_runs_are_read_from_their_directories(serve: Any, tmp_path: Path) -> None:
    server = serve()
    first, _ = await leave_run(tmp_path / "first", server.url, **SHORT_RUN)
    second, _ = await leave_run(tmp_path / "second", server.url, **SHORT_RUN)
    comparison = compare([tmp_path / "first"], [tmp_path / "second"])
    assert (comparison.base, comparison.other) == ("first", "second")
    for name in ("p50", "p90", "p95", "p99"):
        found = figure(comparison, name)
        assert found.base == pytest.approx(getattr(first.latency_ms, name), abs=1e-4)
        assert found.other == pytest.approx(getattr(second.latency_ms, name), abs=1e-4)
    mean = figure(comparison, "mean")
    assert mean.base == pytest.approx(first.latency_ms.mean, rel=1e-3, abs=1e-3)
    rate = figure(comparison, "completed/s")
    assert rate.base == pytest.approx(first.rate.completed, rel=1e-3)
    assert figure(comparison, "failed").base == 0
    assert rate.other == pytest.approx(second.rate.completed, rel=1e-3)
    assert rate.more_than_noise is not True
    assert not any("differs:" in note for note in comparison.notes)
    assert any(note.startswith("one run a side") for note in comparison.notes)


def edit(file: Path, **fields: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


async def test_runs_are_pairs_where_they_took_turns_under_the_same_schedules(
    serve: Any, tmp_path: Path
) -> None:
    await leave_run(tmp_path / "made", serve().url, **SHORT_RUN)
    # In this order.
    names = ["a1", "b1", "b2", "a2", "a3", "b3"]
    for minute, name in enumerate(names):
        copy = shutil.copytree(tmp_path / "made", tmp_path / name)
        edit(copy / "run.json", started=f"2026-11-26T09:{minute:02}:00.000+00:00")
        edit(copy / "result.json", seed=int(name[1]))
    sides = [[tmp_path / name for name in names if name[0] == side] for side in "ab"]
    found = compare(*sides)
    assert (found.runs, found.paired) == ((3, 3), True)
    assert not any(note.startswith("one run a side") for note in found.notes)
    # However they are given.
    assert compare(sides[0][::-1], sides[1]).paired
    # Not those of unlike schedules, nor one more on a side, nor one after the other.
    edit(tmp_path / "b3" / "result.json", seed=7)
    assert not compare(*sides).paired
    edit(tmp_path / "b3" / "result.json", seed=3)
    assert not compare(sides[0], sides[1][:2]).paired
    edit(tmp_path / "a1" / "run.json", started="2026-11-26T09:02:30.000+00:00")
    assert not compare(*sides).paired


async def test_notes_say_how_runs_are_unlike(serve: Any, tmp_path: Path) -> None:
    await leave_run(tmp_path / "first", serve().url, **SHORT_RUN)
    other = serve()
    await leave_run(tmp_path / "second", other.url, "100", **SHORT_RUN)
    (tmp_path / "second" / "result.json").unlink()
    notes = "\n".join(compare([tmp_path / "first"], [tmp_path / "second"]).notes)
    assert "the target differs" in notes
    assert "the profile of the rate differs: 200 against 100" in notes
    assert "second is interrupted" in notes


async def test_damage_costs_intervals_not_the_comparison(serve: Any, tmp_path: Path) -> None:
    await leave_run(tmp_path / "whole", serve().url, **SHORT_RUN)
    shutil.copytree(tmp_path / "whole", tmp_path / "torn")
    log = (tmp_path / "torn" / "latency.hlog").read_bytes().splitlines(keepends=True)
    (tmp_path / "torn" / "latency.hlog").write_bytes(b"".join([*log[:6], b"0,\n", *log[7:]]))
    comparison = compare([tmp_path / "whole"], [tmp_path / "torn"])
    assert "1 intervals of torn cannot be read and are left out" in comparison.notes
    p50 = figure(comparison, "p50")
    assert p50.ratio == pytest.approx(1, rel=0.5)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UsageError, match="not a run's directory"):
            compare([path], [path])
