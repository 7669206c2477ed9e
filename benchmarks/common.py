"""What the benchmarks share: nginx as the server that costs least, and tables of medians."""

import contextlib
import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

CLIENT_CORE = "0"
SERVER_CORE = "1"
PORT = 8099
URL = f"http://127.0.0.1:{PORT}/"

_NGINX = """
worker_processes 1;
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
events {{ worker_connections 20000; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {dir}/body;
    client_max_body_size 64m;
    server {{
        listen 127.0.0.1:{port} backlog=65535;
        location / {{ {headers} return 200 "ok"; }}
    }}
}}
"""


def need(*programs: str) -> None:
    """Exit with a clear line if a program is not installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        sys.exit(f"this benchmark needs {', '.join(missing)}: apt-get install {' '.join(missing)}")


@contextlib.contextmanager
def nginx(*headers: str) -> Iterator[str]:
    """nginx on the server core, answering 200 "ok" to everything, with `headers`, `Name: value`
    each; yields its URL.
    """
    need("nginx", "taskset")
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as directory:
        config = Path(directory) / "nginx.conf"
        pairs = (header.partition(": ")[::2] for header in headers)
        added = " ".join(f'add_header {name} "{value}";' for name, value in pairs)
        config.write_text(_NGINX.format(dir=directory, port=PORT, headers=added))
        server = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE, "nginx", "-c", str(config), "-p", directory],
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for(URL)
            yield URL
        finally:
            server.terminate()
            server.wait()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            urlopen(url, timeout=1).close()
        except (URLError, OSError):
            if time.monotonic() > deadline:
                sys.exit(f"nothing answers at {url}")
            time.sleep(0.05)
        else:
            return


def run(*command: str) -> str:
    """Run a command on the client core; its stdout."""
    return subprocess.run(
        ["taskset", "-c", CLIENT_CORE, *command],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    ).stdout


def spread(values: Sequence[float], form: str = ",.0f") -> str:
    """`median (min-max)` of some rounds."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):{form}} ({low:{form}}-{high:{form}})"


def saturated_per_s(
    url: str, offered_per_s: float, connections: int, seconds: int, *arguments: str
) -> float:
    """What is completed a second while `tailrace load`, on the client core, offers more.

    All its connections are busy all the time. Counted over `seconds` intervals of 1 s, after the
    first. Exits with a clear line if requests fail or less is offered than could be completed.
    """
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as directory:
        load = subprocess.Popen(
            [
                *("taskset", "-c", CLIENT_CORE, sys.executable, "-m", "tailrace", "load", url),
                *("--rate", str(offered_per_s), "--connections", str(connections)),
                *("--arrivals", "constant", "--for", "10m", "--timeout", "1h"),
                *("--out", directory + "/run", *arguments),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        timeline = Path(directory) / "run" / "timeline.jsonl"
        lines: list[str] = []
        try:
            while load.poll() is None and len(lines) <= seconds:
                time.sleep(0.2)
                lines = timeline.read_text().splitlines() if timeline.exists() else []
            # Until it has ended: what waits behind the full connections is not waited for.
            while load.poll() is None:
                load.send_signal(signal.SIGINT)
                time.sleep(0.2)
        finally:
            load.kill()
            load.wait()
    points = [json.loads(line) for line in lines[1 : seconds + 1]]
    if failed := [point["failed"] for point in points if point["failed"]]:
        sys.exit(f"{url}: requests failed at saturation: {failed}")
    if not points[-1]["backlog"]:
        sys.exit(f"{url}: {offered_per_s:,.0f} requests a second did not saturate it")
    return float(sum(p["completed"] for p in points) / sum(p["interval_s"] for p in points))
