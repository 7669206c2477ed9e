"""Services whose latencies are known exactly, simulated: what a method says of them can be checked.

Each `draw`s runs in its steady state and knows the share of all latencies above any time. Nothing
here looks at a clock or a machine.
"""

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
import scipy
from numpy.typing import NDArray

from tailrace.load.judge.stretches import Stretches
from tailrace.load.measure.histogram import SIZE, Histogram, bucket_of
from tailrace.load.measure.measurement import Measurement

Floats = NDArray[np.float64]
Kind = Literal["M/M/1", "M/D/1", "M/D/4", "M/H/1"]
KINDS: tuple[Kind, ...] = ("M/M/1", "M/D/1", "M/D/4", "M/H/1")
LOADS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, slots=True)
class Requests:
    """The requests of a run, in order: float64 [n] each, in seconds."""

    intended_s: Floats
    latency_s: Floats


class Service(Protocol):
    """A service under a load of its own."""

    @property
    def rate_per_s(self) -> float:
        """Of the arrivals."""

    def draw(self, rng: np.random.Generator, for_s: float) -> Requests:
        """A run of that length."""

    def share_over(self, bound_s: float) -> float:
        """Of all latencies, exactly."""


@dataclass(frozen=True)
class Queue:
    """Poisson arrivals in a queue, first come first served: `M/M/1`, `M/D/1`, `M/D/4`, or `M/H/1`
    with hyperexponential service of balanced means, whose coefficient of variation is 2.

    `slower` is how many times as long service takes from the middle of a run on: what is known
    exactly is then said of the first half.
    """

    kind: Kind
    rate_per_s: float
    load: float
    slower: float = 1.0

    @property
    def servers(self) -> int:
        """How many serve one queue."""
        return int(self.kind[-1])

    @property
    def service_s(self) -> float:
        """The mean time of service."""
        return self.load * self.servers / self.rate_per_s

    @property
    def relaxation_s(self) -> float:
        """How long M/M/1 takes to forget its state: 1 / (μ (1 − √ρ)²) (Cohen 1982)."""
        return self.service_s / self.servers / (1 - math.sqrt(self.load)) ** 2

    def draw(self, rng: np.random.Generator, for_s: float) -> Requests:
        """A run of that length, after one long enough to forget that it began empty."""
        warm_s = 8 * self.relaxation_s
        arrivals = poisson(rng, self.rate_per_s, warm_s + for_s)
        services = self._services(rng, len(arrivals))
        services[arrivals > warm_s + for_s / 2] *= self.slower
        latency = fifo(arrivals, services, self.servers)
        kept = arrivals >= warm_s
        return Requests(arrivals[kept] - warm_s, latency[kept])

    def share_over(self, bound_s: float) -> float:
        """Of all latencies, exactly."""
        return self._over(bound_s)

    def _services(self, rng: np.random.Generator, count: int) -> Floats:
        mean_s = self.service_s
        if "D" in self.kind:
            return np.full(count, mean_s)
        if "M/M" in self.kind:
            return rng.exponential(mean_s, count)
        first, _ = shares = _balanced()
        phase = np.where(rng.random(count) < first, *shares)
        return rng.exponential(mean_s / 2, count) / phase

    @cached_property
    def _over(self) -> Callable[[float], float]:
        mean_s, rate = self.service_s, self.rate_per_s
        if "D" in self.kind:
            return _constant_service(rate, mean_s, self.servers)
        if "M/M" in self.kind:
            return lambda x_s: math.exp((rate - 1 / mean_s) * max(x_s, 0.0))
        return _hyperexponential_service(rate, mean_s)


