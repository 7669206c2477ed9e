"""Joining a cluster: what it asks for, and addresses at which there is none."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.util import get_node_ip_address

from tailrace.cluster import AUTO, connect
from tailrace.errors import TailraceError, UsageError
from tests.kit import cli
from tests.kit.plans import await_intervals
from tests.kit.waiting import wait_until


@pytest.fixture(autouse=True)
def _unconnected() -> None:
    """Tests before these may have left this process connected."""
    ray.shutdown()


@pytest.mark.parametrize("address", ["nonsense", "auto:x", "ray://host:10001", ":6379", "host:"])
def test_no_address(address: str) -> None:
    with pytest.raises(UsageError, match="auto or HOST:PORT"):
        connect(address)


def test_nobody_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(TailraceError, match="no Ray cluster answers"):
            connect(f"127.0.0.1:{port}")


def test_auto_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(TailraceError, match=":1 "):
        connect(AUTO)


def test_no_host() -> None:
    with pytest.raises(UsageError, match=r"there is no host at nowhere\.invalid:6379"):
        connect("nowhere.invalid:6379")


def run_code(code: str, address: str) -> subprocess.CompletedProcess[str]:
    """A process that runs `code`: what Ray does in it must not be done to this one."""
    return subprocess.run(
        [sys.executable, "-c", code, address],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of one that takes connections and says nothing."""
    # Ray takes a loopback address for this one.
    with socket.create_server((get_node_ip_address(), 0)) as server:
        host, port = server.getsockname()
        yield f"{host}:{port}"


JOIN_IN_VAIN = """
import sys, threading
from tailrace import cluster
cluster._JOIN_S = 0.5
try:
    cluster.connect(sys.argv[1])
except cluster.TailraceError as error:
    failed = str(error)
"""


def test_one_that_takes_connections_and_says_nothing(silent: str) -> None:
    """Ray goes on trying in the process, and must not keep it from ending."""
    done = run_code(JOIN_IN_VAIN + "sys.exit(failed)", silent)
    assert done.returncode == 1
    assert done.stderr == f"no Ray cluster answers at {silent} (nothing within 0.5 s)\n"


@pytest.mark.slow("Ray itself tries for 40 s")
def test_a_join_that_is_given_up_comes_to_an_end(silent: str) -> None:
    code = (
        "for thread in set(threading.enumerate()) - {threading.current_thread()}:\n"
        "    thread.join(120)\n"
        "print(failed, threading.active_count())\n"
    )
    assert run_code(JOIN_IN_VAIN + code, silent).stdout.endswith("(nothing within 0.5 s) 1\n")


def test_a_join_that_is_given_up_and_succeeds_is_undone(cluster: Any) -> None:
    code = (
        "import sys\n"
        "from concurrent.futures import Future\n"
        "import ray\n"
        "from tailrace.cluster import _init\n"
        "outcome = Future()\n"
        "outcome.cancel()\n"
        "_init(sys.argv[1], outcome)\n"
        "print(ray.is_initialized())\n"
    )
    assert run_code(code, cluster.address).stdout == "False\n"


def is_listening(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A cluster as `ray start --head` makes it where there is a token, and the home that has it."""
    home = tmp_path_factory.mktemp("home")
    (home / ".ray").mkdir()
    (home / ".ray/auth_token").write_text("0123456789abcdef" * 4)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
            *("--port", str(port), "--num-cpus", "2", "--include-dashboard", "false"),
            *("--temp-dir", str(tmp_path_factory.mktemp("ray", numbered=True))),
        ],
        env=_home_environment(home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"{get_node_ip_address()}:{port}"
    try:
        wait_until(lambda: is_listening(address) or process.poll() is not None)
        assert process.poll() is None
        yield address, home
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _home_environment(home: Path, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RAY_AUTH")}
    return kept | {"HOME": str(home)} | more


def _load_on_ray(serve: Any, address: str, folder: Path, env: dict[str, str]) -> Any:
    return cli.run(
        *("load", serve().url, "--ray", address),
        *("--for", "1s", "--min-duration", "1s", "--json"),
        cwd=folder,
        env=env,
    )


@pytest.mark.slow("a cluster of its own, with a token")
def test_its_token_is_found_as_ray_finds_it(
    guarded: tuple[str, Path], serve: Any, tmp_path: Path
) -> None:
    address, home = guarded
    done = _load_on_ray(serve, address, tmp_path, _home_environment(home))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["completed"] > 50


@pytest.mark.slow("a cluster of its own, with a token")
@pytest.mark.parametrize("more", [{}, {"RAY_AUTH_TOKEN": "wrong"}])
def test_a_token_that_is_missing_or_wrong_is_said_at_once(
    guarded: tuple[str, Path], serve: Any, tmp_path: Path, more: dict[str, str]
) -> None:
    done = _load_on_ray(serve, guarded[0], tmp_path, _home_environment(tmp_path, **more))
    assert done.returncode == 1
    assert "asks for its token" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow("a cluster of its own, with a token")
def test_a_run_that_is_terminated_says_nothing_of_ray(
    guarded: tuple[str, Path], serve: Any, tmp_path: Path
) -> None:
    address, home = guarded
    process = cli.start(
        *("load", serve().url, "--ray", address),
        *("--for", "60s", "--out", str(tmp_path / "run")),
        env=_home_environment(home),
    )
    await_intervals(tmp_path / "run", 1)
    process.send_signal(signal.SIGTERM)
    said, noted = process.communicate(timeout=60)
    assert "***" not in noted, noted
    assert "offered" in said
