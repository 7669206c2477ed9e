"""Requests a second of one load worker on one core, against wrk and hey, nginx on the other core.

    python benchmarks/peak_rate.py [--rounds 5] [--seconds 5] [--connections 64] [--server-timing]

With --server-timing each answer names the eight stages of our service; only Tailrace reads them.
wrk and hey run closed loop. Tailrace is asked for more than it can send, so what it completes a
second is its peak; its open-loop bookkeeping (schedule, intended times, histograms) is all on.
"""

import argparse
import re
import statistics
import sys

from common import URL, need, nginx, run, saturated_per_s, spread

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
    return saturated_per_s(URL, OFFERED, connections, seconds, "--arrivals", "poisson")


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
