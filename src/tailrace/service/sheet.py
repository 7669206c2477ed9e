"""Counters of all processes of a service, in memory they share.

Each worker process has a row of int64 cells that it alone writes; everyone reads all of them, so
any worker can answer for the whole service, and what a worker counted outlives it. Reading or
writing an aligned int64 is whole on the processors we run on, so there is no lock.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence

_CELL_BYTES = 8
PID, READY, WAITING, RUNNING, RESTARTS, BEAT, BEGAN, ASIDE, HANGS, BROKEN = range(10)
"""The first cells of each row: BEAT goes up as long as the worker's event loop runs, BEGAN says
since when the inference runs that began first, in ns of CLOCK_MONOTONIC, 0 if none does. The parent
writes PID, RESTARTS, ASIDE, which is 1 while the worker seems to hang, HANGS, how often it was
replaced for that, BROKEN, how many pictures decoders called broken, and, when a worker has died,
the others' zero."""
_HEAD = 10
_STOPPING = 0


class Sheet:
    """Rows of cells, one row a worker."""

    def __init__(self, workers: int, counters: int, file: int | None = None) -> None:
        """Makes the memory, or maps the one of a parent by its `file` descriptor; each row has
        `counters` cells beside those that every row has."""
        self.workers = workers
        self._width = _HEAD + counters
        size = (1 + workers * self._width) * _CELL_BYTES
        if file is None:
            file = os.memfd_create("tailrace-counters", 0)
            os.ftruncate(file, size)
        self.file = file
        """Descriptor of the memory, for a child process to inherit."""
        self._cells = memoryview(mmap.mmap(file, size)).cast("q")

    def head(self, worker: int) -> memoryview[int]:
        """The first cells of a row: PID, READY, …"""
        begin = 1 + worker * self._width
        return self._cells[begin : begin + _HEAD]

    def counters(self, worker: int) -> memoryview[int]:
        """The counters of a row."""
        begin = 1 + worker * self._width
        return self._cells[begin + _HEAD : begin + self._width]

    def totals(self) -> Sequence[int]:
        """Each counter, over all workers."""
        rows = [self.counters(worker).tolist() for worker in range(self.workers)]
        return [sum(cells) for cells in zip(*rows, strict=True)]

    def stop(self) -> None:
        """Marks the service as stopping."""
        self._cells[_STOPPING] = 1

    @property
    def all_ready(self) -> bool:
        """Whether every worker is ready, none seems to hang, and the service is not stopping."""
        return self._cells[_STOPPING] == 0 and all(
            head[READY] and not head[ASIDE] for head in map(self.head, range(self.workers))
        )

    def note_death(self, worker: int) -> None:
        """What a worker had at hand is gone with it; it counts as a restart to come."""
        head = self.head(worker)
        head[PID] = head[READY] = head[WAITING] = head[RUNNING] = head[BEGAN] = head[ASIDE] = 0
        head[RESTARTS] += 1
