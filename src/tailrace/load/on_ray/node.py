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


@dataclass(slots=True)
class Node:
    """One node on which load workers run, or ran."""

    id: str
    name: str
    """For a person, of `name_nodes`."""
    agent: Any
    """An actor there that answers, to be asked for the time."""
    watch: ClockWatch
    channels: int = 0
    """Load workers at work on it."""
    heard_s: float = 0.0
    """When something was heard from it last, by the event loop's clock."""
    doubtful: bool = False
    """A worker on it was lost with its actor, or in silence: so may the next one be."""


def name_nodes(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The names of nodes by their ids, given what Ray says of each: their host names, with the
    beginning of the id where others have the same.
    """
    hosts = {row["NodeID"]: row["NodeManagerHostname"] for row in rows}
    nodes_on = Counter(hosts.values())
    return {
        node_id: host if nodes_on[host] == 1 else f"{host}-{node_id[:6]}"
        for node_id, host in hosts.items()
    }
