"""What a machine tells of its hardware and operating system: Linux's files and NVIDIA's driver."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pynvml

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

    product: str
    processor: str
    sockets: int | None
    cores: int | None
    """Of one socket."""
    frequency: str
    caches: str
    memory_bytes: int | None
    disks: tuple[Disk, ...]
    cards: tuple[Card, ...]
    gpus: tuple[Gpu, ...]
    system: str
    """The operating system."""
    virtual: bool


def read_machine(root: Path = Path("/")) -> Machine:
    """This machine, or the one whose /proc, /sys and /etc lie in `root`."""
    cpus = [dict(block) for block in _cpu_blocks(root)]
    sockets = {cpu["physical id"] for cpu in cpus if "physical id" in cpu}
    cores = {
        (cpu["physical id"], cpu["core id"]) for cpu in cpus if {"core id", "physical id"} <= {*cpu}
    }
    first = cpus[0] if cpus else {}
    return Machine(
        product=_product(root),
        processor=first.get("model name") or _text(root, "proc/device-tree/model").rstrip("\0"),
        sockets=len(sockets) or None,
        cores=len(cores) // max(len(sockets), 1) or None,
        frequency=_frequency(root, first),
        caches=_caches(root),
        memory_bytes=_memory_bytes(root),
        disks=tuple(_disks(root)),
        cards=tuple(_cards(root)),
        gpus=tuple(_gpus()) if root == Path("/") else (),
        system=_system(root),
        virtual="hypervisor" in first.get("flags", "").split(),
    )


def _text(root: Path, path: str) -> str:
    try:
        return (root / path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _cpu_blocks(root: Path) -> Iterator[Iterator[tuple[str, str]]]:
    for block in _text(root, "proc/cpuinfo").split("\n\n"):
        pairs = (line.partition(":") for line in block.splitlines())
        if block.startswith("processor"):
            yield ((name.strip(), value.strip()) for name, _, value in pairs)


def _product(root: Path) -> str:
    names = (_text(root, f"sys/class/dmi/id/{name}") for name in ("sys_vendor", "product_name"))
    return " ".join(filter(None, names))


def _frequency(root: Path, cpu: dict[str, str]) -> str:
    highest_khz = _text(root, "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")
    if highest_khz.isdecimal():
        return f"{int(highest_khz) / 1e6:.3g} GHz at most"
    mhz = cpu.get("cpu MHz", "")
    return f"{mhz} MHz, as in /proc/cpuinfo" if mhz else ""


def _caches(root: Path) -> str:
    found = []
    for cache in sorted((root / "sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (_text(cache, name) for name in ("level", "type", "size"))
        letter = {"Data": "d", "Instruction": "i"}.get(kind, "")
        if level and size:
            found.append(f"L{level}{letter} {size.replace('K', ' KiB')}")
    return ", ".join(found)


def _memory_bytes(root: Path) -> int | None:
    match = re.search(r"^MemTotal:\s*(\d+) kB", _text(root, "proc/meminfo"), re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def _disks(root: Path) -> Iterator[Disk]:
    for block in sorted((root / "sys/block").glob("*")):
        sectors = _text(block, "size")
        # loop devices, memory disks and RAIDs have no device.
        if not (block / "device").exists() or not sectors.isdecimal() or sectors == "0":
            continue
        if block.name.startswith(("vd", "xvd")):
            kind = "virtual disk"
        elif block.name.startswith("nvme"):
            kind = "NVMe SSD"
        else:
            kind = "HDD" if _text(block, "queue/rotational") == "1" else "SSD"
        if _text(block, "removable") != "1":
            yield Disk(kind, int(sectors) * 512)


def _cards(root: Path) -> Iterator[Card]:
    for interface in sorted((root / "sys/class/net").glob("*")):
        kind = {_ETHERNET: "Ethernet", _INFINIBAND: "InfiniBand"}.get(_text(interface, "type"))
        # Bridges, tunnels and the loopback have no device.
        if kind is None or not (interface / "device").exists():
            continue
        driver = (interface / "device/driver").resolve().name
        speed = _text(interface, "speed")
        speed_mbit = int(speed) if speed.isdecimal() and int(speed) else None
        yield Card(kind, "" if driver == "driver" else driver, speed_mbit)


def _system(root: Path) -> str:
    match = re.search(r'^PRETTY_NAME="?([^"\n]*)', _text(root, "etc/os-release"), re.MULTILINE)
    kernel = _text(root, "proc/sys/kernel/osrelease")
    return ", ".join(filter(None, (match[1] if match else "", f"Linux {kernel}" if kernel else "")))


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
