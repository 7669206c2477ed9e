"""A control room in a process of its own, and what the kernel says of that process."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Room:
    """Where it answers, and its process."""

    page: str
    rpc: str
    pid: int
    runs: Path


@contextlib.contextmanager
def room(*cores: str, interval_s: float = 1.0) -> Iterator[Room]:
    """An empty `tailrace dashboard` on free ports and on `cores`; ended with the context."""
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as directory:
        config = Path(directory, "tailrace.toml")
        config.write_text(f"[room]\nport = 0\nrpc_port = 0\ninterval = {interval_s}\n")
        pinned = ["taskset", "-c", ",".join(cores)] if cores else []
        process = subprocess.Popen(
            [*pinned, sys.executable, "-m", "tailrace", "dashboard", "--config", str(config)],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        try:
            addresses: dict[str, str] = {}
            while "gRPC" not in addresses:
                line = process.stderr.readline()
                if not line:
                    sys.exit("the control room did not start")
                name, _, address = line.strip().partition(" ")
                addresses[name] = address.strip()
            yield Room(
                addresses["dashboard"], addresses["gRPC"], process.pid, Path(directory, "runs")
            )
        finally:
            process.terminate()
            try:
                process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def cpu_s(pid: int) -> float:
    """User and system time of a process so far, in seconds (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Its resident memory, in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
