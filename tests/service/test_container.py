"""The service within limits as a container has them: real control groups, where one can be made."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tailrace.machine.cgroup import host_cores
from tests.kit.waiting import TIMEOUT_S

pytestmark = pytest.mark.slow("control groups that the kernel ends")

Launch = Callable[..., Any]
GROUPS = Path("/sys/fs/cgroup")
PERIOD_US = 100_000


def _settings(cpus: float, memory_bytes: int) -> dict[Path, dict[str, str]]:
    """The files to be written in each hierarchy's group, by hierarchy."""
    quota_us = round(cpus * PERIOD_US)
    if (GROUPS / "cgroup.controllers").exists():
        files = {"cpu.max": f"{quota_us} {PERIOD_US}", "memory.max": str(memory_bytes)}
        return {GROUPS: files}
    return {
        GROUPS / "cpu": {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": str(quota_us)},
        GROUPS / "memory": {"memory.limit_in_bytes": str(memory_bytes)},
    }


@pytest.fixture
def container() -> Iterator[Callable[[float, int], list[Path]]]:
    """`container(cpus, memory_bytes)`: new control groups, into which a process may be put."""
    with contextlib.ExitStack() as stack:

        def make(cpus: float, memory_bytes: int) -> list[Path]:
            groups = []
            for hierarchy, files in _settings(cpus, memory_bytes).items():
                group = hierarchy / f"tailrace-test-{os.getpid()}-{time.monotonic_ns()}"
                try:
                    group.mkdir()
                    stack.callback(_remove, group)
                    for name, value in files.items():
                        (group / name).write_text(value)
                except OSError as error:
                    pytest.skip(f"no control group can be made here: {error}")
                groups.append(group)
            return groups

        yield make


def _remove(group: Path) -> None:
    ends_s = time.monotonic() + TIMEOUT_S
    while group.exists():
        try:
            group.rmdir()
        except OSError:
            assert time.monotonic() < ends_s, (group / "cgroup.procs").read_text()
            # What was killed in it may take a moment to be gone.
            time.sleep(0.05)


def test_threads_and_memory_are_the_containers(
    launch: Launch, container: Callable[[float, int], list[Path]], jpeg: bytes
) -> None:
    groups = container(1.5, 2**30)
    server = launch("shapes", "--port", "0", within=groups).start()
    (line,) = (line for line in server.heard if "threads" in line)
    assert "1 x 1 x 1 = 1 threads" in line
    if host_cores() > 1:
        assert f"on 1 of {host_cores()} cores: the container's limit is 1.5" in line
    chosen = httpx.get(f"{server.url}/v2", timeout=TIMEOUT_S).json()["service"]
    assert chosen["container"] == {"cpus": 1.5, "memory_bytes": 2**30}
    assert (chosen["cores"], chosen["concurrency"]) == (1, 1)
    answer = httpx.post(f"{server.url}/predict/shapes", content=jpeg, timeout=TIMEOUT_S)
    assert answer.status_code == 200
    # It fits with room to spare, and no one is warned.
    assert not any("memory" in line for line in server.heard)
    resident_bytes = server.scrape()("process_resident_memory_bytes", worker="1")
    assert 0 < resident_bytes < 2**30 / 2
    assert server.stop() == 0


def test_too_little_memory_is_said_beforehand(
    launch: Launch, container: Callable[[float, int], list[Path]]
) -> None:
    server = launch("shapes", "--port", "0", "--workers", "3", within=container(2, 150 * 2**20))
    server.expect(r"needs at least \d+ MiB of memory, and the container's limit is 150 MiB")


def test_worker_that_the_kernel_killed_for_memory_is_told_from_others(
    launch: Launch, container: Callable[[float, int], list[Path]]
) -> None:
    server = launch("shapes", "--port", "0", within=container(2, 100 * 2**20))
    server.expect(r"worker 1 \(pid \d+\) died of SIGKILL: the container's memory was used up")
    assert server.process.wait(TIMEOUT_S) == 1
