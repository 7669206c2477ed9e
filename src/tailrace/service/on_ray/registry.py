"""The one actor that knows all replicas of a service, and what they have counted.

Each replica sends the whole of its counters about once a second, and when it is told to end. What
has come since its last row is added to the worker of its rank, so that no counter ever goes
backwards: not when a replica dies, nor when another takes its rank.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import ray
from numpy.typing import NDArray
from ray import serve
from ray.exceptions import RayActorError, RayError
from ray.serve.exceptions import RayServeException
from ray.serve.schema import ApplicationStatusOverview

from tailrace.cluster import NAMESPACE
from tailrace.service.meter import (
    Snapshot,
    WorkerState,
    answered,
    counts_by_model,
    latest_cells,
)

REPLICA = "replica"
"""Name of the deployment of the replicas."""
SILENT_S = 5.0
"""A replica not heard of for so long, that did not take its leave, has died."""
_LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Row:
    """What one replica says of itself."""

    rank: int
    """0 is the first."""
    state: WorkerState
    """As if it were alone."""
    cells: NDArray[np.int64]
    """Its counters since it began: those of its row of a `Sheet`."""
    leaving: bool = False
    """Whether this is its last."""


_NOBODY = WorkerState(name="", ready=False, waiting=0, running=0, answered=0, restarts=0, used=None)
"""Of a rank that has no replica at the moment."""


class Tally:
    """The rows of all replicas of a service of `models`, those that are gone included; `now_s` is
    the clock by which they fall silent."""

    def __init__(self, models: Sequence[str], now_s: Callable[[], float] = time.monotonic) -> None:
        self._models = models
        self._latest = latest_cells(models)
        self._now_s = now_s
        self._heard: dict[str, tuple[Row, float]] = {}
        """The last row of each replica, and when it came."""
        self._gone: set[str] = set()
        self._cells: dict[int, NDArray[np.int64]] = {}
        """Counters of each rank."""
        self._restarts: Counter[int] = Counter()

    def take(self, replica: str, row: Row) -> None:
        """Counts what `replica`, by its unique id, has counted since its last row."""
        added = row.cells
        if replica in self._heard:
            added = added - self._heard[replica][0].cells
        before = self._cells.get(row.rank, np.zeros_like(row.cells))
        cells = self._cells[row.rank] = before + added
        cells[self._latest] = np.maximum(before[self._latest], row.cells[self._latest])
        self._heard[replica] = row, self._now_s()
        self._gone.discard(replica)
        if row.leaving:
            self._gone.add(replica)

    def snapshot(self) -> Snapshot:
        """What all have counted, and what those that are left do now."""
        self._note_deaths()
        heard = sorted(self._heard.items(), key=lambda item: item[1][1])
        left = [row for replica, (row, _) in heard if replica not in self._gone]
        states = {row.rank: row.state for row in left}
        models = {}
        if self._cells:
            rows = np.array(list(self._cells.values()))
            whole = rows.sum(axis=0)
            whole[self._latest] = rows[:, self._latest].max(axis=0)
            models = counts_by_model(self._models, whole.tolist())
        workers = [
            replace(
                states.get(rank, _NOBODY),
                name=str(rank + 1),
                answered=answered(self._models, self._cells[rank].tolist()),
                restarts=self._restarts[rank],
            )
            for rank in sorted(self._cells)
        ]
        return Snapshot(models, workers, one_machine=False)

    def _note_deaths(self) -> None:
        now_s = self._now_s()
        for replica, (row, at_s) in self._heard.items():
            if replica not in self._gone and now_s - at_s > SILENT_S:
                self._gone.add(replica)
                self._restarts[row.rank] += 1


class Registry:
    """The deployment that keeps the tally and watches over what the service needs."""

    async def __init__(  # type: ignore[misc]  # Ray Serve awaits it.
        self, models: Sequence[str], fewest: int, owner: str | None
    ) -> None:
        """Of a service of `models` that is ready when `fewest` replicas are. Ray Serve is shut down
        when the actor called `owner` ends."""
        self._tally = Tally(models)
        self._fewest = fewest
        self._failure: tuple[str, bool] | None = None
        self._ready = False
        context = serve.get_replica_context()
        self._tasks = [asyncio.create_task(self._look_on(context.app_name))]
        if owner is not None:
            self._tasks.append(asyncio.create_task(_end_with(owner)))

    async def report(self, replica: str, row: Row) -> bool:
        """Takes a replica's row; whether the service is ready."""
        self._tally.take(replica, row)
        return self._ready

    async def report_and_read(self, replica: str, row: Row) -> Snapshot:
        """Takes a replica's row; what all have counted."""
        self._tally.take(replica, row)
        return self._tally.snapshot()

    async def note_failure(self, reason: str, usage: bool) -> None:
        """Notes why a replica could not start; `usage` if what was asked for is to blame."""
        self._failure = reason, usage

    async def failure(self) -> tuple[str, bool] | None:
        """What was noted last, as it was given to `note_failure`."""
        return self._failure

    async def check_health(self) -> None:
        """Asked by Ray Serve every second; raises what ended one of its tasks."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def _look_on(self, application: str) -> None:
        while True:
            try:
                status = await asyncio.to_thread(serve.status)
                found = status.applications.get(application)
                self._ready = running_replicas(found) >= self._fewest
            except (RayError, RayServeException):
                self._ready = False
            await asyncio.sleep(_LOOK_EVERY_S)


def running_replicas(application: ApplicationStatusOverview | None) -> int:
    """How many replicas it has that are warm and healthy, by what Ray Serve says of it."""
    if application is None or REPLICA not in application.deployments:
        return 0
    states = application.deployments[REPLICA].replica_states
    return sum(count for state, count in states.items() if state == "RUNNING")


async def _end_with(owner: str) -> None:
    # The owner never answers: what comes is that it has ended, however it did.
    try:
        await ray.get_actor(owner, NAMESPACE).wait.remote()
    except (ValueError, RayActorError):
        await asyncio.to_thread(serve.shutdown)
