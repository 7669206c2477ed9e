"""A machine's hardware in full, disks and cards included: Linux's files and NVIDIA's driver."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pynvml

from tailrace.machine.host import Host, cpu_fields, read_host, read_text

_ETHERNET, _INFINIBAND = "1", "32"
"""/sys/class/net/*/type: ARPHRD_ETHER and ARPHRD_INFINIBAND of Linux's if_arp.h."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A block device that is a disk."""

    kind: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Card:
    """A network card's interface."""

    kind: str
    driver: str
    speed_mbit: int | None
    """None where the machine does not tell."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A card of NVIDIA's."""

    name: str
    memory_bytes: int
    clock_mhz: int | None
    """The highest of its multiprocessors."""
    bus: str
    """Empty where the driver does not tell."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a machine tells of itself; what it does not is empty or None."""

    host: Host
    sockets: int | None
    cores: int | None
    """Of one socket."""
    caches: str
    disks: tuple[Disk, ...]
    cards: tuple[Card, ...]
    gpus: tuple[Gpu, ...]


def read_machine(root: Path = Path("/")) -> Machine:
    """This machine, or the one whose /proc, /sys and /etc lie in `root`."""
    blocks = read_text(root, "proc/cpuinfo").split("\n\n")
    cpus = [cpu_fields(block) for block in blocks if block.startswith("processor")]
    sockets = {cpu["physical id"] for cpu in cpus if "physical id" in cpu}
    cores = {
        (cpu["physical id"], cpu["core id"]) for cpu in cpus if {"core id", "physical id"} <= {*cpu}
    }
    return Machine(
        host=read_host(root),
        sockets=len(sockets) or None,
        cores=len(cores) // max(len(sockets), 1) or None,
        caches=_caches(root),
        disks=tuple(_disks(root)),
        cards=tuple(_cards(root)),
        gpus=tuple(_gpus()) if root == Path("/") else (),
    )


def _caches(root: Path) -> str:
    found = []
    for cache in sorted((root / "sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (read_text(cache, name) for name in ("level", "type", "size"))
        letter = {"Data": "d", "Instruction": "i"}.get(kind, "")
        if level and size:
            found.append(f"L{level}{letter} {size.replace('K', ' KiB')}")
    return ", ".join(found)


def _disks(root: Path) -> Iterator[Disk]:
    for block in sorted((root / "sys/block").glob("*")):
        sectors = read_text(block, "size")
        # loop devices, memory disks and RAIDs have no device.
        if not (block / "device").exists() or not sectors.isdecimal() or sectors == "0":
            continue
        if block.name.startswith(("vd", "xvd")):
            kind = "virtual disk"
        elif block.name.startswith("nvme"):
            kind = "NVMe SSD"
        else:
            kind = "HDD" if read_text(block, "queue/rotational") == "1" else "SSD"
        if read_text(block, "removable") != "1":
            yield Disk(kind, int(sectors) * 512)


def _cards(root: Path) -> Iterator[Card]:
    for interface in sorted((root / "sys/class/net").glob("*")):
        kind = {_ETHERNET: "Ethernet", _INFINIBAND: "InfiniBand"}.get(read_text(interface, "type"))
        # Bridges, tunnels and the loopback have no device.
        if kind is None or not (interface / "device").exists():
            continue
        driver = (interface / "device/driver").resolve().name
        speed = read_text(interface, "speed")
        speed_mbit = int(speed) if speed.isdecimal() and int(speed) else None
        yield Card(kind, "" if driver == "driver" else driver, speed_mbit)


def _gpus() -> Iterator[Gpu]:
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return
    try:
        for index in range(pynvml.nvmlDeviceGetCount()):
            with contextlib.suppress(pynvml.NVMLError):
                yield _gpu(pynvml.nvmlDeviceGetHandleByIndex(index))
    finally:
        pynvml.nvmlShutdown()


def _gpu(handle: object) -> Gpu:
    clock_mhz, bus = None, ""
    with contextlib.suppress(pynvml.NVMLError):
        clock_mhz = int(pynvml.nvmlDeviceGetMaxClockInfo(handle, pynvml.NVML_CLOCK_SM))
    with contextlib.suppress(pynvml.NVMLError):
        generation = pynvml.nvmlDeviceGetMaxPcieLinkGeneration(handle)
        bus = f"PCIe {generation}.0 x{pynvml.nvmlDeviceGetMaxPcieLinkWidth(handle)}"
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(str(pynvml.nvmlDeviceGetName(handle)), int(memory.total), clock_mhz, bus)
