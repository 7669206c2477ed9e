from dataclasses import replace
from pathlib import Path

import pytest

from tailrace.machine.hardware import Gpu, Machine, read_machine
from tailrace.mlperf.submission.machine import Network, describe, system_desc_id

REQUIRED = set(
    """
accelerator_frequency accelerator_host_interconnect accelerator_interconnect
accelerator_interconnect_topology accelerator_memory_capacity accelerator_memory_configuration
accelerator_model_name accelerator_on-chip_memories accelerators_per_node cooling division framework
host_memory_capacity host_memory_configuration host_networking host_networking_topology
host_network_card_count host_processor_caches host_processor_core_count host_processor_frequency
host_processor_interconnect host_processor_model_name host_processors_per_node host_storage_capacity
host_storage_type hw_notes number_of_nodes operating_system other_software_stack status submitter
sw_notes system_name system_type system_type_detail
""".split()  # noqa: SIM905
)
"""SYSTEM_DESC_REQUIRED_FIELDS of MLPerf's submission checker, v6.0."""
REQUIRED_NETWORK = set(
    """
is_network network_type network_media network_rate nic_loadgen number_nic_loadgen
net_software_stack_loadgen network_protocol number_connections nic_sut number_nic_sut
net_software_stack_sut network_topology
""".split()  # noqa: SIM905
)
"""The same, of the Network division."""


