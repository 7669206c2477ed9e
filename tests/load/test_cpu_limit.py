"""A load worker in a real control group with a CPU limit, where one can be made."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tailrace.load.session.session import Session

TOP = Path("/sys/fs/cgroup/cpu")
"""Of version 1; a group of version 2 with processes in it can have none below it."""


@pytest.fixture
def limited() -> Iterator[Path]:
    """A control group of 4 CPUs, with no process in it at first or last."""
    group = TOP / f"tailrace-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "cpu.cfs_quota_us").write_text("400000")
    except OSError as error:
        pytest.skip(f"no control group with a CPU limit can be made here: {error}")
    yield group
    for process in (group / "cgroup.procs").read_text().split():
        move(TOP, int(process))
    group.rmdir()


def move(group: Path, process: int) -> None:
    """Put a process into `group`, where what it starts will be, too."""
    (group / "cgroup.procs").write_text(str(process))


async def test_a_cpu_limit_is_not_taken_for_other_processes(
    limited: Path, serve: Any, plan: Callable[..., Any]
) -> None:
    session = Session(plan(serve().url, profile="1000", duration_s=1.5))
    quota = limited / "cpu.cfs_quota_us"
    move(limited, os.getpid())
    await session.start()
    move(TOP, os.getpid())
    # 1 ms of every 100 ms, until it has some to tell of.
    quota.write_text("1000")
    throttled = 0
    async for interval in session.intervals():
        throttled += interval.measured.cpu_throttled
        if throttled >= 3:
            quota.write_text("400000")
    assert session.total.cpu_throttled == throttled >= 3
    (reason,) = (text for text in session.verdict.reasons if "generator was late" in text)
    assert "its container's CPU limit stopped it in" in reason