@dataclass(frozen=True)
class Modulated:
    """Lognormal latencies whose level wanders: an AR(1) process that forgets within
    `correlation_s`."""

    rate_per_s: float
    correlation_s: float = 5.0
    own: float = 0.5
    common: float = 0.7
    """Standard deviations of the logarithm: each request's own, and that of the level."""

    def draw(self, rng: np.random.Generator, for_s: float) -> Requests:
        """A run of that length."""
        step_s = self.correlation_s / 50
        kept = math.exp(-step_s / self.correlation_s)
        level = np.empty(int(for_s / step_s) + 1)
        level[0] = rng.normal()
        for place, shock in enumerate(rng.normal(size=len(level) - 1) * math.sqrt(1 - kept**2)):
            level[place + 1] = kept * level[place] + shock
        arrivals = poisson(rng, self.rate_per_s, for_s)
        logs = self.common * level[(arrivals / step_s).astype(int)]
        return Requests(arrivals, np.exp(logs + self.own * rng.normal(size=len(arrivals))))

    def share_over(self, bound_s: float) -> float:
        """Of all latencies, exactly."""
        return float(scipy.special.ndtr(-math.log(bound_s) / math.hypot(self.own, self.common)))


@dataclass(frozen=True)
class Stalling:
    """A fast service that does nothing for `stall_s` once in `every_s`, from an unknown phase on:
    what comes meanwhile waits for the end."""

    rate_per_s: float
    every_s: float = 60.0
    stall_s: float = 1.2
    service_s: float = 1e-3

    def draw(self, rng: np.random.Generator, for_s: float) -> Requests:
        """A run of that length."""
        arrivals = poisson(rng, self.rate_per_s, for_s)
        into_s = (arrivals + rng.uniform(0, self.every_s)) % self.every_s
        waiting = np.maximum(self.stall_s - into_s, 0.0)
        return Requests(arrivals, waiting + rng.exponential(self.service_s, len(arrivals)))

    def share_over(self, bound_s: float) -> float:
        """Of all latencies, exactly: outside of stalls exponential, in them uniform plus that."""
        mean_s, stall_s = self.service_s, self.stall_s
        alone = math.exp(-bound_s / mean_s)
        waited = min(bound_s, stall_s)
        stalled = 1 - waited / stall_s
        stalled += mean_s / stall_s * (math.exp((waited - bound_s) / mean_s) - alone)
        share = stall_s / self.every_s
        return share * stalled + (1 - share) * alone


def percentile_s(service: Service, percent: float) -> float:
    """The exact percentile of a service's latencies."""
    most_s = 1.0
    while service.share_over(most_s) > 1 - percent / 100:
        most_s *= 2
    return float(
        scipy.optimize.brentq(
            lambda x_s: service.share_over(x_s) - (1 - percent / 100), 1e-9, most_s, rtol=1e-9
        )
    )


def poisson(rng: np.random.Generator, rate_per_s: float, for_s: float) -> Floats:
    """Instants of a Poisson process within `for_s`, rising."""
    return np.sort(rng.random(rng.poisson(rate_per_s * for_s))) * for_s


def fifo(arrivals_s: Floats, services_s: Floats, servers: int = 1) -> Floats:
    """Latencies of requests that are served in order by `servers`, which begin idle.

    One server is Lindley's recursion, unrolled: the wait is how far the work brought in so far
    stands above its least. With equal times of service several take turns.
    """
    if servers > 1 and np.ptp(services_s) > 0:
        return _by_the_first_free(arrivals_s, services_s, servers)
    latency = np.empty(len(arrivals_s))
    for turn in range(servers):
        arrivals, services = arrivals_s[turn::servers], services_s[turn::servers]
        if len(arrivals):
            brought = np.concatenate(([0.0], np.cumsum(services[:-1] - np.diff(arrivals))))
            latency[turn::servers] = brought - np.minimum.accumulate(brought) + services
    return latency


