"""`tailrace find` on real servers whose highest rate is known exactly: the table of docs/truth.md.

    python -m benchmarks.truth.searches [--rounds 5] [--for 60s]

Each server works on one request at a time, for a time that is constant or drawn, and answers when
theory says so, whatever its process does meanwhile (tests/kit/queue_server.py).
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import brentq

from tests.kit import queue_server
from tests.kit.queues import Kind, Queue

_REQUESTS = 600_000
"""More than any search sends here."""


@dataclass(frozen=True, slots=True)
class Target:
    """A queue and the bound of its p99."""

    kind: Kind
    service_s: float
    bound_ms: float

    @property
    def exact_per_s(self) -> float:
        """The rate at which one in a hundred is over the bound."""

        def beyond(load: float) -> float:
            queue = Queue(self.kind, load / self.service_s, load)
            return queue.share_over(self.bound_ms / 1e3) - 0.01

        return float(brentq(beyond, 0.05, 0.99)) / self.service_s

    @contextlib.contextmanager
    def serving(self, seed: int) -> Iterator[str]:
        """The URL of such a server."""
        services_s = np.full(_REQUESTS, self.service_s)
        if self.kind == "M/M/1":
            # Not of the arrivals' own draws, which are those of the seed alone.
            random = np.random.default_rng([seed, 99])
            services_s = random.exponential(self.service_s, _REQUESTS)
        behaviour = queue_server.Behaviour(
            (services_s * 1e9).astype(np.int64), np.zeros(_REQUESTS, np.int8), one_at_a_time=True
        )
        with tempfile.TemporaryDirectory(prefix="tailrace-truth-") as directory:
            given = Path(directory, "behaviour.npz")
            np.savez(given, **asdict(behaviour))
            command = [sys.executable, queue_server.__file__, str(given), f"{directory}/log.npy"]
            pipe = subprocess.PIPE
            with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as server:
                assert server.stdin is not None
                assert server.stdout is not None
                yield f"http://127.0.0.1:{server.stdout.readline().strip()}/"
                server.stdin.close()


TARGETS = (
    Target("M/D/1", 5e-3, 50),
    Target("M/M/1", 5e-3, 100),
    Target("M/D/1", 20e-3, 200),
    Target("M/D/1", 1e-3, 20),
)


def search(url: str, target: Target, for_: str, seed: int) -> tuple[dict[str, Any], float]:
    """What one search finds, and the seconds that it takes, its start included."""
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tailrace-truth-") as directory:
        finished = subprocess.run(
            [
                *(sys.executable, "-m", "tailrace", "find", url, "--json", "--for", for_),
                *("--slo", f"p99<{target.bound_ms:g}ms", "--seed", str(seed), "--method", "POST"),
                *("--data", "0", "--out", f"{directory}/find"),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    return json.loads(finished.stdout), time.monotonic() - began_s


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--for", default="60s", dest="for_", help="as `tailrace find` takes it")
    parser.add_argument("--only", type=int, help="this row alone, from 1 on")
    given = parser.parse_args()
    print("| server | p99 below | exact | certified | estimates | off by, % | inside | s | late |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for number, target in enumerate(TARGETS, 1):
        if given.only not in (None, number):
            continue
        exact = target.exact_per_s
        rows = []
        for seed in range(1, given.rounds + 1):
            with target.serving(seed) as url:
                rows.append(search(url, target, given.for_, seed))
        found = [each for each, _ in rows if each["estimate_per_s"] is not None]
        inside = sum(low <= exact <= high for low, high in (f["interval_per_s"] for f in found))
        steps = [step["decision"] for each, _ in rows for step in each["steps"]]
        cells = (
            f"{target.kind}, {1e3 * target.service_s:g} ms",
            f"{target.bound_ms:g} ms",
            f"{exact:.1f}",
            ", ".join(f"{each['rate_per_s']:.1f}" for each in found),
            ", ".join(f"{each['estimate_per_s']:.1f}" for each in found),
            ", ".join(f"{100 * (each['estimate_per_s'] / exact - 1):+.1f}" for each in found),
            f"{inside} of {len(rows)}",
            f"{max(seconds for _, seconds in rows):.0f}",
            f"{steps.count('late')} of {len(steps)}",
        )
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
