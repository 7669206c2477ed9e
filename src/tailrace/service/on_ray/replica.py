"""One replica: a `Service` in an actor of Ray Serve."""

import asyncio
import contextlib
import gc
import logging
import os
import socket
from typing import Any

import cv2
import numpy as np
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp

from tailrace.errors import TailraceError, UsageError
from tailrace.service.app import build
from tailrace.service.config import ServiceConfig
from tailrace.service.meter import Meter, Snapshot, new_sheet
from tailrace.service.on_ray.registry import Row
from tailrace.service.service import Service
from tailrace.service.sheet import PID
from tailrace.service.slices import shorten_time_slice
from tailrace.service.watch import Watch

HEALTH_CHECK_S = 1.0
"""How often Ray Serve asks for a replica's health."""
_REPORT_EVERY_S = 1.0
_REGISTRY_WITHIN_S = 5.0
_LAST_WORD_S = 1.0
# A computation cannot be interrupted; what still runs when the grace is over ends with the process.
_LAST_WAIT_S = 0.1


class Replica:
    """The deployment behind the HTTP routes."""

    async def __init__(  # type: ignore[misc]  # Ray Serve awaits it.
        self, config: ServiceConfig, registry: DeploymentHandle[Any]
    ) -> None:
        """Loads the models and warms them up; Ray Serve sends requests only then.

        Raises:
            TailraceError: a model cannot be loaded. The registry has been told why.
        """
        # As in a process of the local mode; see there.
        logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
        cv2.setNumThreads(1)
        shorten_time_slice()
        meter = Meter(new_sheet(1, config.models), 0, config.models)
        meter.sheet.head(0)[PID] = os.getpid()
        self._siblings = _Siblings(meter, registry)
        self._service = Service(config, meter, self._siblings)
        try:
            await asyncio.to_thread(self._service.load)
            await asyncio.to_thread(self._service.warm_up)
        except TailraceError as error:
            where = f"on node {socket.gethostname()}: {error}"
            await registry.note_failure.remote(where, isinstance(error, UsageError))
            raise
        self._watch = Watch(
            meter.sheet.head(0), config.stuck_s, self._service.slowest_s, HEALTH_CHECK_S
        )
        gc.collect()
        gc.freeze()
        meter.set_ready(True)
        self._reporting = asyncio.create_task(self._siblings.report_on())

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return build(self._service)

    async def check_health(self) -> None:
        """Asked by Ray Serve every second; it replaces a replica that raises.

        Raises:
            TailraceError: an inference is stuck.
            Exception: what ended the task that tells the registry of this replica.
        """
        self._watch.look()
        if reason := self._watch.stuck:
            raise TailraceError(reason)
        if self._reporting.done():
            self._reporting.result()

    async def __del__(self) -> None:
        # Ray Serve awaits it when requests that had begun are answered; not if the start failed.
        if hasattr(self, "_reporting"):
            self._reporting.cancel()
            with contextlib.suppress(RayError, RayServeException, TimeoutError):
                await asyncio.wait_for(self._siblings.leave(), _LAST_WORD_S)
        if hasattr(self, "_service"):
            await asyncio.to_thread(self._service.batcher.close, _LAST_WAIT_S)


class _Siblings:
    # All replicas, as the registry knows them.
    def __init__(self, meter: Meter, registry: DeploymentHandle[Any]) -> None:
        self._meter = meter
        self._registry = registry
        self._id = serve.get_replica_context().replica_id.unique_id
        self.all_ready = False

    def snapshot(self) -> Snapshot:
        asked = self._registry.report_and_read.remote(self._id, self._row())
        snapshot: Snapshot = asked.result(timeout_s=_REGISTRY_WITHIN_S)
        return snapshot

    async def report_on(self) -> None:
        while True:
            # A registry that has just died is replaced by Ray Serve, and is sent all of it again.
            try:
                reported = self._registry.report.remote(self._id, self._row())
                self.all_ready = await asyncio.wait_for(reported, _REGISTRY_WITHIN_S)
            except (RayError, RayServeException, TimeoutError):
                self.all_ready = False
            await asyncio.sleep(_REPORT_EVERY_S)

    async def leave(self) -> None:
        self._meter.set_ready(False)
        await self._registry.report.remote(self._id, self._row(leaving=True))

    def _row(self, leaving: bool = False) -> Row:
        (state,) = self._meter.snapshot().workers
        return Row(
            rank=serve.get_replica_context().rank.rank,
            state=state,
            cells=np.array(self._meter.sheet.counters(0), np.int64),
            leaving=leaving,
        )
