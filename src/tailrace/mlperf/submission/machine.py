"""The machine, as the description of a system in a submission has it.

All of it is what Linux and the NVIDIA driver tell; what they do not, such as the cooling, stays
empty. MLPerf's submission checker points at what is empty and must not be.
"""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass

from tailrace import __version__
from tailrace.machine.environment import version_of
from tailrace.machine.hardware import Card, Machine

_GIB = 1 << 30
_GB = 10**9
_NOISE = re.compile(
    r"\((?:R|TM|C)\)|\b(?:CPU|Processor|Intel|AMD|NVIDIA|GeForce|Ampere|\d+-Core)\b|@.*"
)
_FRAMEWORKS = {
    "onnx": ("ONNX Runtime", ("onnxruntime", "onnxruntime-gpu")),
    "tensorflow": ("TensorFlow", ("tensorflow", "tensorflow-cpu")),
}
_SOFTWARE = ("numpy", "opencv-python-headless", "mlcommons-loadgen")


@dataclass(frozen=True, slots=True)
class Network:
    """How the system under test is reached."""

    connections: int | None
    """To all nodes; None if that is not known."""
    same_host: bool
    """Whether it runs on this machine."""


def system_desc_id(machine: Machine, runtime: str, device: str, *, remote: bool = False) -> str:
    """A name for the files of a system, as `epyc-7763-64c-onnxruntime-cpu`; letters, digits, '.'
    and '-' alone. Of a `remote` one the machine that asks knows nothing."""
    if remote:
        return "network-sut"
    total = (machine.sockets or 1) * machine.cores if machine.cores else None
    parts = [
        _NOISE.sub(" ", machine.host.processor) or platform.machine(),
        f"{total}c" if total else "",
        {"onnx": "onnxruntime"}.get(runtime, runtime),
        device,
    ]
    if device != "cpu" and machine.gpus:
        parts.append(_NOISE.sub(" ", machine.gpus[0].name))
    name = re.sub(r"[^a-z0-9.]+", "-", " ".join(parts).lower()).strip("-.")
    return name[:100].rstrip("-.")


def describe(
    machine: Machine,
    *,
    submitter: str,
    division: str,
    runtime: str,
    device: str,
    system_name: str | None = None,
    network: Network | None = None,
) -> dict[str, object]:
    """The fields of systems/*.json, each a text, as MLPerf's submission checker (v6.0) wants them.

    `runtime` and `device` are as on the command line. With a `network`, the fields of the Network
    division, which knows no edge, are there, too; if the system runs on another machine, those of
    its hardware and software are empty.
    """
    fields: dict[str, object] = {
        "division": division,
        "submitter": submitter,
        # Research, development or internal: nobody can buy it.
        "status": "rdi",
        "system_type": "datacenter" if network else "edge",
        "system_type_detail": "",
        "number_of_nodes": "1",
        "cooling": "",
        "hw_notes": "",
        "sw_notes": f"Tailrace {__version__}",
    }
    own = {**_host(machine), **_accelerators(machine, device), **_software(machine, runtime)}
    if network is None or network.same_host:
        name = f"{machine.host.product or machine.host.processor} ({_framework(runtime)}, {device})"
        fields |= {**own, "system_name": system_name or name}
    else:
        fields |= {**dict.fromkeys(own, ""), "system_name": system_name or ""}
        fields["hw_notes"] = "The system is another machine than the one that wrote this."
    return fields if network is None else fields | _network(machine, network)


def _host(machine: Machine) -> dict[str, str]:
    host = machine.host
    names = sorted({disk.kind for disk in machine.disks})
    size_gb = sum(disk.size_bytes for disk in machine.disks) / _GB
    kinds = sorted({_card_text(card) for card in machine.cards})
    return {
        "host_processor_model_name": host.processor,
        "host_processors_per_node": _number(machine.sockets),
        "host_processor_core_count": _number(machine.cores),
        "host_processor_frequency": host.frequency,
        "host_processor_caches": machine.caches,
        "host_processor_interconnect": "N/A" if machine.sockets == 1 else "",
        "host_memory_capacity": _gib(host.memory_bytes),
        "host_memory_configuration": "",
        "host_storage_capacity": f"{size_gb:.0f} GB" if machine.disks else "",
        "host_storage_type": ", ".join(names),
        "host_networking": ", ".join(kinds),
        "host_networking_topology": "",
        "host_network_card_count": _number(len(machine.cards) or None),
        "hw_notes": "A virtual machine: as the hypervisor shows it." if host.virtual else "",
    }


def _accelerators(machine: Machine, device: str) -> dict[str, str]:
    gpus = machine.gpus if device != "cpu" else ()
    first = gpus[0] if gpus else None
    absent = "N/A" if device == "cpu" else ""
    clock = f"{first.clock_mhz} MHz" if first and first.clock_mhz else absent
    return {
        # The checker takes the number 0 for a missing value.
        "accelerators_per_node": str(len(gpus)) if gpus or device == "cpu" else "",
        "accelerator_model_name": ", ".join(sorted({gpu.name for gpu in gpus})) or absent,
        "accelerator_memory_capacity": _gib(first.memory_bytes) if first else absent,
        "accelerator_memory_configuration": absent,
        "accelerator_frequency": clock,
        "accelerator_host_interconnect": first.bus if first else absent,
        "accelerator_interconnect": "N/A" if len(gpus) == 1 else absent,
        "accelerator_interconnect_topology": "N/A" if len(gpus) == 1 else absent,
        "accelerator_on-chip_memories": absent,
    }


def _software(machine: Machine, runtime: str) -> dict[str, str]:
    packages = [f"{name} {version}" for name in _SOFTWARE if (version := version_of(name))]
    return {
        "framework": _framework(runtime),
        "operating_system": machine.host.system,
        "other_software_stack": ", ".join([f"Python {platform.python_version()}", *packages]),
    }


def _network(machine: Machine, network: Network) -> dict[str, str]:
    cards = machine.cards
    own = ", ".join(sorted({_card_text(card) for card in cards}))
    speeds = sorted({card.speed_mbit for card in cards if card.speed_mbit})
    rate = ", ".join(f"{speed / 1000:g} Gbit/s" for speed in speeds)
    stack = f"TCP/IP of {machine.host.system}" if machine.host.system else ""
    loopback = network.same_host
    return {
        # The checker takes it for a text.
        "is_network": "true",
        "network_type": "loopback" if loopback else ", ".join(sorted({c.kind for c in cards})),
        "network_media": "N/A" if loopback else "",
        "network_rate": "N/A" if loopback else rate,
        "nic_loadgen": "N/A" if loopback else own,
        "number_nic_loadgen": "0" if loopback else _number(len(cards) or None),
        "net_software_stack_loadgen": stack,
        "network_protocol": "HTTP/1.1 over TCP",
        "number_connections": _number(network.connections),
        "nic_sut": "N/A" if loopback else "",
        "number_nic_sut": "0" if loopback else "",
        "net_software_stack_sut": stack if loopback else "",
        "network_topology": "one host" if loopback else "",
    }


def _framework(runtime: str) -> str:
    title, packages = _FRAMEWORKS.get(runtime, ("none", ()))
    return f"{title} {next(filter(None, map(version_of, packages)), '')}".strip()


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _gib(size_bytes: int | None) -> str:
    return "" if size_bytes is None else f"{size_bytes / _GIB:.3g} GiB"


def _card_text(card: Card) -> str:
    speed = f" {card.speed_mbit / 1000:g} Gbit/s" if card.speed_mbit else ""
    return f"{card.kind}{speed}{f' ({card.driver})' if card.driver else ''}"
