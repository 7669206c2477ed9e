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
from ray.util import get_node_ip_address

from tailrace import cluster
from tailrace.errors import TailraceError, UsageError
from tests.kit import cli
from tests.kit.plans import await_intervals
from tests.kit.waiting import wait_until


@pytest.mark.parametrize("address", ["nonsense", "auto:x", "ray://host:10001", ":6379", "host:"])
def test_no_address(address: str) -> None:
    with pytest.raises(UsageError, match="auto or HOST:PORT"):
        cluster.connect(address)


def test_nobody_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(TailraceError, match="no Ray cluster answers"):
            cluster.connect(f"127.0.0.1:{port}")


def test_auto_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(TailraceError, match=":1 "):
        cluster.connect(cluster.AUTO)


def test_no_host() -> None:
    with pytest.raises(UsageError, match=r"there is no host at nowhere\.invalid:6379"):
        cluster.connect("nowhere.invalid:6379")


def test_one_that_takes_connections_and_says_nothing() -> None:
    """In a process of its own: Ray goes on trying in it, and must not keep it from ending."""
    code = (
        "import sys\n"
        "from tailrace import cluster\n"
        "cluster._JOIN_S = 0.5\n"
        "try:\n"
        "    cluster.connect(sys.argv[1])\n"
        "except cluster.TailraceError as error:\n"
        "    sys.exit(str(error))\n"
    )
    # Ray takes a loopback address for this one.
    with socket.create_server((get_node_ip_address(), 0)) as silent:
        host, port = silent.getsockname()
        done = subprocess.run(
            [sys.executable, "-c", code, f"{host}:{port}"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == f"no Ray cluster answers at {host}:{port} (nothing within 0.5 s)\n"


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
