"""What runs on a node for one load worker: an actor that starts its process and passes bytes on.

The worker is the same process as on one machine, so that nothing of Ray disturbs its pacing. It
ends with its actor, whose end of the socket closes then, and when its session is silent: a share
that has been given to another must not be offered twice.
"""

import asyncio
import contextlib
import platform
import shutil
import tempfile
import time
from pathlib import Path

import msgspec
import ray

import tailrace
from tailrace.load.session.workers import WorkerProcess
from tailrace.load.worker.messages import frame, read_requests, read_setup

HEARTBEAT_S = 0.5
"""How long an actor waits for its worker to say something before it answers all the same."""
ORPHANED_S = 2.0
"""After so long without a question from the session the actor ends its worker. With a heartbeat
more it is less than LOST_S: before another takes the share over."""
LOST_S = 3.0
"""After so long without an answer a session takes an actor for lost."""


class Agent:
    """The actor. All of its methods are asynchronous and run in one event loop."""

    def __init__(self) -> None:
        self._heard = bytearray()
        self._gone: str | None = None
        self._news = asyncio.Event()
        self._asked_s = time.monotonic()
        self._process = WorkerProcess(self._on_heard, self._on_gone)
        self._directory: Path | None = None
        self._watch: asyncio.Task[None] | None = None

    async def greet(self) -> tuple[str, str, str]:
        """(id of the node, version of Tailrace, version of Python) here."""
        node_id = ray.get_runtime_context().get_node_id()
        return node_id, tailrace.__version__, platform.python_version()

    async def clock_ns(self) -> int:
        """This node's CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    async def begin(self, setup: bytes, requests: bytes, files: dict[str, bytes]) -> None:
        """Start the worker, in a directory that holds `files`, and set it up.

        Args:
            setup: a Setup without requests, packed.
            requests: its requests, packed; one object for all workers of a node.
            files: contents by name.
        """
        self._directory = Path(tempfile.mkdtemp(prefix="tailrace-"))
        self._write(files)
        await self._process.spawn(self._directory)
        self._asked_s = time.monotonic()
        self._watch = asyncio.get_running_loop().create_task(self._end_if_orphaned())
        whole = msgspec.structs.replace(read_setup(setup), requests=read_requests(requests))
        self._process.write(frame(whole))

    async def send(self, frames: bytes, files: dict[str, bytes]) -> None:
        """Pass frames on to the worker, which may name `files`."""
        self._write(files)
        self._process.write(frames)

    async def hear(self) -> tuple[bytes, str | None]:
        """(what the worker has sent since the last call, why nothing more will come or None), as
        soon as there is something to say, or else after HEARTBEAT_S.
        """
        self._asked_s = time.monotonic()
        if not self._heard and self._gone is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), HEARTBEAT_S)
        self._asked_s = time.monotonic()
        self._news.clear()
        heard, self._heard = bytes(self._heard), bytearray()
        return heard, self._gone

    def _on_heard(self, data: bytes) -> None:
        self._heard += data
        self._news.set()

    def _on_gone(self, reason: str) -> None:
        self._gone = reason
        self._news.set()
        if self._watch is not None:
            self._watch.cancel()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _write(self, files: dict[str, bytes]) -> None:
        for name, content in files.items():
            assert self._directory is not None
            (self._directory / name).write_bytes(content)

    async def _end_if_orphaned(self) -> None:
        while time.monotonic() - self._asked_s < ORPHANED_S:
            await asyncio.sleep(0.1)
        self._process.kill()