def stretches_of(requests: Requests, for_s: float, rate_per_s: float) -> Stretches:
    """A run's intervals of a second as a session hands them on: by when requests ended."""
    ended_s = requests.intended_s + requests.latency_s
    seconds = int(for_s)
    place = np.minimum(ended_s.astype(np.int64), seconds - 1)
    times_ns = np.round(requests.latency_s * 1e9).astype(np.int64)
    keys, counts = np.unique(place * SIZE + bucket_of((times_ns + 500) // 1000), return_counts=True)
    due, done = (
        np.searchsorted(np.sort(one), np.arange(1, seconds + 1))
        for one in (requests.intended_s, ended_s)
    )
    sums_ns = np.bincount(place, times_ns, seconds)
    longest_ns = np.zeros(seconds, np.int64)
    np.maximum.at(longest_ns, place, times_ns)
    edges = np.searchsorted(keys, np.arange(1, seconds) * SIZE)
    stretches = Stretches()
    columns = (np.split(keys % SIZE, edges), np.split(counts, edges), sums_ns, longest_ns)
    for own, found, sum_ns, max_ns, waiting in zip(*columns, due - done, strict=True):
        latency = Histogram(own, found, int(sum_ns), int(max_ns))
        measured = Measurement(
            completed=latency.total, in_flight=int(waiting), series={"latency": latency}
        )
        stretches.add(measured, 1.0, rate_per_s)
    return stretches


def _by_the_first_free(arrivals_s: Floats, services_s: Floats, servers: int) -> Floats:
    free = [0.0] * servers
    latency = np.empty(len(arrivals_s))
    for place, (arrival, service) in enumerate(zip(arrivals_s, services_s, strict=True)):
        done = max(arrival, free[0]) + service
        heapq.heapreplace(free, done)
        latency[place] = done - arrival
    return latency


def _balanced(variation: float = 2.0) -> tuple[float, float]:
    """Chances of two exponential phases that bring in equally much work."""
    square = variation**2
    first = (1 + math.sqrt((square - 1) / (square + 1))) / 2
    return first, 1 - first


def _hyperexponential_service(rate: float, mean_s: float) -> Callable[[float], float]:
    """Sojourn in M/H/1: by Pollaczek and Khinchine its transform is (1 − ρ) N(s) / Q(s), N of first
    and Q of second degree, so it is two exponentials."""
    chances = np.array(_balanced())
    speeds = 2 * chances / mean_s
    swapped = speeds[::-1]
    roots = np.roots([1, speeds.sum() - rate, speeds.prod() - rate * (chances * swapped).sum()])
    above = (chances * speeds * (swapped + roots[:, np.newaxis])).sum(axis=1)
    weights = (1 - rate * mean_s) * above / (roots - roots[::-1]) / -roots
    return lambda x_s: float((weights * np.exp(roots * max(x_s, 0.0))).sum())


def _constant_service(rate: float, service_s: float, servers: int) -> Callable[[float], float]:
    """Sojourn in M/D/c: the distribution of the number in system from one service time to the next,
    and from that the wait's (Franx 2001, whose sum has no cancellation)."""
    in_system = _in_system(rate * service_s, servers)
    waiting = np.concatenate((np.cumsum(in_system)[servers:], np.ones(1)))

    def over(x_s: float) -> float:
        wait_s = x_s - service_s
        if wait_s < -1e-12 * service_s:
            return 1.0
        turns = int(max(wait_s, 0.0) / service_s) + 1
        left = rate * (turns * service_s - max(wait_s, 0.0))
        places = np.arange(turns * servers)
        at_most = waiting[np.minimum(places[::-1], len(waiting) - 1)]
        chances = np.exp(
            places * math.log(max(left, 1e-300)) - scipy.special.gammaln(places + 1) - left
        )
        return float(1 - (at_most * chances).sum())

    return over


def _in_system(offered: float, servers: int) -> Floats:
    states = int(40 / (1 - offered / servers)) + 20 * servers
    begins = np.maximum(np.arange(states) - servers, 0)
    arrived = np.arange(states) - begins[:, np.newaxis]
    steps = np.where(
        arrived >= 0,
        np.exp(
            arrived * math.log(offered)
            - scipy.special.gammaln(np.maximum(arrived, 0) + 1)
            - offered
        ),
        0.0,
    )
    balance = steps.T - np.eye(states)
    balance[-1] = 1.0
    return np.linalg.solve(balance, np.eye(states)[-1])


def grid(rates_per_s: Sequence[float]) -> list[Queue]:
    """Every kind at every load."""
    return [Queue(kind, rate, load) for rate in rates_per_s for kind in KINDS for load in LOADS]
