"""A node of the cluster, as a session sees it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tailrace.load.on_ray.clock import ClockWatch


class Node:
    """One node on which load workers run, or could."""

    def __init__(self, node_id: str, name: str) -> None:
        self.id = node_id
        self.name = name
        """For a person: its host name, with the beginning of its id where others have the same."""
        self.lines = 0
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


def name_nodes(rows: Iterable[Mapping[str, Any]]) -> dict[str, Node]:
    """The living nodes among `rows`, of `ray.nodes()`, by id."""
    alive = [row for row in rows if row["Alive"]]
    hosts = Counter(row["NodeManagerHostname"] for row in alive)
    nodes = {}
    for row in alive:
        node_id, host = row["NodeID"], row["NodeManagerHostname"]
        nodes[node_id] = Node(node_id, host if hosts[host] == 1 else f"{host}-{node_id[:6]}")
    return nodes
