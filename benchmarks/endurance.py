"""What one load worker holds out: many connections, large bodies, a long run, a second worker.

    python benchmarks/endurance.py connections    # 10,000 connections at 5,000 requests/s
    python benchmarks/endurance.py bodies         # bodies of 100 KB at 1,000 requests/s
    python benchmarks/endurance.py long           # 10 minutes at 20,000 requests/s
    python benchmarks/endurance.py workers        # CPU a request with one worker and with two

Memory is the workers' resident set, all together, looked at every second.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import CLIENT_CORE, SERVER_CORE, URL, nginx

SLOW_PORT = 8098
DELAY_S = 2.0

SLOW_SERVER = f"""
import asyncio, resource, uvloop
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
ANSWER = b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok"

class Slow(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        loop.call_later({DELAY_S}, self.transport.write, ANSWER)

async def main():
    global loop
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Slow, "127.0.0.1", {SLOW_PORT}, backlog=65535)
    print("ready", flush=True)
    await server.serve_forever()

uvloop.run(main())
"""


@dataclass
class Watched:
    """A run of `tailrace load` and the memory of its workers, a sample a second."""

    result: dict[str, Any]
    points: list[dict[str, Any]]
    memory_mb: list[float]


def watch(url: str, *arguments: str, cores: str = CLIENT_CORE) -> Watched:
    with tempfile.TemporaryDirectory() as directory:
        command = [
            *("taskset", "-c", cores, sys.executable, "-m", "tailrace", "load", url, "--json"),
            *("--out", directory + "/run", *arguments),
        ]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        memory: list[float] = []
        while process.poll() is None:
            if resident := sum(map(resident_mb, children(process.pid))):
                memory.append(resident)
            time.sleep(1)
        assert process.stdout is not None
        result = json.loads(process.stdout.read())
        lines = (Path(directory) / "run" / "timeline.jsonl").read_text().splitlines()
    return Watched(result, [json.loads(line) for line in lines], memory)


def children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in text.split()]


def resident_mb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def describe(title: str, run: Watched) -> None:
    result = run.result
    lag, latency = result["send_lag_us"], result["latency_ms"]
    print(f"\n{title}")
    print(f"  sent {result['rate']['sent']:,.0f}/s, failures {result['failed'] or 'none'}")
    print(f"  send lag p50 {lag['p50']:.0f} µs, p99 {lag['p99']:.0f} µs")
    print(f"  latency p50 {latency['p50']:.3f} ms, p99 {latency['p99']:.3f} ms")
    print(f"  most connections {max(point['connections'] for point in run.points):,}")
    cpu = sum(point["cpu_percent"] for point in run.points) / len(run.points)
    print(f"  CPU {cpu:.0f} % of a core, memory at most {max(run.memory_mb):.0f} MB")


def connections() -> None:
    server = subprocess.Popen(
        ["taskset", "-c", SERVER_CORE, sys.executable, "-c", SLOW_SERVER],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    try:
        server.stdout.readline()
        run = watch(
            f"http://127.0.0.1:{SLOW_PORT}/",
            *("--rate", "5000", "--for", "20s", "--connections", "12000"),
        )
    finally:
        server.terminate()
        server.wait()
    describe(f"5,000/s, every answer after {DELAY_S:g} s", run)


def bodies() -> None:
    with tempfile.TemporaryDirectory() as directory, nginx():
        for number in range(20):
            content = random.Random(number).randbytes(100_000)
            (Path(directory) / f"{number:02}.jpg").write_bytes(content)
        run = watch(URL, "--rate", "1000", "--for", "20s", "--body", directory)
    describe("bodies of 100 KB at 1,000/s", run)


def long() -> None:
    with nginx():
        run = watch(URL, "--rate", "20000", "--for", "10m")
    describe("10 minutes at 20,000/s", run)
    after = run.memory_mb[60:]
    print(f"  memory after the first minute {min(after):.1f} to {max(after):.1f} MB")
    for name in ("offered", "sent", "completed"):
        total = sum(point[name] for point in run.points)
        print(f"  {name}: sum of intervals {total:,}, result {run.result[name]:,}")


def workers() -> None:
    with nginx():
        for count in (1, 2):
            run = watch(
                URL, "--rate", "30000", "--for", "10s", "--workers", str(count), cores="0,1"
            )
            cpu_s = sum(point["cpu_percent"] * point["interval_s"] for point in run.points) / 100
            describe(f"{count} worker(s) at 30,000/s, nginx on one of the same cores", run)
            print(f"  {1e6 * cpu_s / run.result['sent']:.1f} µs of CPU a request")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["connections", "bodies", "long", "workers"])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    {"connections": connections, "bodies": bodies, "long": long, "workers": workers}[
        parser.parse_args().what
    ]()


if __name__ == "__main__":
    main()
