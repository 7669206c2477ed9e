"""A Ray cluster of simulated nodes, on this machine."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

# Read when Ray is imported: nothing of it may leave this machine, and none of it is to be seen.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# For a busy machine.
os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head with one CPU, where the tests themselves are, and two more nodes with two each."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=2)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()
