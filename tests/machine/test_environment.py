import os
import platform
from pathlib import Path

import msgspec

from tailrace.machine.environment import Environment, read_environment, version_of

FILES = {
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: Acme C1\ncpu MHz\t\t: 2445.4\nflags\t\t: fpu\n\n"
    "processor\t: 1\nmodel name\t: another\n",
    "proc/meminfo": "MemTotal:       1024 kB\nMemFree: 1 kB\n",
    "proc/loadavg": "0.61 0.54 1.66 2/345 6789\n",
    "proc/sys/kernel/osrelease": "6.1.0-test\n",
    "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian 12"\n',
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
    "sys/class/dmi/id/sys_vendor": "Acme\n",
    "sys/class/dmi/id/product_name": "R1\n",
}


def write_machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_tells_what_linux_tells(tmp_path: Path) -> None:
    found = read_environment(write_machine(tmp_path, FILES))
    assert found.processor == "Acme C1"
    assert found.product == "Acme R1"
    assert found.frequency == "2445.4 MHz, as in /proc/cpuinfo"
    assert found.memory_bytes == 1 << 20
    assert found.load_average == (0.61, 0.54, 1.66)
    assert (found.distribution, found.kernel) == ("Debian 12", "Linux 6.1.0-test")
    assert found.clock_source == "tsc"
    assert not found.virtual


def test_governors_are_those_of_the_cores_it_may_use(tmp_path: Path) -> None:
    usable = os.sched_getaffinity(0)
    cpu = "sys/devices/system/cpu/cpu{}/cpufreq/scaling_governor"
    files = {cpu.format(core): "schedutil\n" for core in usable}
    write_machine(tmp_path, {**files, cpu.format(max(usable) + 1): "powersave\n"})
    assert read_environment(tmp_path).governor == "schedutil"
    write_machine(tmp_path, {cpu.format(min(usable)): "performance\n"})
    together = {read_environment(tmp_path).governor}
    assert together <= {"performance, schedutil", "performance"}


def test_what_is_not_told_is_empty(tmp_path: Path) -> None:
    found = read_environment(
        write_machine(tmp_path, {"proc/loadavg": "broken", "proc/cpuinfo": ""})
    )
    own = {name: getattr(found, name) for name in ("python", "packages", "cores", "usable_cores")}
    assert found == Environment(**own)
    assert found.load_average is None


def test_this_machine_and_process_are_told(tmp_path: Path) -> None:
    found = read_environment()
    assert found.usable_cores == len(os.sched_getaffinity(0))
    assert found.kernel == f"Linux {platform.release()}"
    assert found.python.endswith(platform.python_version())
    assert found.packages["numpy"] == version_of("numpy") != ""
    assert version_of("no-such-package") == ""
    assert msgspec.json.decode(msgspec.json.encode(found), type=Environment) == found


def test_reads_no_more_of_many_cores_than_of_the_first(tmp_path: Path) -> None:
    block = "processor\t: {}\nmodel name\t: C{}\nflags\t\t: " + "flag " * 300 + "hypervisor\n\n"
    write_machine(tmp_path, {"proc/cpuinfo": "".join(block.format(n, n) for n in range(2000))})
    found = read_environment(tmp_path)
    assert (found.processor, found.virtual) == ("C0", True)
