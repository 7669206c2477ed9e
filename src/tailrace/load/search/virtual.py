"""The service as a queue: what each request cost it, and what other arrivals would have met.

Where c servers take requests in order, the k-th begins when it arrives or when the c-th largest of
the departures before it is past, whichever is later; what it then takes until its own departure is
its service time (Lindley 1952 and Kiefer and Wolfowitz 1955, read backwards). So every answer tells
a service time, waited or not.

These service times, in the order in which they came, are served again under fresh arrivals of any
rate, many times over. The share over the bound becomes its expectation given the service times:
the chance of the arrivals is averaged out (Rao–Blackwell), and what remains is the chance of the
service times, whose order, so whose dependence, is kept: contention, a stall, a slow minute.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tailrace.load.search.block import Floats

_MOST_SERVERS = 256
_LEAST_WAITED = 12
"""Requests that waited, and that did not, for the number of servers to be told."""
_SURE = 4.0
"""Standard errors."""
_SAMPLE = 10_000
"""Of the last requests, to tell the number of servers by."""
_STRIDE = 1000
"""Requests a row of the matrix that is served at once, where there are several servers."""


Gaps = Callable[[int, int], Floats]
"""Draws unit gaps of the arrivals: float64 [replicas, n]."""


def exponential_gaps(replicas: int, count: int) -> Floats:
    """Of Poisson arrivals."""
    return np.random.default_rng(1).exponential(size=(replicas, count))


@dataclass(frozen=True, slots=True)
class VirtualQueue:
    """A queue that took the requests in order.

    Attributes:
        servers: How many requests it works on at a time.
        overhead_s: What an answer takes beside: on the way, without holding a server.
        service_s: float64 [n] in order of arrival; 0 for a failure.
        failed: bool [n].
        disorder: The share of answers that came before their request could have begun: what is
            not such a queue has many.
        stalls_s: float64 [k], for how long it did nothing at all; no part of `service_s`.
        stalls_per_s: How often.
        dependent: Its service times surely depend on their neighbours.
        swing: By what share they come and go together.
    """

    servers: int
    overhead_s: float
    service_s: Floats
    failed: NDArray[np.bool_]
    disorder: float
    stalls_s: Floats = field(default_factory=lambda: np.empty(0))
    stalls_per_s: float = 0.0
    dependent: bool = False
    swing: float = 0.0

    def responses_s(self, rate_per_s: float, gaps: Floats, shuffled: bool) -> Floats:
        """float64 [r, n]: what each request takes at a rate, inf for a failure.

        `gaps` float64 [r, n] are unit gaps between arrivals, of r replicas that follow each other
        without a pause. `shuffled`: each has the service times in an order of its own.
        """
        service = np.where(self.failed, np.inf, self.service_s)
        replicas = np.broadcast_to(service, gaps.shape)
        if shuffled:
            replicas = np.random.default_rng(2).permuted(replicas, axis=1)
        flat = replicas.ravel()
        taken = np.where(np.isinf(flat), 0.0, flat)
        stalls = round(len(flat) / rate_per_s * self.stalls_per_s)
        if stalls:
            # As often as they come by the clock, however many requests come.
            at = (np.arange(stalls) + 0.5) * len(flat) / stalls
            taken[at.astype(int)] += np.resize(self.stalls_s, stalls)
        wait = _waits(taken, gaps.ravel() / rate_per_s, self.servers)
        return np.asarray(
            (wait + np.where(np.isinf(flat), flat, taken) + self.overhead_s).reshape(gaps.shape)
        )

    def capacity_per_s(self) -> float:
        """What it serves at most."""
        mean = float(self.service_s.mean())
        return self.servers / mean if mean > 0 else np.inf

    def of(self, chosen: NDArray[np.bool_]) -> "VirtualQueue":
        """The same queue, as some of the requests have seen it."""
        return replace(self, service_s=self.service_s[chosen], failed=self.failed[chosen])


def recognise(intended_s: Floats, latency_s: Floats) -> VirtualQueue | None:
    """The queue that explains latencies (inf: failed); None where too few waited, or all did.

    The number of servers is the one by which those that waited were served no faster and no
    slower than those that did not.
    """
    failed = ~np.isfinite(latency_s)
    arrived = intended_s[~failed]
    left = arrived + latency_s[~failed]
    if len(arrived) < 2 * _LEAST_WAITED:
        return None
    servers, overhead = _servers(arrived[-_SAMPLE:], left[-_SAMPLE:])
    if not servers:
        return None
    start = _starts(arrived, left - overhead, servers)
    service = left - overhead - start
    typical = float(np.median(latency_s[~failed]))
    whole = np.zeros(len(latency_s))
    whole[~failed] = np.maximum(service, 0.0)
    disorder = float(np.mean(service < -0.02 * typical))
    return VirtualQueue(servers, overhead, whole, failed, disorder)


def _servers(arrived: Floats, left: Floats) -> tuple[int, float]:
    """How many servers, 0 if that is not to be told, and the time of an answer that holds none."""
    known: dict[int, tuple[float, float]] = {}

    def slower(servers: int) -> tuple[float, float]:
        """By how much those that waited were served slower, and its standard error."""
        if servers not in known:
            start = _starts(arrived, left, servers)
            waited = start > arrived
            slow, quick = (left - start)[waited], (left - start)[~waited]
            # With far too few servers all wait, with far too many none does.
            known[servers] = (-np.inf if len(quick) < _LEAST_WAITED else np.inf, 1.0)
            if min(len(slow), len(quick)) >= _LEAST_WAITED:
                error = np.sqrt(np.var(slow) / len(slow) + np.var(quick) / len(quick))
                known[servers] = (float(slow.mean() - quick.mean()), max(float(error), 1e-12))
        return known[servers]

    low, high = 0, 1
    while slower(high)[0] < 0 and high < _MOST_SERVERS:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if slower(middle)[0] < 0 else (low, middle)
    servers, overhead = high, 0.0
    if low:
        below, above = slower(low), slower(high)
        if np.isfinite(below[0]) and min(-below[0] / below[1], above[0] / above[1]) > _SURE:
            # Neither: a part of each answer holds no server.
            quickest = float((left - arrived).min())
            servers, overhead = low, min(-below[0], quickest)
        elif np.isinf(above[0]) or -below[0] * above[1] < above[0] * below[1]:
            servers = low
    return (servers if np.isfinite(slower(servers)[0]) else 0), overhead


def _starts(arrived: Floats, left: Floats, servers: int) -> Floats:
    """When each request began to be served."""
    if servers == 1:
        free = np.maximum.accumulate(np.concatenate(([-np.inf], left[:-1])))
        return np.maximum(arrived, free)
    latest = [-np.inf] * servers
    free = np.empty(len(left))
    for k, departure in enumerate(left.tolist()):
        free[k] = latest[0]
        if departure > latest[0]:
            heapq.heapreplace(latest, departure)
    return np.maximum(arrived, free)


def _waits(service: Floats, gaps: Floats, servers: int) -> Floats:
    """float64 [n], with `gaps` before each arrival."""
    if servers == 1:
        steps = np.concatenate(([0.0], service[:-1] - gaps[1:]))
        walk = np.cumsum(steps)
        return np.asarray(walk - np.minimum.accumulate(walk))
    # By rows of so many requests, all served side by side, each after so many of the requests
    # before it that where it began is forgotten.
    n = len(service)
    lead = max(400, 40 * servers)
    rows = -(-n // _STRIDE)
    # Before the first request the sequence goes on with its end.
    index = (np.arange(rows)[:, None] * _STRIDE - lead + np.arange(lead + _STRIDE)) % n
    columns, spaces = service[index].T.copy(), gaps[index].T.copy()
    work = np.zeros((rows, servers))
    waits = np.empty((lead + _STRIDE, rows))
    for k, (takes, gap) in enumerate(zip(columns, spaces, strict=True)):
        work -= gap[:, None]
        np.maximum(work, 0.0, out=work)
        waits[k] = work[:, 0]
        work[:, 0] += takes
        work.sort(axis=1)
    return np.ascontiguousarray(waits[lead:].T).ravel()[:n]
