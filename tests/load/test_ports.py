"""A machine without a free local port, in a network namespace of the test's own."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SERVER = """
import asyncio
async def accept(reader, writer):
    try:
        while await reader.readuntil(b"\\r\\n\\r\\n"):
            await asyncio.sleep(1)
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()
async def main():
    await asyncio.start_server(accept, "127.0.0.1", 8000)
    print("ready", flush=True)
    await asyncio.sleep(30)
asyncio.run(main())
"""

SCRIPT = """
set -e
ip link set lo up
echo "40000 40009" > /proc/sys/net/ipv4/ip_local_port_range
"$PYTHON" -c "$SERVER" > server.log & server=$!
trap 'kill $server' EXIT
until grep -q ready server.log; do sleep 0.05; done
"$PYTHON" -m tailrace load http://127.0.0.1:8000/ --rate 100 --for 1s --json --out run
"""


def test_port_exhaustion_is_counted_and_explained(tmp_path: Path) -> None:
    """Ten local ports, answers after a second, 100 requests a second: most find no port."""
    probe = ["unshare", "-n", "ip", "link", "set", "lo", "up"]
    if (
        shutil.which("unshare") is None
        or subprocess.run(probe, capture_output=True, check=False).returncode != 0
    ):
        pytest.skip("network namespaces need root, util-linux and iproute2")
    finished = subprocess.run(
        ["unshare", "-n", "sh", "-c", SCRIPT],
        cwd=tmp_path,
        env={"PYTHON": sys.executable, "SERVER": SERVER, "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    result = json.loads(finished.stdout)
    assert result["completed"] >= 10
    assert result["failed"]["connect"] > 50
    assert result["offered"] == result["completed"] + sum(result["failed"].values())
    (reason,) = [text for text in result["verdict"]["reasons"] if "local port" in text]
    assert "lower --connections, or widen net.ipv4.ip_local_port_range" in reason
