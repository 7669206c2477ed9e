"""Counting and timing in the rows of the workers."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tailrace.service.meter import (
    BATCH_BOUNDS,
    DURATION_BOUNDS_S,
    OUTCOMES,
    Histogram,
    Meter,
    new_sheet,
)
from tailrace.service.sheet import BEGAN, READY, RUNNING, WAITING
from tailrace.service.stages import STAGES, StageClock
from tests.kit.models import null_model

MODELS = ("shapes", "null", "resnet50")
WORKERS = 3
LONGEST_NS = 40 * 10**9


def clock_of(spans_ns: list[int]) -> StageClock:
    clock = StageClock()
    end_ns = clock.began_ns
    for stage, span_ns in enumerate(spans_ns):
        end_ns += span_ns
        clock.end_at(stage, end_ns)
    return clock


def histogram_of(values: list[int], bounds: list[float]) -> tuple[list[int], int]:
    """Counts of the values up to each bound but above the one before it, and their sum."""
    edges = [float("-inf"), *bounds, float("inf")]
    counts = [sum(low < value <= high for value in values) for low, high in pairwise(edges)]
    return counts, sum(values)


def as_pair(histogram: Histogram) -> tuple[list[int], int]:
    return list(histogram.counts), histogram.sum


def meters() -> list[Meter]:
    sheet = new_sheet(WORKERS, MODELS)
    return [Meter(new_sheet(WORKERS, MODELS, sheet.file), n, MODELS) for n in range(WORKERS)]


BOUNDS_NS = [bound * 1e9 for bound in DURATION_BOUNDS_S]
EVENTS = st.one_of(
    st.sampled_from(OUTCOMES[1:]),
    st.integers(1, 200),
    st.lists(
        st.integers(0, LONGEST_NS) | st.sampled_from([round(bound) for bound in BOUNDS_NS]),
        min_size=len(STAGES),
        max_size=len(STAGES),
    ),
)


@given(
    st.lists(st.tuples(st.integers(0, WORKERS - 1), st.sampled_from(MODELS), EVENTS), max_size=40)
)
def test_any_worker_tells_what_happened_to_all(
    events: list[tuple[int, str, str | int | list[int]]],
) -> None:
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    batches: dict[str, list[int]] = defaultdict(list)
    spans: dict[str, list[list[int]]] = defaultdict(list)
    answered: Counter[int] = Counter()
    workers = meters()
    for worker, model, event in events:
        if isinstance(event, str):
            workers[worker].count(model, event, 7)
            outcomes[model][event] += 1
        elif isinstance(event, int):
            workers[worker].observe_batch(null_model(model), event)
            if event % 3:
                workers[worker].observe_success(null_model(model), event)
            batches[model].append(event)
        else:
            workers[worker].observe(model, clock_of(event))
            outcomes[model]["ok"] += 1
            spans[model].append(event)
            answered[worker] += 1
    for meter in workers:
        snapshot = meter.snapshot()
        totals = snapshot.models
        assert list(totals) == list(MODELS)
        for model, counts in totals.items():
            assert counts.outcomes == {name: outcomes[model][name] for name in OUTCOMES}
            assert as_pair(counts.batches) == histogram_of(batches[model], list(BATCH_BOUNDS))
            succeeded = [rows for rows in batches[model] if rows % 3]
            assert (counts.inferences, counts.rows) == (len(succeeded), sum(succeeded))
            assert counts.failed_ns == 7 * (outcomes[model].total() - outcomes[model]["ok"])
            assert bool(counts.latest_ms) == (outcomes[model]["ok"] > 0)
            for number, stage in enumerate(STAGES):
                values = [row[number] for row in spans[model]]
                assert as_pair(counts.stages[stage]) == histogram_of(values, BOUNDS_NS)
            totals_ns = [sum(row) for row in spans[model]]
            assert as_pair(counts.total) == histogram_of(totals_ns, BOUNDS_NS)
            assert sum(stage.sum for stage in counts.stages.values()) == counts.total.sum
        assert [worker.answered for worker in snapshot.workers] == [
            answered[n] for n in range(WORKERS)
        ]


def test_model_that_is_not_served_is_not_counted() -> None:
    meter = meters()[0]
    meter.count("nope", "bad_request")
    assert not any(any(counts.outcomes.values()) for counts in meter.snapshot().models.values())


def test_levels_and_readiness_are_a_workers_own() -> None:
    workers = meters()
    workers[1].set_levels(5, 3, 7)
    workers[1].set_ready(True)
    heads = [workers[0].sheet.head(n) for n in range(WORKERS)]
    assert [head[WAITING] for head in heads] == [0, 5, 0]
    assert [head[RUNNING] for head in heads] == [0, 3, 0]
    assert [head[BEGAN] for head in heads] == [0, 7, 0]
    assert [head[READY] for head in heads] == [0, 1, 0]
    workers[1].set_ready(False)
    assert heads[1][READY] == 0


def test_of_several_workers_the_latest_time_counts() -> None:
    workers = meters()
    before_ms = time.time() * 1000
    for worker in workers:
        worker.observe("shapes", clock_of([0] * len(STAGES)))
    latest_ms = workers[0].snapshot().models["shapes"].latest_ms
    assert before_ms - 1 <= latest_ms <= time.time() * 1000
    assert workers[0].snapshot().models["null"].latest_ms == 0
