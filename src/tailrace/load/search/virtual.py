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
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailrace.load.search.block import Floats
from tailrace.load.search.goal import Goal

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
    """

    servers: int
    overhead_s: float
    service_s: Floats
    failed: NDArray[np.bool_]
    disorder: float

    def scores(self, goal: Goal, rate_per_s: float, gaps: Floats) -> Floats:
        """float64 [n]: the expected score of each request at a rate, given the service times.

        `gaps` float64 [r, n] are unit gaps between arrivals, of r replicas.
        """
        wait = _waits(self.service_s, gaps / rate_per_s, self.servers)
        response = wait + self.service_s + self.overhead_s
        response[:, self.failed] = np.inf
        return np.asarray(goal.scores(response).mean(axis=0))

    def capacity_per_s(self) -> float:
        """What it serves at most."""
        mean = float(self.service_s.mean())
        return self.servers / mean if mean > 0 else np.inf

    def of(self, chosen: NDArray[np.bool_]) -> "VirtualQueue":
        """The same queue, as some of the requests have seen it."""
        return VirtualQueue(
            self.servers,
            self.overhead_s,
            self.service_s[chosen],
            self.failed[chosen],
            self.disorder,
        )


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
            known[servers] = (np.nan, np.nan)
            if min(len(slow), len(quick)) >= _LEAST_WAITED:
                error = np.sqrt(np.var(slow) / len(slow) + np.var(quick) / len(quick))
                known[servers] = (float(slow.mean() - quick.mean()), float(error))
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
        unknown = np.isnan(above[0])
        if below[0] < -_SURE * below[1] and (unknown or above[0] > _SURE * above[1]):
            # Neither: a part of each answer holds no server.
            quickest = float((left - arrived).min())
            servers, overhead = low, min(-below[0], quickest)
        elif unknown or -below[0] * above[1] < above[0] * below[1]:
            servers = low
    return (0 if np.isnan(slower(servers)[0]) else servers), overhead


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
    """float64 [r, n], of replicas with gaps [r, n] before each arrival."""
    if servers == 1:
        steps = np.zeros_like(gaps)
        steps[:, 1:] = service[:-1] - gaps[:, 1:]
        walk = np.cumsum(steps, axis=1)
        return np.asarray(walk - np.minimum.accumulate(walk, axis=1))
    return _folded(service, gaps, servers)


def _folded(service: Floats, gaps: Floats, servers: int) -> Floats:
    """The same by rows of `_STRIDE` requests, all served side by side, each after so many of the
    requests before it that where it began is forgotten."""
    replicas, n = gaps.shape
    lead = min(n, max(300, 40 * servers))
    rows = -(-n // _STRIDE)
    length = lead + (n if rows == 1 else _STRIDE)
    # Before the first request the sequence goes on with its end.
    index = (np.arange(rows)[:, None] * _STRIDE - lead + np.arange(length)) % n
    s = np.broadcast_to(service[index], (replicas, rows, length)).reshape(-1, length)
    g = gaps[:, index].reshape(-1, length)
    work = np.zeros((len(s), servers))
    waits = np.empty((length, len(s)))
    for k in range(length):
        work -= g[:, k, None]
        np.maximum(work, 0.0, out=work)
        waits[k] = work[:, 0]
        work[:, 0] += s[:, k]
        work.sort(axis=1)
    kept = waits[lead:].T.reshape(replicas, rows * (length - lead))
    return np.ascontiguousarray(kept[:, :n])
