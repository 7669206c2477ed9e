"""Where a run was made, as far as it may have changed what was measured."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

import msgspec

from tailrace.machine.cgroup import limits
from tailrace.machine.host import read_host, read_text

PACKAGES = ("numpy", "uvloop", "httptools", "onnxruntime", "onnxruntime-gpu", "tensorflow", "ray")
"""Whose version may show in a latency, on the side of the load or, on the same machine, of the
service."""


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """A machine and its software at one instant; what they do not tell is empty or None."""

    product: str = ""
    """Maker and model; of a virtual machine the hypervisor's."""
    virtual: bool = False
    processor: str = ""
    frequency: str = ""
    governor: str = ""
    """Of the frequency of the usable cores: performance, schedutil, …"""
    cores: int | None = None
    """That Linux sees, hyperthreads counted."""
    usable_cores: int | None = None
    """That this process may run on."""
    cpu_limit: float | None = None
    """CPU seconds a second that its container grants."""
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    """Of its container."""
    load_average: tuple[float, float, float] | None = None
    """Over the last 1, 5 and 15 minutes: tasks that ran or wanted to."""
    distribution: str = ""
    kernel: str = ""
    clock_source: str = ""
    """What the kernel reads the time from: tsc, kvm-clock, …"""
    python: str = ""
    packages: dict[str, str] = {}
    """Versions of those of PACKAGES that are installed."""


def read_environment(root: Path = Path("/")) -> Environment:
    """This machine's, or that of the one whose /proc, /sys and /etc lie in `root`; the process is
    always this one. Takes a few ms, no other process, and never fails.
    """
    host = read_host(root)
    container = limits(root)
    usable = os.sched_getaffinity(0)
    return Environment(
        product=host.product,
        virtual=host.virtual,
        processor=host.processor,
        frequency=host.frequency,
        governor=_governor(root, usable),
        cores=os.cpu_count(),
        usable_cores=len(usable),
        cpu_limit=container.cpus,
        memory_bytes=host.memory_bytes,
        memory_limit_bytes=container.memory_bytes,
        load_average=_load_average(root),
        distribution=host.distribution,
        kernel=host.kernel,
        clock_source=read_text(
            root, "sys/devices/system/clocksource/clocksource0/current_clocksource"
        ),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        packages={name: version for name in PACKAGES if (version := version_of(name))},
    )


@cache
def version_of(package: str) -> str:
    """The version of an installed package; empty where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _governor(root: Path, cores: set[int]) -> str:
    names = (
        read_text(root, f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor")
        for core in cores
    )
    return ", ".join(sorted({name for name in names if name}))


def _load_average(root: Path) -> tuple[float, float, float] | None:
    words = read_text(root, "proc/loadavg").split()
    try:
        one, five, fifteen = (float(word) for word in words[:3])
    except ValueError:
        return None
    return one, five, fifteen
