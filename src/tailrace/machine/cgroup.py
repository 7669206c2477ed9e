"""What the container lets this process use: the limits of its control groups, version 1 and 2.

Files and their meaning: cgroups(7), the kernel's admin-guide/cgroup-v2 ("cpu.max", "memory.max")
and scheduler/sched-bwc ("cpu.cfs_quota_us"). A limit of a group holds for all groups in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_ROOT = Path("/")
# What version 1 says where there is no limit is this less than a page short of 2^63.
_NO_LIMIT_BYTES = 2**62


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a container; None where it has none."""

    cpus: float | None = None
    """CPU seconds a second, of all its processes."""
    memory_bytes: int | None = None


def limits(root: Path = _ROOT) -> Limits:
    """The limits of this process's control groups, the tightest from its own up to the topmost one
    that can be seen. `root` is where `proc` and `sys` are; whatever cannot be read is no limit."""
    groups = list(_groups(root))
    return Limits(
        min((n for group in groups if (n := _cpus(group)) is not None), default=None),
        min((n for group in groups if (n := _memory_bytes(group)) is not None), default=None),
    )


def host_cores() -> int:
    """Cores this process may run on, whatever the container's share of their time."""
    return len(os.sched_getaffinity(0))


def cpus(root: Path = _ROOT) -> float:
    """CPU seconds a second that this process may use: its cores, or its container's limit."""
    limit = limits(root).cpus
    return host_cores() if limit is None else min(host_cores(), limit)


def cores(root: Path = _ROOT) -> int:
    """Threads that can compute at once without being stopped, at least 1: `cpus`, rounded down.

    A container of 1.5 CPUs gets 150 ms of each 100 ms period. Two busy threads have used that up
    after 75 ms and stand still for 25 ms, which is then the tail of every request on its way; one
    thread never is, and what is left over goes to the event loop.
    """
    return max(1, int(cpus(root)))


def memory_kills(root: Path = _ROOT) -> int:
    """Processes of this container that the kernel has killed so far because its memory was used up
    ("oom_kill" of memory.events, and of memory.oom_control in version 1)."""
    found = 0
    for group in _groups(root):
        for line in _lines(group / "memory.events") or _lines(group / "memory.oom_control"):
            name, _, count = line.partition(" ")
            found += int(count) if name == "oom_kill" else 0
    return found


class CpuLimit:
    """The tightest CPU limit on this process, as it is when this is made; to be asked again and
    again.

    The kernel enforces it by periods, of 100 ms as a rule: once a group's share of one is used up,
    nothing in the group runs until the next.
    """

    def __init__(self, root: Path = _ROOT) -> None:
        limited = [(n, group) for group in _groups(root) if (n := _cpus(group)) is not None]
        self._file = min(limited)[1] / "cpu.stat" if limited else None

    def periods(self) -> tuple[int, int]:
        """The periods so far in which anything in the group ran, and those of them in which it was
        stopped ("nr_periods" and "nr_throttled" of cpu.stat); 0 without a limit. Takes some 20 µs.
        """
        lines = [] if self._file is None else _lines(self._file)
        counts = dict(words for line in lines if len(words := line.split()) == 2)
        return int(counts.get("nr_periods", 0)), int(counts.get("nr_throttled", 0))


def _groups(root: Path) -> Iterator[Path]:
    # Each line: hierarchy, its controllers (none: version 2), and this process's group in it.
    for line in _lines(root / "proc/self/cgroup"):
        hierarchy, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if hierarchy == "0" and not controllers:
            controllers = "cgroup2"
        for top, mounted in _mounts(root, set(controllers.split(","))):
            # Without a namespace of its own a container is told its group by the host's name, and
            # sees that very group mounted as the topmost one.
            path = PurePosixPath(group)
            inner = path.relative_to(top) if path.is_relative_to(top) else PurePosixPath()
            if ".." in inner.parts:
                inner = PurePosixPath()
            place = root / mounted.lstrip("/")
            yield place
            for part in inner.parts:
                place /= part
                yield place


def _mounts(root: Path, controllers: set[str]) -> Iterator[tuple[str, str]]:
    # mountinfo: id, parent, device, root in that file system, mount point, options, ... - type,
    # source, its options, among which version 1 names its controllers.
    for line in _lines(root / "proc/self/mountinfo"):
        place, _, what = line.partition(" - ")
        fields, (kind, *_, options) = place.split(), what.split() or ("", "")
        if kind == "cgroup2":
            found = {kind}
        elif kind == "cgroup":
            found = set(options.split(","))
        else:
            continue
        if found & controllers & {"cgroup2", "cpu", "memory"}:
            yield fields[3], fields[4]


def _cpus(group: Path) -> float | None:
    words = _words(group / "cpu.max") or [
        *_words(group / "cpu.cfs_quota_us"),
        *_words(group / "cpu.cfs_period_us"),
    ]
    if len(words) != 2 or words[0] in ("max", "-1"):
        return None
    quota_us, period_us = map(int, words)
    return quota_us / period_us


def _memory_bytes(group: Path) -> int | None:
    words = _words(group / "memory.max") or _words(group / "memory.limit_in_bytes")
    if words in ([], ["max"]) or int(words[0]) >= _NO_LIMIT_BYTES:
        return None
    return int(words[0])


def _words(file: Path) -> list[str]:
    return [word for line in _lines(file) for word in line.split()]


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
