"""Ray clusters of several nodes on this machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ray.cluster_utils import Cluster


@contextlib.contextmanager
def two_nodes(cpus: int = 2) -> Iterator[str]:
    """A cluster of a head node and another, of `cpus` each; its address."""
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": cpus, "include_dashboard": False}
    )
    try:
        cluster.add_node(num_cpus=cpus)
        yield cluster.address
    finally:
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
            if pid and (folder / "cmdline").read_bytes().startswith(title) and _is_ours(pid):
                found.append(pid)
    return found


def _is_ours(pid: int) -> bool:
    while pid > 1:
        if pid == os.getpid():
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    return False
