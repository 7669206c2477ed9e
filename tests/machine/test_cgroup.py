"""What a container lets a process use, read from made-up trees of /proc and /sys."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tailrace.machine.cgroup import (
    CpuLimit,
    Limits,
    cores,
    cpus,
    host_cores,
    limits,
    memory_kills,
)

GIB = 2**30
V2 = "30 24 0:26 {top} /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
V1_CPU = "33 31 0:30 {top} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
V1_MEMORY = "35 31 0:32 {top} /sys/fs/cgroup/memory rw master:3 - cgroup cgroup rw,memory\n"
OTHERS = (
    "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
)
NO_LIMIT_V1 = str(2**63 - 4096)


def _tree(root: Path, groups: str, mounts: str, files: dict[str, str]) -> Path:
    files = {
        "proc/self/cgroup": groups,
        "proc/self/mountinfo": OTHERS + mounts,
        **{f"sys/fs/cgroup/{name}": content + "\n" for name, content in files.items()},
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def _v2(root: Path, group: str, files: dict[str, str], top: str = "/") -> Path:
    return _tree(root, f"0::{group}\n", V2.format(top=top), files)


def _v1(root: Path, group: str, files: dict[str, str], top: str = "/") -> Path:
    groups = f"9:name=systemd:/x\n4:memory:{group}\n2:cpu,cpuacct:{group}\n3:cpuset:/\n0::/\n"
    return _tree(root, groups, V1_CPU.format(top=top) + V1_MEMORY.format(top=top), files)


@pytest.mark.parametrize(
    ("group", "top", "files", "expected"),
    [
        # In a container with a namespace of its own.
        (
            "/",
            "/",
            {"cpu.max": "150000 100000", "memory.max": str(GIB)},
            Limits(1.5, GIB),
        ),
        ("/", "/", {"cpu.max": "max 100000", "memory.max": "max"}, Limits()),
        ("/", "/", {}, Limits()),
        ("/", "/", {"cpu.max": "50000 100000"}, Limits(0.5)),
        ("/", "/", {"cpu.max": "20000 10000"}, Limits(2.0)),
        # The tightest on the way up, whichever level it is on, and none of a sibling.
        (
            "/pod/app",
            "/",
            {
                "pod/cpu.max": "200000 100000",
                "pod/app/cpu.max": "400000 100000",
                "pod/memory.max": "max",
                "pod/app/memory.max": "1000",
                "memory.max": "3000",
                "pod/other/memory.max": "10",
                "pod/app/below/cpu.max": "1000 100000",
            },
            Limits(2.0, 1000),
        ),
        # Without one: told by the host's name, mounted as the top.
        (
            "/docker/abc",
            "/docker/abc",
            {"cpu.max": "100000 100000", "memory.max": "2000"},
            Limits(1.0, 2000),
        ),
        (
            "/docker/abc/inner",
            "/docker/abc",
            {"cpu.max": "100000 100000", "inner/memory.max": "2000"},
            Limits(1.0, 2000),
        ),
        # Entered from outside its namespace.
        ("/../../x", "/", {"cpu.max": "100000 100000"}, Limits(1.0)),
        ("/somewhere/else", "/docker/abc", {"cpu.max": "100000 100000"}, Limits(1.0)),
    ],
)
def test_version_2(
    tmp_path: Path, group: str, top: str, files: dict[str, str], expected: Limits
) -> None:
    assert limits(_v2(tmp_path, group, files, top)) == expected


@pytest.mark.parametrize(
    ("group", "top", "files", "expected"),
    [
        (
            "/",
            "/",
            {
                "cpu,cpuacct/cpu.cfs_quota_us": "150000",
                "cpu,cpuacct/cpu.cfs_period_us": "100000",
                "memory/memory.limit_in_bytes": str(GIB),
            },
            Limits(1.5, GIB),
        ),
        (
            "/docker/abc",
            "/",
            {
                "cpu,cpuacct/docker/cpu.cfs_quota_us": "-1",
                "cpu,cpuacct/docker/cpu.cfs_period_us": "100000",
                "cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "25000",
                "cpu,cpuacct/docker/abc/cpu.cfs_period_us": "50000",
                "memory/memory.limit_in_bytes": NO_LIMIT_V1,
                "memory/docker/memory.limit_in_bytes": "5000",
                "memory/docker/abc/memory.limit_in_bytes": "9000",
            },
            Limits(0.5, 5000),
        ),
        (
            "/docker/abc",
            "/docker/abc",
            {
                "cpu,cpuacct/cpu.cfs_quota_us": "-1",
                "cpu,cpuacct/cpu.cfs_period_us": "100000",
                "memory/memory.limit_in_bytes": "7000",
            },
            Limits(None, 7000),
        ),
        # The controllers of version 2 beside it, as systemd's hybrid has them, say nothing.
        ("/", "/", {"memory/memory.limit_in_bytes": NO_LIMIT_V1}, Limits()),
    ],
)
def test_version_1(
    tmp_path: Path, group: str, top: str, files: dict[str, str], expected: Limits
) -> None:
    assert limits(_v1(tmp_path, group, files, top)) == expected


def test_nothing_to_be_read_is_no_limit(tmp_path: Path) -> None:
    assert limits(tmp_path) == Limits()
    assert cpus(tmp_path) == host_cores() == len(os.sched_getaffinity(0))
    assert cores(tmp_path) == host_cores()
    assert memory_kills(tmp_path) == 0


@pytest.mark.parametrize(
    ("quota_us", "usable", "threads"),
    [(10_000, 0.1, 1), (100_000, 1, 1), (199_000, 1.99, 1), (10**9, None, None)],
)
def test_cores_are_whole_ones_and_never_more_than_the_affinity(
    tmp_path: Path, quota_us: int, usable: float | None, threads: int | None
) -> None:
    root = _v2(tmp_path, "/", {"cpu.max": f"{quota_us} 100000"})
    assert cpus(root) == min(usable or host_cores(), host_cores())
    assert cores(root) == (threads or host_cores())


def test_kills_are_counted(tmp_path: Path) -> None:
    events = "low 0\nhigh 3\nmax 9\noom 2\noom_kill 2\noom_group_kill 1"
    assert memory_kills(_v2(tmp_path / "2", "/app", {"app/memory.events": events})) == 2
    control = {"memory/app/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4"}
    assert memory_kills(_v1(tmp_path / "1", "/app", control)) == 4


def test_what_a_cpu_limit_stopped(tmp_path: Path) -> None:
    """By the tightest limit on the way up."""
    loose = "nr_periods 90\nnr_throttled 1\nthrottled_usec 70000"
    tight = "usage_usec 5\nnr_periods 70\nnr_throttled 7\nthrottled_usec 700000\n\nodd"
    pod = {"pod/cpu.max": "200000 100000", "pod/cpu.stat": loose, "cpu.stat": "usage_usec 5"}
    app = {"pod/app/cpu.max": "50000 100000", "pod/app/cpu.stat": tight}
    limit = CpuLimit(_v2(tmp_path / "2", "/pod/app", pod | app))
    assert limit.periods() == (70, 7)
    _tree(tmp_path / "2", "", "", {"pod/app/cpu.stat": "nr_periods 80\nnr_throttled 17"})
    assert limit.periods() == (80, 17)
    quota = {"cpu,cpuacct/app/cpu.cfs_quota_us": "25000"}
    period = {"cpu,cpuacct/app/cpu.cfs_period_us": "50000"}
    stat = {"cpu,cpuacct/app/cpu.stat": "nr_periods 9\nnr_throttled 4\nthrottled_time 250000"}
    assert CpuLimit(_v1(tmp_path / "1", "/app", quota | period | stat)).periods() == (9, 4)


@pytest.mark.parametrize(
    "files", [{}, {"cpu.max": "max 100000", "cpu.stat": "nr_periods 9\nnr_throttled 4"}]
)
def test_without_a_limit_nothing_is_stopped(tmp_path: Path, files: dict[str, str]) -> None:
    assert CpuLimit(_v2(tmp_path, "/", files)).periods() == (0, 0)
