"""How often rounds of two simulated services find a difference, and how often they see one where
none is: the tables of docs/truth.md.

    python -m benchmarks.truth.rounds [--count 400]

One server each, idle at the start of each turn, Poisson arrivals of 100/s that both sides of a
round meet alike; each turn's service time is moved by a factor of its own, as restarts and drift
move real ones.
"""

import argparse

import numpy as np

from tailrace.runs.compare.compare import compare_series
from tests.kit.queues import poisson
from tests.runs.compare.synthetic import Service, share_told, sides, turn

SERVICES: dict[str, Service] = {
    "M/D/1": "constant",
    "service of CV 0.3": "gamma",
    "M/M/1": "exponential",
}
LOADS = (0.1, 0.5, 0.7)
WHOLE_S = 60


def row(service: Service, load: float, count: int, **of: float) -> dict[str, float]:
    """In how many of so many comparisons each figure is called different."""
    random = np.random.default_rng(7)
    made = {"each_s": WHOLE_S / of["runs"], **of}
    paired = bool(made.get("paired", True))
    return share_told(
        compare_series(*sides(random, service, load=load, **made), paired=paired)  # type: ignore[arg-type]
        for _ in range(count)
    )


def table(title: str, count: int, configurations: dict[str, dict[str, float]]) -> None:
    """Print one, mean / p50 / p99 in per cent."""
    print(f"\n{title}; mean / p50 / p99 in %, {count} each\n")
    print("| service | load |" + "".join(f" {name} |" for name in configurations))
    print("| --- | --- |" + " --- |" * len(configurations))
    for name, service in SERVICES.items():
        for load in LOADS:
            cells = []
            for of in configurations.values():
                found = row(service, load, count, **of)
                cells.append(" / ".join(f"{100 * share:.0f}" for share in found.values()))
            print(f"| {name} | {load} | " + " | ".join(cells) + " |", flush=True)


def alone(count: int) -> None:
    """Print how often one run a side is called different where nothing is, or not told."""
    print(f"\nOne run a side, equal; told different of those told, and told; in %, {count} each\n")
    print("| service | load | mean | p50 | p99 |\n| --- | --- | --- | --- | --- |")
    for name, service in SERVICES.items():
        for load in LOADS:
            random = np.random.default_rng(7)
            found = []
            for _ in range(count):
                pair = [
                    turn(
                        *(random, service, poisson(random, 100, WHOLE_S), load / 100),
                        stretches=WHOLE_S,
                    )
                    for _ in "ab"
                ]
                found.append(compare_series(pair[:1], pair[1:]).by_name)
            cells = []
            for figure in ("mean", "p50", "p99"):
                judged = [one[figure].more_than_noise for one in found]
                told = len(judged) - judged.count(None)
                cells.append(f"{100 * judged.count(True) / max(told, 1):.0f}, {told / count:.0%}")
            print(f"| {name} | {load} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=400, help="comparisons for each figure")
    count = parser.parse_args().count
    alone(count)
    one = {"moved": 0.01}
    table(
        "Service time moves by 1 % from run to run",
        count,
        {
            "3 against 3, equal": {**one, "runs": 3, "paired": False},
            "5 rounds, equal": {**one, "runs": 5},
            "5 rounds, 5 % slower": {**one, "runs": 5, "slower": 1.05},
            "12 rounds, 5 % slower": {**one, "runs": 12, "slower": 1.05},
        },
    )
    three = {"moved": 0.03}
    table(
        "Service time moves by 3 % from run to run",
        count,
        {
            f"{runs} rounds of {WHOLE_S / runs:g} s, {'10 % slower' if slower > 1 else 'equal'}": {
                **three,
                "runs": runs,
                "slower": slower,
            }
            for slower in (1.0, 1.1)
            for runs in (4, 12, 30)
        },
    )


if __name__ == "__main__":
    main()
