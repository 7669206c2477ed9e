"""Two hosts with a cable between them: network namespaces, each with a node of a Ray cluster, and
the second with a monotonic clock of its own. The server is on the first, so that half of the load
crosses the cable.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec
import pytest

from tests.kit import answering
from tests.kit.waiting import TIMEOUT_S

pytestmark = pytest.mark.slow("two hosts, and minutes")

HEAD, OTHER = "10.231.77.1", "10.231.77.2"
PORT = 6390
AHEAD_S = 5000
"""By how much the second host's CLOCK_MONOTONIC is ahead of the first's."""
ENVIRONMENT = {
    **os.environ,
    "RAY_USAGE_STATS_ENABLED": "0",
    # A head that others can reach asks for a token; these hosts share their files.
    "RAY_AUTH_MODE": "disabled",
    # For a busy machine.
    "RAY_raylet_start_wait_time_s": "120",
}
RAY = str(Path(sys.executable).with_name("ray"))


def ip(*arguments: str) -> None:
    subprocess.run(
        ["ip", *arguments], check=True, capture_output=True, text=True, timeout=TIMEOUT_S
    )


class Hosts:
    """The two hosts; a cable that can be cut."""

    def __init__(self) -> None:
        self.first, self.second = (f"tailrace-{os.getpid()}-{name}" for name in "ab")
        self._logs = tempfile.TemporaryDirectory(prefix="tr", ignore_cleanup_errors=True)
        self.directory = Path(self._logs.name)

    def __enter__(self) -> "Hosts":
        for name in (self.first, self.second):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ends = {"name": "cable", "peer": "cable"}
        ip(
            *("link", "add", ends["name"], "netns", self.first),
            *("type", "veth", "peer", "name", ends["peer"], "netns", self.second),
        )
        for name, address in ((self.first, HEAD), (self.second, OTHER)):
            ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
            ip("-n", name, "link", "set", "cable", "up")
        return self

    def __exit__(self, *_: object) -> None:
        for name in (self.first, self.second):
            listed = subprocess.run(
                ["ip", "netns", "pids", name], capture_output=True, text=True, check=False
            )
            for pid in listed.stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
        self._logs.cleanup()

    def cut(self) -> None:
        """Cut the cable: nothing is closed, nothing more arrives."""
        ip("-n", self.second, "link", "set", "cable", "down")

    def start(
        self, name: str, *command: str, stdout: int | IO[bytes] | None = None
    ) -> subprocess.Popen[str]:
        with (self.directory / "log").open("ab") as log:
            return subprocess.Popen(
                ["ip", "netns", "exec", name, *command],
                stdin=subprocess.DEVNULL,
                stdout=stdout or log,
                stderr=log if stdout != subprocess.PIPE else subprocess.PIPE,
                text=True,
                cwd=self.directory,
                env=ENVIRONMENT,
            )

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")[-3000:]


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("unshare") is None:
        pytest.skip("making network namespaces takes root, ip and unshare")
    hosts = Hosts()
    try:
        hosts.__enter__()
    except subprocess.CalledProcessError as error:
        hosts.__exit__()
        pytest.skip(f"this machine makes no network namespaces: {error.stderr.strip()}")
    try:
        server = hosts.start(
            hosts.first,
            *(sys.executable, answering.__file__, HEAD, "8000"),
            stdout=subprocess.PIPE,
        )
        assert server.stdout is not None
        assert server.stdout.readline() == "listening\n"
        hosts.start(
            hosts.first,
            *(RAY, "start", "--head", f"--node-ip-address={HEAD}", f"--port={PORT}"),
            *("--num-cpus=2", "--include-dashboard=false", "--block"),
            f"--temp-dir={hosts.directory}/r",
        )
        hosts.start(
            hosts.second,
            *("unshare", "--time", "--fork", "--monotonic", str(AHEAD_S)),
            *(RAY, "start", f"--address={HEAD}:{PORT}", f"--node-ip-address={OTHER}"),
            *("--num-cpus=2", "--block"),
        )
        deadline_s = time.monotonic() + 90
        status = ("ip", "netns", "exec", hosts.first, RAY, "status", f"--address={HEAD}:{PORT}")
        while time.monotonic() < deadline_s:
            shown = subprocess.run(
                status, capture_output=True, text=True, check=False, timeout=90, env=ENVIRONMENT
            )
            if "/4.0 CPU" in shown.stdout:
                break
            time.sleep(0.5)
        else:
            pytest.fail(f"the two nodes do not come up: {shown.stdout}{shown.stderr}{hosts.log()}")
        yield hosts
    finally:
        hosts.__exit__()


def start_load(hosts: Hosts, duration: str) -> subprocess.Popen[str]:
    return hosts.start(
        hosts.first,
        *(sys.executable, "-m", "tailrace", "load", f"http://{HEAD}:8000/", "--rate", "100"),
        *("--ray", f"{HEAD}:{PORT}", "--workers", "4", "--for", duration, "--json"),
        stdout=subprocess.PIPE,
    )


def test_load_from_two_hosts_whose_clocks_differ(hosts: Hosts) -> None:
    """Told the start by the first host's clock, the second's workers would begin an hour early."""
    process = start_load(hosts, "3s")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err + hosts.log()
    result = msgspec.json.decode(out)
    assert result["completed"] == result["offered"] > 200
    nodes = result["nodes"]
    assert [node["workers"] for node in nodes.values()] == [2, 2]
    for node in nodes.values():
        assert 0 < node["clock_error_ms"] < 500
        assert node["rps"] == pytest.approx(50, rel=0.4)
        assert node["seen_s"] == pytest.approx(3, abs=2)


def test_a_host_that_is_cut_off_is_told_within_5_s(hosts: Hosts) -> None:
    """Last of its module: the cable stays cut."""
    process = start_load(hosts, "2m")
    assert process.stderr is not None
    said: list[str] = []
    cut_s = told_s = 0.0
    for line in process.stderr:
        said.append(line)
        if "  target " in line and not cut_s:
            hosts.cut()
            cut_s = time.monotonic()
        if "was lost" in line and not told_s:
            told_s = time.monotonic()
        if sum("is missing from" in text for text in said) == 2:
            process.send_signal(signal.SIGINT)
            break
        assert len(said) < 120, said
    out, rest = process.communicate(timeout=60)
    assert not msgspec.json.decode(out)["verdict"]["valid"]
    text = "".join(said)
    assert cut_s < told_s < cut_s + 5, text
    assert "nothing heard from it for 3 s" in text
    assert text.count("took it over") == 2, text + rest
    nodes = msgspec.json.decode(out)["nodes"]
    assert sorted(node["workers"] > 0 for node in nodes.values()) == [False, True]
