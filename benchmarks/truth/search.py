"""Searches of simulated services whose highest rate is known: the table of docs/truth.md.

    python -m benchmarks.truth.search [--searches 100] [--kinds M/D/1,stalls] [--rates 20,200,2000]

Simulated time, so a search takes about a second; each service's exact rate is `LOAD` of what it
serves at most. The queue of a service carries over from one rate to the next.
"""

import argparse
import math
import sys
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.optimize import brentq

from tests.kit import queues, services
from tests.kit.searches import play

LOAD = 0.8
_QUEUES = queues.KINDS
_OTHERS = ("stalls", "contention", "sharing")
_LONG_S = 20_000.0
"""Of a run that shows the share over a bound where no formula does."""


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of service that serves `most_per_s` on average."""

    kind: str
    most_per_s: float

    def service(self, seed: int, until_s: float = 400.0) -> services.Service:
        """One of them."""
        mean_s = 1 / self.most_per_s
        exponential = services.exponential(mean_s)
        if self.kind == "M/D/1":
            return services.Queue(services.constant(mean_s), seed)
        if self.kind == "M/D/4":
            return services.Queue(services.constant(4 * mean_s), seed, servers=4)
        if self.kind == "M/H/1":
            return services.Queue(services.hyperexponential(mean_s), seed)
        if self.kind == "stalls":
            speed = services.stalls(seed, for_s=0.25, until_s=until_s)
            return services.Queue(exponential, seed, speed=speed)
        if self.kind == "contention":
            speed = services.contention(seed, tau_s=2.0, sigma=0.1, until_s=until_s)
            return services.Queue(exponential, seed, speed=speed)
        if self.kind == "sharing":
            return services.Sharing(exponential, seed)
        return services.Queue(exponential, seed)

    @property
    def exact_per_s(self) -> float:
        """The rate at which one in a hundred is over `bound_s`."""
        return LOAD * self.most_per_s


@cache
def bound_s(case: Case) -> float:
    """The p99 at the exact rate: by formula, or of a long run."""
    rate = case.exact_per_s
    kind = next((kind for kind in _QUEUES if kind == case.kind), None)
    if kind is not None:
        queue = queues.Queue(kind, rate, LOAD)
        highest = 500 / case.most_per_s
        return float(brentq(lambda bound: queue.share_over(bound) - 0.01, 1e-6, highest))
    n = int(min(rate * _LONG_S, 3e6 if case.kind != "sharing" else 4e5))
    latencies = []
    for seed in range(3):
        gaps = np.random.default_rng([7, seed]).exponential(1 / rate, n)
        service = case.service(1_000_000 + seed, 1.1 * n / rate)
        latencies.append(service.latencies_s(np.cumsum(gaps)))
    return float(np.quantile(np.concatenate(latencies), 0.99))


def main() -> None:
    """Search, and print a row for each kind and rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--searches", type=int, default=100)
    parser.add_argument("--kinds", default=",".join((*_QUEUES, *_OTHERS)))
    parser.add_argument("--rates", default="20,200,2000")
    given = parser.parse_args()
    print(
        "| service | at most | exact | p99 < | too high by 2 % | rmse | within the interval "
        "| certified / exact | half the interval | none | seconds |\n|" + " --- |" * 11
    )
    for kind in given.kinds.split(","):
        for most in given.rates.split(","):
            case = Case(kind, float(most))
            bound = bound_s(case)
            exact = case.exact_per_s
            found = [
                play(case.service(seed), [f"p99<{bound * 1e3:.6f}ms"], seed).answer
                for seed in range(given.searches)
            ]
            told = [a for a in found if a.rate_per_s and a.estimate_per_s and a.interval_per_s]
            errors = [math.log((a.estimate_per_s or exact) / exact) for a in told]
            certified = np.array([(a.rate_per_s or 0.0) / exact for a in told])
            ends = np.array([a.interval_per_s or (0.0, 0.0) for a in told])
            covered = np.mean((ends[:, 0] <= exact) & (exact <= ends[:, 1]))
            half = np.median(np.log(ends[:, 1] / ends[:, 0])) / 2
            print(
                f"| {kind} | {most}/s | {exact:g}/s | {bound * 1e3:.4g} ms "
                f"| {100 * np.mean(certified > 1.02):.0f} % "
                f"| {100 * np.sqrt(np.mean(np.square(errors))):.1f} % | {100 * covered:.0f} % "
                f"| {np.median(certified):.2f} | {100 * half:.0f} % | {len(found) - len(told)} "
                f"| {np.median([a.spent_s for a in found]):.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    sys.exit(main())
