"""A node of the cluster, as a session sees it, and how far its clock is from the session's.

The node reads its clock somewhere between a question's leaving, at t₀, and the answer's coming, at
t₁: taken to be in the middle, the offset is off by at most (t₁ − t₀) / 2, however unequal the two
ways are (Cristian, Probabilistic clock synchronization, 1989). The shortest of several round trips
says most.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Ask = Callable[[], Awaitable[int]]
"""Reads the node's CLOCK_MONOTONIC, ns."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The node's clock minus the session's, ns, and the most by which that is off."""

    offset_ns: int
    error_ns: int


async def read_clock(ask: Ask, times: int) -> Reading:
    """The best of so many round trips."""
    readings = []
    for _ in range(times):
        asked_ns = time.monotonic_ns()
        clock_ns = await ask()
        answered_ns = time.monotonic_ns()
        error_ns = (answered_ns - asked_ns + 1) // 2
        readings.append(Reading(clock_ns - asked_ns - error_ns, error_ns))
    return min(readings, key=lambda reading: reading.error_ns)


class ClockWatch:
    """One node's clock over a run: instants are told to the node by the first reading's offset."""

    def __init__(self, first: Reading) -> None:
        self.first = first
        self._best_ns = first.error_ns
        self.error_ns = first.error_ns
        """The most by which an instant told to the node may be off."""

    def add(self, reading: Reading) -> None:
        """Take in a later reading; one that is much less sure than the best says nothing new."""
        if reading.error_ns > 2 * self._best_ns:
            return
        self._best_ns = min(self._best_ns, reading.error_ns)
        drift_ns = abs(reading.offset_ns - self.first.offset_ns)
        # Where both readings leave it open whether the clock has moved, it has not.
        moved_ns = max(drift_ns - reading.error_ns - self.first.error_ns, 0)
        self.error_ns = max(self.error_ns, self.first.error_ns + moved_ns)


class Node:
    """One node on which load workers run, or could."""

    def __init__(self, node_id: str, name: str) -> None:
        self.id = node_id
        self.name = name
        """For a person: its host name, with the beginning of its id where others have the same."""
        self.channels = 0
        """Load workers at work on it."""
        self.heard_s = 0.0
        """When something was heard from it last, by the event loop's clock."""
        self.doubtful = False
        """A worker on it was lost with its actor, or in silence: so may the next one be."""
        self.watch: ClockWatch | None = None
        """Its clock, once it has been read."""
        self.agent: Any = None
        """An actor there that answers, to be asked for the time."""

    async def ask_clock(self) -> int:
        """Its CLOCK_MONOTONIC, ns.

        Raises:
            RayError: the actor there is gone.
        """
        clock_ns: int = await self.agent.clock_ns.remote()
        return clock_ns


def name_nodes(rows: Sequence[Mapping[str, Any]]) -> dict[str, Node]:
    """The nodes of `rows`, as `living_nodes` has them, by id."""
    hosts = Counter(row["NodeManagerHostname"] for row in rows)
    nodes = {}
    for row in rows:
        node_id, host = row["NodeID"], row["NodeManagerHostname"]
        nodes[node_id] = Node(node_id, host if hosts[host] == 1 else f"{host}-{node_id[:6]}")
    return nodes
