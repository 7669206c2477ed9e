"""What a worker counts and times, in its row of the shared sheet."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tailrace.models.model import Model
from tailrace.service import usage
from tailrace.service.sheet import (
    ASIDE,
    BEAT,
    BEGAN,
    BROKEN,
    HANGS,
    PID,
    READY,
    RESTARTS,
    RUNNING,
    WAITING,
    Sheet,
)
from tailrace.service.stages import STAGES, StageClock

DURATION_BOUNDS_S = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
"""Upper bounds of the buckets of a duration; one more bucket is above them all."""
BATCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128)
OUTCOMES = (
    "ok",
    "bad_request",
    "queue_full",
    "deadline",
    "client_gone",
    "not_ready",
    "failed",
)
"""How a request can end."""

_BOUNDS_NS = tuple(int(bound * 1e9) for bound in DURATION_BOUNDS_S)
_TIMED = (*STAGES, "total")


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts by bucket, not cumulated, and the sum of what was observed."""

    counts: Sequence[int]
    sum: int


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted of one model, over all workers."""

    outcomes: dict[str, int]
    """Requests by outcome."""
    batches: Histogram
    """Rows of each inference, by BATCH_BOUNDS."""
    stages: dict[str, Histogram]
    """Answered requests: ns in each stage, by DURATION_BOUNDS_S."""
    total: Histogram
    """Answered requests: ns in all."""
    failed_ns: int
    """Requests that ended in another way than being answered: ns in all."""
    inferences: int
    """Inferences that succeeded."""
    rows: int
    """Rows of these."""
    latest_ms: int
    """When the last request was answered, in ms since 1970; 0 if none was."""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One worker: what it does now, and what it has done."""

    name: str
    ready: bool
    """Whether it is warm and does not seem to hang."""
    waiting: int
    running: int
    answered: int
    """Requests of all models since the service began."""
    restarts: int
    """Times it died and was started again."""
    used: usage.Usage | None
    """What its process has used; None if there is none at the moment."""
    hangs: int = 0
    """Times it was replaced because it hung."""
    broken_pictures: int = 0
    """Of how many pictures decoders said that they are broken, whether or not they decoded them."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that `/metrics` tells of a service."""

    models: dict[str, Counts]
    """By model, what all workers have counted since the service began."""
    workers: Sequence[WorkerState]
    one_machine: bool = True
    """Whether they are all on this machine, so that its GPUs are theirs."""


class Siblings(Protocol):
    """All workers of a service, as one of them knows them."""

    @property
    def all_ready(self) -> bool:
        """Whether every worker is warm, and the service is not stopping."""

    def snapshot(self) -> Snapshot:
        """What they have counted. May take milliseconds: not for the event loop."""


class _Layout:
    # Where in a model's counters each thing is: outcomes, single ones, batches, the durations.
    failed_ns, inferences, rows, latest_ms = range(len(OUTCOMES), len(OUTCOMES) + 4)
    batches = latest_ms + 1
    batch_width = len(BATCH_BOUNDS) + 2
    durations = batches + batch_width
    duration_width = len(DURATION_BOUNDS_S) + 2
    width = durations + duration_width * len(_TIMED)


