"""What a machine tells of itself in a few files: product, processor, memory, operating system."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_FIRST_CPU_BYTES = 8192
"""More than Linux writes of one core to /proc/cpuinfo; it makes no more of it than is read."""


@dataclass(frozen=True, slots=True)
class Host:
    """What a machine tells of itself; what it does not is empty or None."""

    product: str
    processor: str
    frequency: str
    memory_bytes: int | None
    distribution: str
    kernel: str
    """With its version, as `Linux 6.1.0`."""
    virtual: bool

    @property
    def system(self) -> str:
        """The operating system: distribution and kernel."""
        return ", ".join(filter(None, (self.distribution, self.kernel)))


def read_host(root: Path = Path("/")) -> Host:
    """This machine, or the one whose /proc, /sys and /etc lie in `root`."""
    cpu = _first_cpu(root)
    system = re.search(r'^PRETTY_NAME="?([^"\n]*)', read_text(root, "etc/os-release"), re.MULTILINE)
    kernel = read_text(root, "proc/sys/kernel/osrelease")
    return Host(
        product=_product(root),
        processor=cpu.get("model name") or read_text(root, "proc/device-tree/model").rstrip("\0"),
        frequency=_frequency(root, cpu),
        memory_bytes=_memory_bytes(root),
        distribution=system[1] if system else "",
        kernel=f"Linux {kernel}" if kernel else "",
        virtual="hypervisor" in cpu.get("flags", "").split(),
    )


def read_text(root: Path, path: str) -> str:
    """What the file `path` below `root` holds, stripped; empty where it cannot be read."""
    try:
        return (root / path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def cpu_fields(block: str) -> dict[str, str]:
    """One core's block of /proc/cpuinfo."""
    pairs = (line.partition(":") for line in block.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _first_cpu(root: Path) -> dict[str, str]:
    try:
        with (root / "proc/cpuinfo").open("rb", buffering=0) as file:
            text = file.read(_FIRST_CPU_BYTES).decode(errors="replace")
    except OSError:
        return {}
    return cpu_fields(text.split("\n\n")[0])


def _product(root: Path) -> str:
    names = (read_text(root, f"sys/class/dmi/id/{name}") for name in ("sys_vendor", "product_name"))
    return " ".join(filter(None, names))


def _frequency(root: Path, cpu: dict[str, str]) -> str:
    highest_khz = read_text(root, "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")
    if highest_khz.isdecimal():
        return f"{int(highest_khz) / 1e6:.3g} GHz at most"
    mhz = cpu.get("cpu MHz", "")
    return f"{mhz} MHz, as in /proc/cpuinfo" if mhz else ""


def _memory_bytes(root: Path) -> int | None:
    match = re.search(r"^MemTotal:\s*(\d+) kB", read_text(root, "proc/meminfo"), re.MULTILINE)
    return int(match[1]) * 1024 if match else None
