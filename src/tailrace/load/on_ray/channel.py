"""The channel between a session and a load worker on a node: an actor there, which starts the
worker's process and passes bytes on; and the files that go there with messages.

The worker is the same process as on one machine, so that nothing of Ray disturbs its pacing. It
ends with its actor, whose end of the socket closes then, and when its session is silent: a share
that has been given to another must not be offered twice.
"""

import asyncio
import contextlib
import hashlib
import platform
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import ray
from ray.exceptions import RayError

import tailrace
from tailrace.errors import TailraceError, UsageError
from tailrace.load.client.target import Tls
from tailrace.load.on_ray.node import Node
from tailrace.load.schedule.arrivals import parse_arrivals
from tailrace.load.schedule.profile import parse_profile
from tailrace.load.schedule.trace_file import Files
from tailrace.load.worker.launcher import Gone, Heard, WorkerProcess
from tailrace.load.worker.messages import Change, Message, Setup, frame, read_requests, read_setup

HEARTBEAT_S = 0.5
"""How long an actor waits for its worker to say something before it answers all the same."""
ORPHANED_S = 2.0
"""After so long without a question from the session the actor ends its worker. With a heartbeat
more it is less than LOST_S: before another takes the share over."""
LOST_S = 3.0
"""After so long without an answer a session takes an actor for lost."""


class Parcel(Files):
    """The files that messages name, by the names they have in them once they are rewritten. Each is
    read once: one that is gone later is still here.
    """

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}
        self._rewritten: dict[str, str] = {}
        """Names of files, as they were and as they are now."""
        self._packed_arrivals: str | None = None
        """Those of its one run."""

    def pack(self, message: Message) -> Message:
        """The message with every file it names by the name in `files`.

        Raises:
            UsageError: one cannot be read, or is a Unix socket.
        """
        match message:
            case Setup(config=config, traffic=traffic):
                if any(endpoint.unix_socket is not None for endpoint in traffic.endpoints):
                    raise UsageError("a Unix socket is this machine's alone: not with --ray")
                endpoints = [
                    msgspec.structs.replace(endpoint, tls=self._tls(endpoint.tls))
                    for endpoint in traffic.endpoints
                ]
                return msgspec.structs.replace(
                    message,
                    config=msgspec.structs.replace(
                        config, arrivals=self._arrivals(config.arrivals)
                    ),
                    traffic=replace(traffic, endpoints=endpoints),
                    profile=[
                        (start, area, self._profile(text)) for start, area, text in message.profile
                    ],
                )
            case Change(t_s, profile):
                return Change(t_s, self._profile(profile))
            case _:
                return message

    def find(self, name: str) -> tuple[str, str]:
        return name, self._name(name)

    def _arrivals(self, text: str) -> str:
        if self._packed_arrivals is None:
            # Once for all workers: a recording may be long.
            self._packed_arrivals = parse_arrivals(text, files=self).expression
        return self._packed_arrivals

    def _profile(self, text: str) -> str:
        return parse_profile(text, self).expression

    def _tls(self, tls: Tls | None) -> Tls | None:
        if tls is None:
            return None
        files = {name: getattr(tls, name) for name in ("ca_file", "cert_file", "key_file")}
        named = {name: Path(self._name(str(file))) for name, file in files.items() if file}
        return msgspec.structs.replace(tls, **named)

    def _name(self, path: str) -> str:
        if path not in self._rewritten:
            try:
                content = Path(path).read_bytes()
            except OSError as error:
                raise UsageError(f"cannot read {path}: {error.strerror}") from None
            name = hashlib.sha256(content).hexdigest()[:24]
            self.files[name] = content
            self._rewritten[path] = name
        return self._rewritten[path]


class Agent:
    """The actor. Its methods, all asynchronous, run in one event loop."""

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
        bare = read_setup(setup)
        traffic = replace(bare.traffic, requests=read_requests(requests))
        self._process.send(msgspec.structs.replace(bare, traffic=traffic))

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


class RayChannel:
    """A channel by way of an actor on the worker's node, whose methods are called in order: what is
    sent while a call is on its way goes with the next one, all together.
    """

    def __init__(self, agent: Any, node: Node, heard: Heard, gone: Gone) -> None:
        self._agent = agent
        self._node = node
        self._heard = heard
        self._gone = gone
        self._outbox = bytearray()
        self._files: dict[str, bytes] = {}
        self._over = False
        self._sender: asyncio.Task[None] | None = None
        self._listener = asyncio.get_running_loop().create_task(self._listen())
        node.channels += 1

    @property
    def node(self) -> str:
        return self._node.name

    @property
    def clock_offset_ns(self) -> int:
        return self._node.watch.first.offset_ns

    def send(self, message: Message) -> None:
        if self._over:
            return
        parcel = Parcel()
        try:
            self._outbox += frame(parcel.pack(message))
        except TailraceError as error:
            # Going on with another profile than the others would be worse than nothing.
            self._end(f"cannot be told of a change ({error})")
            return
        self._files |= parcel.files
        if self._sender is None:
            self._sender = asyncio.get_running_loop().create_task(self._send())

    def kill(self) -> None:
        self._end("was ended")

    async def closed(self) -> None:
        await asyncio.wait([self._listener])

    async def _send(self) -> None:
        while self._outbox:
            frames, self._outbox = bytes(self._outbox), bytearray()
            files, self._files = self._files, {}
            try:
                await self._agent.send.remote(frames, files)
            except RayError:
                # Whoever listens is told why.
                return
        self._sender = None

    async def _listen(self) -> None:
        reason: str | None = None
        while reason is None:
            answer = asyncio.ensure_future(self._agent.hear.remote())
            try:
                if not await _within(answer, LOST_S):
                    self._node.doubtful = True
                    self._end(f"was lost (nothing heard from it for {LOST_S:g} s)")
                    return
                heard, reason = answer.result()
            except RayError:
                self._node.doubtful = True
                self._end("was lost (its node or its Ray actor died)")
                return
            finally:
                answer.cancel()
            self._node.heard_s = asyncio.get_running_loop().time()
            if heard:
                self._heard(heard)
        self._end(reason)

    def _end(self, reason: str) -> None:
        if self._over:
            return
        self._over = True
        self._node.channels -= 1
        if asyncio.current_task() is not self._listener:
            self._listener.cancel()
        if self._sender is not None:
            self._sender.cancel()
        ray.kill(self._agent)
        self._gone(reason)


async def _within(answer: asyncio.Future[Any], seconds: float) -> bool:
    """Whether it comes in time: in steps, so that time in which this process itself stood still
    hardly counts.
    """
    for _ in range(round(seconds / HEARTBEAT_S)):
        if (await asyncio.wait([answer], timeout=HEARTBEAT_S))[0]:
            return True
    return False
