"""The session's way to a load worker on another node: its actor's methods, called in order."""

import asyncio
from typing import Any

import ray
from ray.exceptions import RayError

from tailrace.errors import TailraceError
from tailrace.load.on_ray.agent import HEARTBEAT_S, LOST_S
from tailrace.load.on_ray.files import Parcel
from tailrace.load.on_ray.node import Node
from tailrace.load.session.crew import Gone, Heard
from tailrace.load.worker.messages import Message, frame


class RayLine:
    """See Line. What is told while a call is on its way goes with the next one, all together."""

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
        node.lines += 1

    @property
    def node(self) -> str:
        """See Line."""
        return self._node.name

    @property
    def clock_offset_ns(self) -> int:
        """See Line."""
        assert self._node.watch is not None
        return self._node.watch.first.offset_ns

    def tell(self, message: Message) -> None:
        """See Line."""
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
        """See Line."""
        self._end("was ended")

    async def reap(self) -> None:
        """See Line."""
        await asyncio.wait([self._listener])

    async def _send(self) -> None:
        while self._outbox:
            frames, self._outbox = bytes(self._outbox), bytearray()
            files, self._files = self._files, {}
            try:
                await self._agent.tell.remote(frames, files)
            except RayError:
                # Whoever listens is told why.
                return
        self._sender = None

    async def _listen(self) -> None:
        reason: str | None = None
        while reason is None:
            answer = asyncio.ensure_future(_await(self._agent.hear.remote()))
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
        self._node.lines -= 1
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


async def _await(reference: Any) -> Any:
    return await reference
