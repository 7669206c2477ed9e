"""What the replicas of a service have counted, those that are gone included.

Each replica sends the whole of its counters about once a second, and when it is told to end. What
has come since its last row is added to the worker of its rank, so that no counter ever goes
backwards: not when a replica dies, nor when another takes its rank.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailrace.service.meter import (
    Snapshot,
    WorkerState,
    answered,
    counts_by_model,
    latest_cells,
)
from tailrace.service.usage import Usage

SILENT_S = 5.0
"""A replica not heard of for so long, that did not take its leave, has died."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one replica says of itself."""

    rank: int
    """0 is the first."""
    ready: bool
    waiting: int
    running: int
    cells: NDArray[np.int64]
    """Its counters since it began: those of its row of a `Sheet`."""
    used: Usage | None
    leaving: bool = False
    """Whether this is its last."""


@dataclass(slots=True)
class _Rank:
    cells: NDArray[np.int64]
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class _Heard:
    row: Row
    at_s: float


class Tally:
    """The rows of all replicas."""

    def __init__(self, models: Sequence[str], now_s: Callable[[], float] = time.monotonic) -> None:
        """Of a service of these models; `now_s` is the clock by which replicas fall silent."""
        self._models = models
        self._latest = latest_cells(models)
        self._now_s = now_s
        self._heard: dict[str, _Heard] = {}
        self._gone: set[str] = set()
        self._ranks: dict[int, _Rank] = {}

    def take(self, replica: str, row: Row) -> None:
        """Counts what `replica`, by its unique id, has counted since its last row."""
        before = self._heard.get(replica)
        added = row.cells - before.row.cells if before is not None else row.cells
        rank = self._ranks.setdefault(row.rank, _Rank(np.zeros_like(row.cells)))
        cells = rank.cells + added
        cells[self._latest] = np.maximum(rank.cells[self._latest], row.cells[self._latest])
        rank.cells = cells
        self._heard[replica] = _Heard(row, self._now_s())
        self._gone.discard(replica)
        if row.leaving:
            self._gone.add(replica)

    def snapshot(self) -> Snapshot:
        """What all have counted, and what those that are left do now."""
        self._note_deaths()
        holders = {
            heard.row.rank: heard.row
            for replica, heard in sorted(self._heard.items(), key=lambda item: item[1].at_s)
            if replica not in self._gone
        }
        width = max((len(rank.cells) for rank in self._ranks.values()), default=0)
        cells = [rank.cells for rank in self._ranks.values()]
        whole = sum(cells, np.zeros(width, np.int64))
        if cells:
            whole[self._latest] = np.max([each[self._latest] for each in cells], axis=0)
        return Snapshot(
            counts_by_model(self._models, whole.tolist()) if width else {},
            [
                self._state(number, rank, holders.get(number))
                for number, rank in sorted(self._ranks.items())
            ],
            one_machine=False,
        )

    def _state(self, number: int, rank: _Rank, holder: Row | None) -> WorkerState:
        return WorkerState(
            name=str(number + 1),
            ready=holder is not None and holder.ready,
            waiting=0 if holder is None else holder.waiting,
            running=0 if holder is None else holder.running,
            answered=answered(self._models, rank.cells.tolist()),
            restarts=rank.restarts,
            used=None if holder is None else holder.used,
        )

    def _note_deaths(self) -> None:
        now_s = self._now_s()
        for replica, heard in self._heard.items():
            if replica not in self._gone and now_s - heard.at_s > SILENT_S:
                self._gone.add(replica)
                self._ranks[heard.row.rank].restarts += 1
