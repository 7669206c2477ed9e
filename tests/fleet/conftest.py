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
    from tests.fleet.nodes import ray_cluster

    with ray_cluster(1, 2, 2) as cluster:
        yield cluster