def write_system(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """Two sockets of two cores of two threads, three disks, two cards."""
    cpus = [
        f"processor\t: {n}\nmodel name\t: AMD EPYC 7763 64-Core Processor\ncpu MHz\t\t: 2445.4\n"
        f"physical id\t: {n % 2}\ncore id\t\t: {n // 2 % 2}\nflags\t\t: fpu avx2\n"
        for n in range(8)
    ]
    cache = "sys/devices/system/cpu/cpu0/cache"
    (tmp_path / "drivers/mlx5_core").mkdir(parents=True)
    root = write_system(
        tmp_path,
        {
            "proc/cpuinfo": "\n".join(cpus),
            "proc/meminfo": "MemTotal:       263921664 kB\nMemFree: 1 kB\n",
            "proc/sys/kernel/osrelease": "6.1.0-test\n",
            "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian 12"\n',
            "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "3529052\n",
            f"{cache}/index0/level": "1\n",
            f"{cache}/index0/type": "Data\n",
            f"{cache}/index0/size": "32K\n",
            f"{cache}/index3/level": "3\n",
            f"{cache}/index3/type": "Unified\n",
            f"{cache}/index3/size": "32768K\n",
            "sys/class/dmi/id/sys_vendor": "Acme\n",
            "sys/class/dmi/id/product_name": "R1\n",
            "sys/block/nvme0n1/size": "1953525168\n",
            "sys/block/nvme0n1/device/model": "x",
            "sys/block/sda/size": "1953525168\n",
            "sys/block/sda/queue/rotational": "1\n",
            "sys/block/sda/device/model": "x",
            "sys/block/sdb/size": "60000\n",
            "sys/block/sdb/removable": "1\n",
            "sys/block/sdb/device/model": "stick",
            "sys/block/loop0/size": "999999999\n",
            "sys/class/net/lo/type": "772\n",
            "sys/class/net/docker0/type": "1\n",
            "sys/class/net/eth0/type": "1\n",
            "sys/class/net/eth0/speed": "25000\n",
            "sys/class/net/eth0/device/vendor": "x",
            "sys/class/net/eth1/type": "1\n",
            "sys/class/net/eth1/speed": "-1\n",
            "sys/class/net/eth1/device/vendor": "x",
        },
    )
    (root / "sys/class/net/eth0/device/driver").symlink_to(root / "drivers/mlx5_core")
    return root


def described(machine: Machine, device: str = "cpu", **more: object) -> dict[str, object]:
    return describe(
        machine, submitter="local", division="open", runtime="onnx", device=device, **more
    )  # type: ignore[arg-type]


def test_describes_what_the_machine_tells(server: Path) -> None:
    found = described(read_machine(server))
    told = {
        "host_processor_model_name": "AMD EPYC 7763 64-Core Processor",
        "host_processors_per_node": "2",
        "host_processor_core_count": "2",
        "host_processor_frequency": "3.53 GHz at most",
        "host_processor_caches": "L1d 32 KiB, L3 32768 KiB",
        "host_memory_capacity": "252 GiB",
        "host_storage_capacity": "2000 GB",
        "host_storage_type": "HDD, NVMe SSD",
        "host_networking": "Ethernet, Ethernet 25 Gbit/s (mlx5_core)",
        "host_network_card_count": "2",
        "operating_system": "Debian 12, Linux 6.1.0-test",
        "accelerators_per_node": "0",
        "accelerator_model_name": "N/A",
        "hw_notes": "",
        "status": "rdi",
        "system_type": "edge",
    }
    assert found | told == found
    assert str(found["system_name"]).startswith("Acme R1 (ONNX Runtime ")


def test_what_it_does_not_tell_is_empty(tmp_path: Path) -> None:
    found = described(read_machine(tmp_path))
    assert {found[key] for key in found if key.startswith("host_")} == {""}
    assert found["operating_system"] == found["cooling"] == ""


def test_this_machine_has_all_required_fields() -> None:
    found = described(read_machine())
    assert set(found) == REQUIRED
    assert found["host_processor_core_count"] or found["host_processor_model_name"]
    assert str(found["host_memory_capacity"]).endswith(" GiB")


def test_every_field_is_a_text_as_the_checker_wants(server: Path) -> None:
    found = described(read_machine(server), network=Network(8, same_host=True))
    assert set(found) == REQUIRED | REQUIRED_NETWORK
    assert all(isinstance(value, str) for value in found.values())
    assert found["is_network"] == "true"


def test_loopback_is_called_so(server: Path) -> None:
    found = described(read_machine(server), network=Network(8, same_host=True))
    assert found["network_type"] == "loopback"
    assert found["number_connections"] == "8"
    assert found["host_processors_per_node"] == "2"


def test_of_another_machine_nothing_is_invented(server: Path) -> None:
    found = described(read_machine(server), network=Network(None, same_host=False))
    own = [key for key in found if key.startswith(("host_", "accelerator"))]
    own += ["framework", "operating_system", "system_name", "nic_sut", "number_connections"]
    assert {found[key] for key in own} == {""}
    assert found["number_nic_loadgen"] == "2"
    assert found["network_rate"] == "25 Gbit/s"
    assert "another machine" in str(found["hw_notes"])


def test_a_hypervisor_is_told(tmp_path: Path) -> None:
    root = write_system(tmp_path, {"proc/cpuinfo": "processor\t: 0\nflags\t: fpu hypervisor\n"})
    assert "virtual" in str(described(read_machine(root))["hw_notes"])


def with_gpus(machine: Machine, *gpus: Gpu) -> Machine:
    return replace(machine, gpus=gpus)


def test_gpus_count_where_they_are_used(server: Path) -> None:
    gpu = Gpu("NVIDIA H100 80GB HBM3", 80 << 30, 1980, "PCIe 5.0 x16")
    machine = with_gpus(read_machine(server), gpu, gpu)
    used = described(machine, "cuda")
    assert used["accelerators_per_node"] == "2"
    assert used["accelerator_model_name"] == "NVIDIA H100 80GB HBM3"
    assert used["accelerator_memory_capacity"] == "80 GiB"
    assert used["accelerator_interconnect"] == ""
    assert described(machine, "cpu")["accelerators_per_node"] == "0"
    untold = described(with_gpus(machine), "cuda")
    assert untold["accelerators_per_node"] == untold["accelerator_model_name"] == ""


@pytest.mark.parametrize(
    ("processor", "name"),
    [
        ("AMD EPYC 7763 64-Core Processor", "epyc-7763-4c-onnxruntime-cpu"),
        ("Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz", "xeon-platinum-8481c-4c-onnxruntime-cpu"),
        ("weird/../näme\n", "weird-..-n-me-4c-onnxruntime-cpu"),
    ],
)
def test_id_has_safe_characters_alone(server: Path, processor: str, name: str) -> None:
    machine = read_machine(server)
    machine = replace(machine, host=replace(machine.host, processor=processor))
    assert system_desc_id(machine, "onnx", "cpu") == name


def test_id_names_the_card(server: Path) -> None:
    gpu = Gpu("NVIDIA GeForce RTX 2080 Ti", 11 << 30, None, "")
    machine = with_gpus(read_machine(server), gpu)
    assert system_desc_id(machine, "onnx", "cuda") == "epyc-7763-4c-onnxruntime-cuda-rtx-2080-ti"
    assert system_desc_id(machine, "tensorflow", "cpu") == "epyc-7763-4c-tensorflow-cpu"
    assert system_desc_id(machine, "onnx", "cpu", remote=True) == "network-sut"


def test_id_of_an_unknown_machine_is_a_name(tmp_path: Path) -> None:
    assert system_desc_id(read_machine(tmp_path), "null", "cpu").endswith("-null-cpu")
