"""`tailrace demo`: service, load and control room, really started and really ended."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

import tailrace
from tests.kit import cli
from tests.kit.waiting import TIMEOUT_S, wait_until

pytestmark = pytest.mark.slow("starts a service, a control room and load each time")


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = started(tmp_path)
    yield process
    if process.poll() is None:
        process.terminate()
        process.wait(TIMEOUT_S)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.close()


def started(cwd: Path, *arguments: str) -> subprocess.Popen[str]:
    return cli.start(
        "demo", *("--port", "0", "--service-port", "0", "--rpc-port", "0"), *arguments, cwd=cwd
    )


def read_addresses(process: subprocess.Popen[str]) -> dict[str, str]:
    assert process.stderr is not None
    addresses: dict[str, str] = {}
    while len(addresses) < 4:
        line = process.stderr.readline()
        assert line, "the demo ended before it printed its addresses"
        if match := re.match(r"\s*(service|dashboard|REST|gRPC)\s+(\S+:\S+)$", line):
            addresses[match[1]] = match[2]
    return addresses


def get(url: str) -> str:
    with urlopen(url, timeout=TIMEOUT_S) as response:
        return str(response.read().decode())


def is_up(url: str) -> bool:
    try:
        urlopen(url, timeout=TIMEOUT_S).close()
    except OSError:
        return False
    return True


@pytest.mark.smoke
def test_a_demo_of_given_length_ends_by_itself(tmp_path: Path) -> None:
    with started(tmp_path, "--for", "4s", "--rate", "40") as process:
        read_addresses(process)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    line = next(line for line in err.splitlines() if "RPS" in line)
    for word in ("offered", "RPS", "QPS", "p50", "p99", "failures", "target 40/s", " left"):
        assert word in line
    assert "p99.9" in out
    assert "infer" in out
    run = tmp_path / re.search(r"run: (\S+)", out)[1]  # type: ignore[index]
    result = json.loads((run / "result.json").read_text())
    assert result["duration_s"] == 4.0
    assert result["failed"] == {}
    assert result["completed"] == result["offered"]
    assert set(result["stages_ms"]) >= {"queue", "decode", "preprocess", "infer", "postprocess"}


async def test_ctrl_c_ends_a_demo_with_its_summary(
    demo: subprocess.Popen[str], tmp_path: Path
) -> None:
    addresses = read_addresses(demo)
    assert addresses["dashboard"].endswith("/services/demo")
    assert "Tailrace" in get(addresses["dashboard"])
    assert "/api/services" in get(addresses["REST"].removesuffix("/docs") + "/openapi.json")
    async with tailrace.connect(addresses["gRPC"]) as room:
        assert [service.id for service in await room.list()] == ["demo"]
    assert get(addresses["service"].removesuffix("/docs") + "/gpu") == "ok"
    assert demo.stderr is not None
    while "RPS" not in (line := demo.stderr.readline()):
        assert line
    demo.send_signal(signal.SIGINT)
    out, _ = demo.communicate(timeout=TIMEOUT_S)
    assert demo.returncode == 0
    assert "verdict" in out
    (run,) = (tmp_path / "runs").iterdir()
    result = json.loads((run / "result.json").read_text())
    assert result["completed"] == result["offered"] > 0
    # The service has gone with it.
    assert not is_up(addresses["service"])


def test_a_demo_killed_outright_leaves_no_service(
    demo: subprocess.Popen[str], tmp_path: Path
) -> None:
    service = read_addresses(demo)["service"]
    demo.kill()
    demo.wait(TIMEOUT_S)
    wait_until(lambda: not is_up(service))
