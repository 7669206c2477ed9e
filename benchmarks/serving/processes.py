"""A server under test: started on cores of its own, watched, and ended with all it has started."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

from benchmarks.serving import environment
from benchmarks.serving.install import ROOT

_START_S = 90.0
_STOP_S = 15.0
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class Memory:
    """What a server's processes take: their proportional set size, and how many they are."""

    processes: int
    pss_mb: float


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    base_url: str
    cold_start_s: float
    """From its start to its first answer."""

    def memory(self) -> Memory:
        """That of all its processes, while nothing else runs below this one."""
        sizes = [_pss_bytes(pid) for pid in _descendants()]
        return Memory(len(sizes), sum(sizes) / 1e6)


def prepare(client_cores: str) -> None:
    """Makes this process the one that measures: on the client's cores, ending all it started.

    Exits with a clear line if the machine lacks the cores.
    """
    try:
        os.sched_setaffinity(0, {int(core) for core in client_cores.split(",")})
    except (OSError, ValueError):
        sys.exit(f"this machine has no cores {client_cores} for the client")
    # Daemons whose parent ends become children of this process, and are found and ended.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda signum, _: sys.exit(128 + signum))


@contextlib.contextmanager
def running(
    command: Callable[[int], list[str]],
    cores: str,
    told: Mapping[str, str],
    probe: Callable[[str], Request],
) -> Iterator[Running]:
    """A server on these cores, once it answers.

    `command` makes its command line for a port; `probe` a request, from the server's base URL,
    that is answered with 200 when it is ready. Exits with the server's last words if it never is.
    """
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as directory:
        log = Path(directory) / "log"
        began_s = time.monotonic()
        with log.open("w") as output:
            server = subprocess.Popen(
                ["taskset", "-c", cores, *command(port)],
                cwd=directory,
                env=_environment(told, port),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            base_url = f"http://127.0.0.1:{port}"
            _wait_for(server, probe(base_url), began_s, log)
            yield Running(base_url, time.monotonic() - began_s)
        finally:
            _end(server)


def _environment(own: Mapping[str, str], port: int) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), environment.PORT: str(port), **own}


def _wait_for(server: subprocess.Popen[bytes], request: Request, began_s: float, log: Path) -> None:
    while True:
        try:
            urlopen(request, timeout=_START_S).close()
        except (URLError, OSError):
            late = time.monotonic() - began_s > _START_S
            if late or server.poll() is not None:
                words = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
                sys.exit(f"{words}\n\n{request.full_url} never answered")
            time.sleep(0.02)
        else:
            return


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(_STOP_S)
    # Its daemons have this process as their parent now. It has no other children at this time.
    while left := _descendants():
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    server.wait()
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _descendants() -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            children.setdefault(int(parent), []).append(int(entry.name))
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _pss_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
