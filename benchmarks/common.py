"""What the benchmarks share: nginx as the server that costs least, and tables of medians."""

import contextlib
import shutil
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
        location / {{ return 200 "ok"; }}
    }}
}}
"""


def need(*programs: str) -> None:
    """Exit with a clear line if a program is not installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        sys.exit(f"this benchmark needs {', '.join(missing)}: apt-get install {' '.join(missing)}")


@contextlib.contextmanager
def nginx() -> Iterator[str]:
    """nginx on the server core, answering 200 "ok" to everything; yields its URL."""
    need("nginx", "taskset")
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as directory:
        config = Path(directory) / "nginx.conf"
        config.write_text(_NGINX.format(dir=directory, port=PORT))
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
