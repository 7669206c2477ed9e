"""Ideal queues: what a service without any overhead would make of the very same arrivals.

    python -m benchmarks.serving.queueing    # holds the simulation to theory

A queue in front of c servers, first come, first served, is simulated exactly: each arrival goes
to the server that is free first (Kiefer and Wolfowitz 1955; for one server Lindley 1952).
"""

import heapq
import math
import sys

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def latencies_s(arrivals_s: Floats, services_s: Floats, servers: int) -> Floats:
    """Time from arrival to departure, float64 [n], s.

    `arrivals_s`: rising instants, float64 [n], s. `services_s`: what each takes, float64 [n], s.
    """
    free_s = [-math.inf] * servers
    done_s = np.empty(len(arrivals_s))
    for index, (arrival_s, service_s) in enumerate(
        zip(arrivals_s.tolist(), services_s.tolist(), strict=True)
    ):
        done_s[index] = end_s = max(arrival_s, free_s[0]) + service_s
        heapq.heapreplace(free_s, end_s)
    return done_s - arrivals_s


def waits_no_longer_md1(wait_s: float, rate_per_s: float, service_s: float) -> float:
    """P(W <= wait_s) of M/D/1 (Erlang 1909), with D the service time and L the rate:

    (1 - LD) sum over k from 0 to floor(t/D) of (-L(t - kD))^k / k! exp(L(t - kD))

    Its terms alternate: good for a few dozen service times.
    """
    terms = []
    for k in range(math.floor(wait_s / service_s) + 1):
        x = rate_per_s * (wait_s - k * service_s)
        terms.append((-x) ** k / math.factorial(k) * math.exp(x))
    return (1 - rate_per_s * service_s) * math.fsum(terms)


def waits_no_longer_mmc(wait_s: float, rate_per_s: float, service_s: float, servers: int) -> float:
    """P(W <= wait_s) of M/M/c: 1 - C exp(-(c/S - L) t), with Erlang's C (Erlang 1917)."""
    load = rate_per_s * service_s
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    wait = last / (sum(load**k / math.factorial(k) for k in range(servers)) + last)
    return 1 - wait * math.exp(-(servers / service_s - rate_per_s) * wait_s)


def _hold_to_theory() -> bool:
    count, service_s = 2_000_000, 1.0
    rng = np.random.default_rng(1)
    worst = 0.0
    print("| queue | t/S | P(W <= t), theory | simulated |")
    print("| --- | --- | --- | --- |")
    for name, servers, utilisation in (("M/D/1", 1, 0.7), ("M/M/2", 2, 0.7), ("M/M/8", 8, 0.9)):
        rate_per_s = utilisation * servers / service_s
        arrivals_s = np.cumsum(rng.exponential(1 / rate_per_s, count))
        services_s = np.full(count, service_s)
        if name != "M/D/1":
            services_s = rng.exponential(service_s, count)
        waits_s = latencies_s(arrivals_s, services_s, servers) - services_s
        for wait_s in (0.0, 0.5, 1.0, 2.0, 5.0, 8.0):
            theory = (
                waits_no_longer_md1(wait_s, rate_per_s, service_s)
                if name == "M/D/1"
                else waits_no_longer_mmc(wait_s, rate_per_s, service_s, servers)
            )
            # Waiting times carry the rounding of instants a million times as large.
            simulated = float(np.mean(waits_s <= wait_s + 1e-6))
            worst = max(worst, abs(theory - simulated))
            print(f"| {name} at {utilisation} | {wait_s} | {theory:.4f} | {simulated:.4f} |")
    print(f"worst difference {worst:.4f}")
    return worst < 0.005


if __name__ == "__main__":
    sys.exit(0 if _hold_to_theory() else 1)
