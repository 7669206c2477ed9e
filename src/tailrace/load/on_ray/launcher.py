"""Load workers on the nodes of a Ray cluster."""

import asyncio
import contextlib
import platform
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import ray
from ray.exceptions import RayError
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import (
    NodeAffinitySchedulingStrategy,
    PlacementGroupSchedulingStrategy,
)

import tailrace
from tailrace.cluster import connect, living_nodes, take_signals_back
from tailrace.errors import UsageError
from tailrace.load.on_ray.channel import HEARTBEAT_S, Agent, Parcel, RayChannel
from tailrace.load.on_ray.node import ClockWatch, Node, name_nodes, read_clock
from tailrace.load.worker.launcher import Channel, GeneratorError, Gone, Heard
from tailrace.load.worker.messages import Setup, encoder

_ROOM_S = 10.0
"""How long to wait for CPUs that others are about to give back."""
_BEGIN_S = 30.0
_READINGS = 30
_LATER_READINGS = 10
_WATCH_S = 5.0
"""How often the clocks are read again."""
_FRESH_S = 3 * HEARTBEAT_S
"""A node that has been silent for longer may be about to be lost."""
_CHANGE_NS = 20_000_000
_MOST_NS = 90_000_000


class RayLauncher:
    """On a cluster: an actor a worker, each with a CPU of its own, spread over the nodes.

    Args:
        address: of the cluster, HOST:PORT of its head node, or `auto` for the one of this machine.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._nodes: dict[str, Node] = {}
        self._waiting: list[tuple[Any, Node]] = []
        """Actors that are there, and have no worker yet."""
        self._group: Any = None
        self._parcel = Parcel()
        self._packed_requests: Any = None
        self._watching: asyncio.Task[None] | None = None
        self._round_trip_ns = 0

    @property
    def start_lead_ns(self) -> int:
        return 200_000_000 + 4 * self._round_trip_ns

    @property
    def change_lead_ns(self) -> int:
        """Beyond what a worker itself needs, four of the slowest node's round trips at
        their best: a busy node answers late, and a call waits for the one before it.
        """
        return min(_CHANGE_NS + 4 * self._round_trip_ns, _MOST_NS)

    @property
    def clock_errors_s(self) -> Mapping[str, float]:
        return {node.name: node.watch.error_ns / 1e9 for node in self._nodes.values()}

    async def reserve(self, workers: int) -> None:
        await asyncio.to_thread(connect, self._address)
        take_signals_back()
        self._group = placement_group([{"CPU": 1}] * workers, strategy="SPREAD")
        try:
            async with asyncio.timeout(_ROOM_S):
                await self._group.ready()
        except TimeoutError:
            raise GeneratorError(self._no_room(workers)) from None
        agents = [
            self._make_agent(
                PlacementGroupSchedulingStrategy(self._group, placement_group_bundle_index=number)
            )
            for number in range(workers)
        ]
        # All are up before the clocks are read: what starts beside an actor makes it answer late.
        ids = [await self._greet(agent) for agent in agents]
        self._waiting = [
            (agent, await self._node(node_id, agent))
            for agent, node_id in zip(agents, ids, strict=True)
        ]
        self._watching = asyncio.get_running_loop().create_task(self._watch_clocks())

    async def launch(self, setup: Setup, heard: Heard, gone: Gone) -> Channel:
        agent, node = self._waiting.pop(0) if self._waiting else await self._substitute()
        if self._packed_requests is None:
            # One object for all workers of a node.
            self._packed_requests = ray.put(encoder.encode(setup.traffic.requests))
        bare = msgspec.structs.replace(setup, traffic=replace(setup.traffic, requests=[]))
        packed = encoder.encode(self._parcel.pack(bare))
        try:
            async with asyncio.timeout(_BEGIN_S):
                await agent.begin.remote(packed, self._packed_requests, self._parcel.files)
        except (RayError, TimeoutError) as error:
            raise GeneratorError(f"{node.name} starts no load worker: {_line(error)}") from error
        node.heard_s = asyncio.get_running_loop().time()
        return RayChannel(agent, node, heard, gone)

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        for agent, _ in self._waiting:
            ray.kill(agent)
        self._waiting.clear()
        if self._group is not None:
            remove_placement_group(self._group)
            self._group = None

    def _make_agent(self, strategy: Any, cpus: int = 1) -> Any:
        return (
            ray.remote(Agent)
            .options(num_cpus=cpus, max_restarts=0, scheduling_strategy=strategy)
            .remote()
        )

    async def _greet(self, agent: Any) -> str:
        """The id of the node that the actor runs on, once it is found fit."""
        try:
            async with asyncio.timeout(_BEGIN_S):
                node_id, version, python = await agent.greet.remote()
        except (RayError, TimeoutError) as error:
            raise GeneratorError(f"a Ray actor does not come up: {_line(error)}") from error
        here = (tailrace.__version__, platform.python_version())
        if (version, python) != here:
            raise UsageError(
                f"{name_nodes(living_nodes())[node_id]} has Tailrace {version} on Python {python}, "
                f"and this machine {here[0]} on {here[1]}: install the same on all nodes"
            )
        return str(node_id)

    async def _node(self, node_id: str, agent: Any) -> Node:
        """The node of this id, on which `agent` runs; the clock of a new one is read."""
        if node_id in self._nodes:
            node = self._nodes[node_id]
            node.agent = agent
            return node
        name = name_nodes(living_nodes())[node_id]
        try:
            reading = await read_clock(agent.clock_ns.remote, _READINGS)
        except RayError as error:
            raise GeneratorError(f"{name} went away: {_line(error)}") from error
        self._round_trip_ns = max(self._round_trip_ns, 2 * reading.error_ns)
        node = self._nodes[node_id] = Node(node_id, name, agent, ClockWatch(reading))
        return node

    async def _substitute(self) -> tuple[Any, Node]:
        """An actor on the node with the fewest workers among those that were just heard from; where
        that fails, on the next one.

        It asks for no CPU: in a full cluster a worker too many on a node, whose send lag tells, is
        better than a share that nobody offers.
        """
        now_s = asyncio.get_running_loop().time()
        fresh = [
            node
            for node in self._nodes.values()
            if node.channels and not node.doubtful and now_s - node.heard_s < _FRESH_S
        ]
        # Where none works any more: this machine is a node as well.
        ids = [node.id for node in sorted(fresh, key=lambda node: node.channels)] or [
            ray.get_runtime_context().get_node_id()
        ]
        for node_id in ids[:-1]:
            with contextlib.suppress(GeneratorError):
                return await self._substitute_on(node_id)
        return await self._substitute_on(ids[-1])

    async def _substitute_on(self, node_id: str) -> tuple[Any, Node]:
        agent = self._make_agent(NodeAffinitySchedulingStrategy(node_id, soft=False), cpus=0)
        return agent, await self._node(await self._greet(agent), agent)

    async def _watch_clocks(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_S)
            for node in [node for node in self._nodes.values() if node.channels]:
                # Its channels tell where it is lost.
                with contextlib.suppress(RayError, TimeoutError):
                    async with asyncio.timeout(_WATCH_S):
                        ask = node.agent.clock_ns.remote
                        node.watch.add(await read_clock(ask, _LATER_READINGS))

    def _no_room(self, workers: int) -> str:
        total = int(ray.cluster_resources().get("CPU", 0))  # type: ignore[no-untyped-call]
        free = int(ray.available_resources().get("CPU", 0))  # type: ignore[no-untyped-call]
        return (
            f"{workers} load workers need as many CPUs, and of the {total} of the Ray cluster "
            f"{free} are free: use fewer --workers, or add nodes (ray start --address=…)"
        )


def _line(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {_BEGIN_S:.0f} s"
    return " ".join(str(error).split())[:300] or type(error).__name__