class Meter:
    """The counters of one worker. `observe_batch` to `set_levels` come from inference threads,
    one at a time; the rest from the event loop."""

    def __init__(self, sheet: Sheet, worker: int, models: Sequence[str]) -> None:
        """Counts in the row of `worker`; see `new_sheet`."""
        self.sheet = sheet
        self._models = models
        self._head = sheet.head(worker)
        self._cells = sheet.counters(worker)
        self._begins = {name: i * _Layout.width for i, name in enumerate(models)}

    def observe(self, model: str, clock: StageClock) -> None:
        """Counts an answered request, with all its stages."""
        cells = self._cells
        begin = self._begins[model]
        cells[begin] += 1
        cells[begin + _Layout.latest_ms] = time.time_ns() // 1_000_000
        at = begin + _Layout.durations
        for span_ns in (*clock.spans_ns, clock.total_ns):
            cells[at + bisect_left(_BOUNDS_NS, span_ns)] += 1
            cells[at + _Layout.duration_width - 1] += span_ns
            at += _Layout.duration_width

    def count(self, model: str, outcome: str, took_ns: int = 0) -> None:
        """Counts a request that ended in another way than being answered, after `took_ns`."""
        if (begin := self._begins.get(model)) is not None:
            self._cells[begin + OUTCOMES.index(outcome)] += 1
            self._cells[begin + _Layout.failed_ns] += took_ns

    def observe_batch(self, model: Model, rows: int) -> None:
        """Counts an inference of `rows` that begins."""
        begin = self._begins[model.spec.name] + _Layout.batches
        self._cells[begin + bisect_left(BATCH_BOUNDS, rows)] += 1
        self._cells[begin + _Layout.batch_width - 1] += rows

    def observe_success(self, model: Model, rows: int) -> None:
        """Counts an inference of `rows` that has succeeded."""
        begin = self._begins[model.spec.name]
        self._cells[begin + _Layout.inferences] += 1
        self._cells[begin + _Layout.rows] += rows

    def set_levels(self, waiting: int, running: int, began_ns: int) -> None:
        """Notes how many requests wait, how many are worked on, and since when the inference runs
        that began first; see `sheet`."""
        head = self._head
        head[WAITING], head[RUNNING], head[BEGAN] = waiting, running, began_ns

    def beat(self) -> None:
        """Notes that the event loop runs."""
        self._head[BEAT] += 1

    def set_ready(self, ready: bool) -> None:
        """Notes whether this worker is warm."""
        self._head[READY] = int(ready)

    @property
    def all_ready(self) -> bool:
        """Whether every worker of the sheet is warm, and the service is not stopping."""
        return self.sheet.all_ready

    def snapshot(self) -> Snapshot:
        """What the workers of the sheet have counted."""
        return Snapshot(
            counts_by_model(self._models, self._totals()),
            [self._state(worker) for worker in range(self.sheet.workers)],
        )

    def _totals(self) -> Sequence[int]:
        totals = list(self.sheet.totals())
        for cell in latest_cells(self._models):
            totals[cell] = max(
                self.sheet.counters(worker)[cell] for worker in range(self.sheet.workers)
            )
        return totals

    def _state(self, worker: int) -> WorkerState:
        head = self.sheet.head(worker).tolist()
        return WorkerState(
            name=str(worker + 1),
            ready=bool(head[READY] and not head[ASIDE]),
            waiting=head[WAITING],
            running=head[RUNNING],
            answered=answered(self._models, self.sheet.counters(worker)),
            restarts=head[RESTARTS],
            used=usage.read(head[PID]),
            hangs=head[HANGS],
            broken_pictures=head[BROKEN],
        )


def answered(models: Sequence[str], cells: Sequence[int]) -> int:
    """Requests answered, of all models, by the counters of a row of their sheet."""
    return sum(cells[i * _Layout.width] for i in range(len(models)))


def latest_cells(models: Sequence[str]) -> list[int]:
    """Which of a row's counters are times: of several rows the latest counts, not the sum."""
    return [i * _Layout.width + _Layout.latest_ms for i in range(len(models))]


def counts_by_model(models: Sequence[str], cells: Sequence[int]) -> dict[str, Counts]:
    """By model, what the counters of a row, or the sums of several rows, say."""
    return {name: _counts(cells[i * _Layout.width :]) for i, name in enumerate(models)}


def new_sheet(workers: int, models: Sequence[str], file: int | None = None) -> Sheet:
    """A sheet that a `Meter` of these models fits on; `file` is that of a parent's."""
    return Sheet(workers, len(models) * _Layout.width, file)


def _counts(cells: Sequence[int]) -> Counts:
    def histogram(begin: int, width: int) -> Histogram:
        return Histogram(cells[begin : begin + width - 1], cells[begin + width - 1])

    timed = {
        name: histogram(_Layout.durations + i * _Layout.duration_width, _Layout.duration_width)
        for i, name in enumerate(_TIMED)
    }
    total = timed.pop("total")
    return Counts(
        dict(zip(OUTCOMES, cells, strict=False)),
        histogram(_Layout.batches, _Layout.batch_width),
        timed,
        total,
        cells[_Layout.failed_ns],
        cells[_Layout.inferences],
        cells[_Layout.rows],
        cells[_Layout.latest_ms],
    )
