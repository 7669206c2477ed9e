"""Requests a second of one load worker on one core, against wrk and hey, nginx on the other core.

    python benchmarks/peak_rate.py [--rounds 5] [--seconds 5] [--connections 64] [--server-timing]

With --server-timing each answer names the eight stages of our service; only Tailrace reads them.
wrk and hey run closed loop. Tailrace is asked for more than it can send, so what it completes a
second is its peak; its open-loop bookkeeping (schedule, intended times, histograms) is all on.
"""

import argparse
import json
import re
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from common import CLIENT_CORE, URL, need, nginx, run, spread

OFFERED = 150_000
"""More than one core can send."""

SERVER_TIMING = (
    "Server-Timing: receive;dur=0.1204, queue;dur=0.0310, batch-wait;dur=0.0000, "
    "decode;dur=1.8420, preprocess;dur=0.4411, infer;dur=12.0452, postprocess;dur=0.2033, "
    "send;dur=0.0180"
)


def wrk(seconds: int, connections: int) -> float:
    out = run("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", URL)
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])  # type: ignore[index]


def hey(seconds: int, connections: int) -> float:
    out = run("hey", "-z", f"{seconds}s", "-c", str(connections), "-cpus", "1", URL)
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])  # type: ignore[index]


def tailrace(seconds: int, connections: int) -> float:
    with tempfile.TemporaryDirectory() as directory:
        process = subprocess.Popen(
            [
                *("taskset", "-c", CLIENT_CORE, sys.executable, "-m", "tailrace", "load", URL),
                *("--rate", str(OFFERED), "--connections", str(connections), "--for", "10m"),
                *("--timeout", "1h", "--out", directory + "/run"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        lines = 0
        while lines < seconds + 1:
            lines += "RPS" in process.stderr.readline()
        # Twice: what waits behind the full connections is not waited for.
        process.send_signal(signal.SIGINT)
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        timeline = (Path(directory) / "run" / "timeline.jsonl").read_text().splitlines()
    points = [json.loads(line) for line in timeline][1 : seconds + 1]
    return float(sum(p["completed"] for p in points) / sum(p["interval_s"] for p in points))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--server-timing", action="store_true")
    arguments = parser.parse_args()
    headers = [SERVER_TIMING] if arguments.server_timing else []
    need("wrk", "hey")
    tools = {"wrk": wrk, "hey": hey, "tailrace": tailrace}
    rates: dict[str, list[float]] = {name: [] for name in tools}
    with nginx(*headers):
        for number in range(1, arguments.rounds + 1):
            for name, tool in tools.items():
                rates[name].append(tool(arguments.seconds, arguments.connections))
            print(f"round {number} of {arguments.rounds}", file=sys.stderr)
    print(f"| tool | requests/s, median of {arguments.rounds} (min-max) | × wrk | × hey |")
    print("| --- | --- | --- | --- |")
    for name, values in rates.items():
        ratios = [
            statistics.median(a / b for a, b in zip(values, rates[peer], strict=True))
            for peer in ("wrk", "hey")
        ]
        print(f"| {name} | {spread(values)} | {ratios[0]:.2f} | {ratios[1]:.2f} |")


if __name__ == "__main__":
    main()
