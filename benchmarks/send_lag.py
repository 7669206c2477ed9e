"""How late requests leave: send lag of one worker on one core, nginx on the other core.

python benchmarks/send_lag.py [--rounds 3] [--seconds 5] [--rates 1000,10000,20000]
"""

import argparse
import json
import sys
import tempfile

from common import URL, nginx, run, spread


def measure(rate: int, seconds: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as directory:
        out = run(
            *(sys.executable, "-m", "tailrace", "load", URL, "--json", "--rate", str(rate)),
            *("--for", f"{seconds}s", "--out", directory + "/run"),
        )
        with open(directory + "/run/timeline.jsonl") as lines:  # noqa: PTH123
            points = [json.loads(line) for line in lines]
    result = json.loads(out)
    return {
        "sent/s": result["rate"]["sent"],
        "lag p50 µs": result["send_lag_us"]["p50"],
        "lag p99 µs": result["send_lag_us"]["p99"],
        "latency p50 µs": result["latency_ms"]["p50"] * 1000,
        "latency p99 µs": result["latency_ms"]["p99"] * 1000,
        "CPU %": sum(p["cpu_percent"] for p in points) / len(points),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rates", default="1000,10000,20000,40000")
    arguments = parser.parse_args()
    rates = [int(rate) for rate in arguments.rates.split(",")]
    rounds: dict[int, list[dict[str, float]]] = {rate: [] for rate in rates}
    with nginx():
        for number in range(1, arguments.rounds + 1):
            for rate in rates:
                rounds[rate].append(measure(rate, arguments.seconds))
            print(f"round {number} of {arguments.rounds}", file=sys.stderr)
    names = list(rounds[rates[0]][0])
    print("| Poisson rate | " + " | ".join(names) + " |")
    print("| --- " * (len(names) + 1) + "|")
    for rate, measured in rounds.items():
        cells = [spread([figures[name] for figures in measured]) for name in names]
        print(f"| {rate:,} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
