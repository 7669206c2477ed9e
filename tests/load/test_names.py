"""Names with several addresses, looked up by the system, in a mount namespace of the test's own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.kit.server import Server


@pytest.fixture
def port(serve: Any) -> int:
    """Servers on 127.0.0.1 and 127.0.0.2, none on 127.0.0.3 and ::1."""
    first: Server = serve()
    serve(host="127.0.0.2", port=first.port)
    return first.port


def load_with_hosts(tmp_path: Path, hosts: str, *arguments: str) -> dict[str, object]:
    """The result of a run where `hosts` is what /etc/hosts says."""
    (tmp_path / "hosts").write_text(hosts)
    probe = ["unshare", "-m", "mount", "--bind", "hosts", "/etc/hosts"]
    if (
        shutil.which("unshare") is None
        or subprocess.run(probe, cwd=tmp_path, capture_output=True, check=False).returncode != 0
    ):
        pytest.skip("mount namespaces need root and util-linux")
    script = 'mount --bind hosts /etc/hosts && exec "$0" -m tailrace load --json --out run "$@"'
    finished = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, sys.executable, *arguments],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return dict(json.loads(finished.stdout))


def test_every_request_is_answered_by_the_address_that_works(tmp_path: Path, port: int) -> None:
    hosts = "127.0.0.1 both\n::1 both\n"
    result = load_with_hosts(
        tmp_path, hosts, f"http://both:{port}/", "--rate", "200", "--for", "1s"
    )
    assert result["failed"] == {}
    assert result["addresses"] == {f"127.0.0.1:{port}": result["offered"]}


def test_requests_are_spread_over_the_addresses_that_work(tmp_path: Path, port: int) -> None:
    """By two workers, of which each has its own connections."""
    hosts = "".join(f"127.0.0.{n} backends\n" for n in (1, 2, 3))
    arguments = (f"http://backends:{port}/", "--rate", "400", "--for", "1s", "--workers", "2")
    result = load_with_hosts(tmp_path, hosts, *arguments)
    assert result["failed"] == {}
    addresses = result["addresses"]
    assert isinstance(addresses, dict)
    assert addresses.keys() == {f"127.0.0.{n}:{port}" for n in (1, 2)}
    assert sum(addresses.values()) == result["sent"]
    assert min(addresses.values()) > 0.4 * sum(addresses.values())


def test_a_connection_a_request_and_an_order_of_reuse(tmp_path: Path, port: int) -> None:
    arguments = (f"http://127.0.0.1:{port}/", "--rate", "50", "--for", "1s")
    result = load_with_hosts(tmp_path, "", *arguments, "--no-keepalive", "--reuse", "lifo")
    assert result["failed"] == {}
    asked = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (asked["reuse"], asked["keep_alive"]) == ("lifo", False)
