"""Ray clusters of several nodes on this machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

_OBJECT_STORE_BYTES = 100_000_000
"""Of each node: by itself Ray takes a third of the machine."""


def node_with(cpus: int) -> dict[str, Any]:
    """What `add_node` takes for a node with so many CPUs."""
    return {"num_cpus": cpus, "object_store_memory": _OBJECT_STORE_BYTES}


@contextlib.contextmanager
def ray_cluster(*cpus: int) -> Iterator[Cluster]:
    """A cluster of a node each with so many CPUs; the first is its head."""
    head = node_with(cpus[0]) | {"include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for count in cpus[1:]:
            cluster.add_node(**node_with(count))
        cluster.wait_for_nodes()
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def replica_pids() -> list[int]:
    """Processes of replicas, on clusters of this process."""
    return _pids(b"ray::ServeReplica:tailrace:replica")


def serve_pids() -> list[int]:
    """Processes of Ray Serve, on clusters of this process: replicas, the registry, the controller
    and proxies."""
    return _pids(b"ray::Serve") + _pids(b"ray::Proxy")


def _pids(title: bytes) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        # Others have clusters, too.
        with contextlib.suppress(OSError):
            pid = int(folder.name) if folder.name.isdigit() else 0
            if pid and (folder / "cmdline").read_bytes().startswith(title) and is_ours(pid):
                found.append(pid)
    return found


def is_ours(pid: int) -> bool:
    """Whether this process started it, or one that did, and so on."""
    while pid > 1:
        if pid == os.getpid():
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    return False
