"""The one actor that knows all replicas of a service."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import ray
from ray import serve
from ray.exceptions import RayActorError, RayError
from ray.serve.exceptions import RayServeException

from tailrace.cluster import NAMESPACE
from tailrace.service.meter import Snapshot
from tailrace.service.on_ray.tally import Row, Tally

REPLICA = "replica"
"""Name of the deployment of the replicas."""

_LOOK_EVERY_S = 0.5


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
        """Asked by Ray Serve every second.

        Raises:
            Exception: what ended one of its tasks.
        """
        for task in self._tasks:
            if task.done():
                task.result()

    async def _look_on(self, application: str) -> None:
        while True:
            try:
                running = await asyncio.to_thread(running_replicas, application)
                self._ready = running >= self._fewest
            except (RayError, RayServeException):
                self._ready = False
            await asyncio.sleep(_LOOK_EVERY_S)


def running_replicas(application: str) -> int:
    """How many replicas Ray Serve has that are warm and healthy."""
    found = serve.status().applications.get(application)
    if found is None or REPLICA not in found.deployments:
        return 0
    states = found.deployments[REPLICA].replica_states
    return sum(count for state, count in states.items() if state == "RUNNING")


async def _end_with(owner: str) -> None:
    # The owner never answers: what comes is that it has ended, however it did.
    try:
        await ray.get_actor(owner, NAMESPACE).wait.remote()
    except (ValueError, RayActorError):
        await asyncio.to_thread(serve.shutdown)
