"""Simulated services: what latency each of a row of requests has, from the instants alone.

Each is a pure function of all instants of a run, so a search can be played against it block by
block while its queue carries over. The randomness of a service is in its seed.
"""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Service(Protocol):
    """Something that answers."""

    def latencies_s(self, intended_s: Floats) -> Floats:
        """float64 [n], of requests in order; inf for one that fails."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a service works as time passes: `speed[i]` from `at_s[i]` on."""

    at_s: Floats
    speed: Floats

    def work(self, t_s: Floats) -> Floats:
        """How much is done until an instant, in seconds at speed 1."""
        return np.interp(t_s, *self._line())

    def instant(self, work: Floats) -> Floats:
        """When so much is done."""
        at_s, done = self._line()
        return np.interp(work, done, at_s)

    def _line(self) -> tuple[Floats, Floats]:
        ends = np.append(self.at_s, self.at_s[-1] + 1e5)
        speed = np.maximum(self.speed, 1e-9)
        return ends, np.concatenate(([0.0], np.cumsum(np.diff(ends) * speed)))


Draw = Callable[[np.random.Generator, int], Floats]


@dataclass(frozen=True, slots=True)
class Queue:
    """First come, first served, by `servers` that take `draw`'s work at `speed`; each answer takes
    `overhead_s` more, and a share of `failing` requests fails at once."""

    draw: Draw
    seed: int
    servers: int = 1
    speed: Speed | None = None
    overhead_s: float = 0.0
    failing: float = 0.0

    def latencies_s(self, intended_s: Floats) -> Floats:
        n = len(intended_s)
        work = self.draw(np.random.default_rng(self.seed), n)
        failed = np.random.default_rng([self.seed, 1]).random(n) < self.failing
        work = np.where(failed, 0.0, work)
        arrived = intended_s if self.speed is None else self.speed.work(intended_s)
        left = _served(arrived, work, self.servers)
        if self.speed is not None:
            left = self.speed.instant(left)
        return np.where(failed, np.inf, left - intended_s + self.overhead_s)


def _served(arrived: Floats, work: Floats, servers: int) -> Floats:
    if not len(arrived):
        return arrived
    if servers == 1:
        walk = np.concatenate(([0.0], np.cumsum(work[:-1] - np.diff(arrived))))
        return np.asarray(arrived + walk - np.minimum.accumulate(walk) + work)
    free = [-np.inf] * servers
    left = np.empty(len(arrived))
    for k, (at, takes) in enumerate(zip(arrived.tolist(), work.tolist(), strict=True)):
        left[k] = done = max(at, free[0]) + takes
        heapq.heapreplace(free, done)
    return left


@dataclass(frozen=True, slots=True)
class Limiter:
    """Turns requests away above `rate_per_s` (a bucket of `burst` tokens), before `behind`."""

    behind: Service
    rate_per_s: float
    burst: float

    def latencies_s(self, intended_s: Floats) -> Floats:
        tokens, last = self.burst, 0.0
        let = np.zeros(len(intended_s), dtype=bool)
        for k, at in enumerate(intended_s.tolist()):
            tokens = min(self.burst, tokens + (at - last) * self.rate_per_s)
            last = at
            if tokens >= 1:
                tokens -= 1
                let[k] = True
        latency = np.full(len(intended_s), np.inf)
        latency[let] = self.behind.latencies_s(intended_s[let])
        return latency


@dataclass(frozen=True, slots=True)
class Thrashing:
    """One at a time, and slower the more wait: `service_s` · (1 + waiting / `patience`)."""

    service_s: float
    patience: float

    def latencies_s(self, intended_s: Floats) -> Floats:
        latency = np.empty(len(intended_s))
        inside: deque[float] = deque()
        free = -np.inf
        for k, at in enumerate(intended_s.tolist()):
            while inside and inside[0] <= at:
                inside.popleft()
            free = max(at, free) + self.service_s * (1 + len(inside) / self.patience)
            inside.append(free)
            latency[k] = free - at
        return latency


@dataclass(frozen=True, slots=True)
class Batching:
    """One batch at a time of up to `most`, `fixed_s` + `each_s` a request, begun when it is full
    or its first request has waited for `window_s`."""

    most: int
    window_s: float
    fixed_s: float
    each_s: float

    def latencies_s(self, intended_s: Floats) -> Floats:
        latency = np.empty(len(intended_s))
        free, k, n = -np.inf, 0, len(intended_s)
        while k < n:
            full = intended_s[k + self.most - 1] if k + self.most <= n else np.inf
            begins = max(free, min(full, intended_s[k] + self.window_s))
            size = int(np.searchsorted(intended_s[k : k + self.most], begins, side="right"))
            free = begins + self.fixed_s + self.each_s * size
            latency[k : k + size] = free - intended_s[k : k + size]
            k += size
        return latency


@dataclass(frozen=True, slots=True)
class Sharing:
    """Works on all requests at once, each at its share of one server (processor sharing)."""

    draw: Draw
    seed: int

    def latencies_s(self, intended_s: Floats) -> Floats:
        n = len(intended_s)
        work = self.draw(np.random.default_rng(self.seed), n)
        left = np.empty(n)
        inside: list[tuple[float, int]] = []
        now, given = 0.0, 0.0
        for k in range(n + 1):
            until = intended_s[k] if k < n else np.inf
            while inside:
                ends = now + (inside[0][0] - given) * len(inside)
                if ends > until:
                    break
                now, (given, who) = ends, heapq.heappop(inside)
                left[who] = now
            if k == n:
                break
            if inside:
                given += (until - now) / len(inside)
            now = until
            heapq.heappush(inside, (given + work[k], k))
        return np.asarray(left - intended_s)


@dataclass(frozen=True, slots=True)
class Dead:
    """Fails every request at once."""

    def latencies_s(self, intended_s: Floats) -> Floats:
        return np.full(len(intended_s), np.inf)


def constant(service_s: float) -> Draw:
    """Every service takes the same."""
    return lambda _, n: np.full(n, service_s)


def exponential(mean_s: float) -> Draw:
    """Exponential service times."""
    return lambda rng, n: rng.standard_exponential(n) * mean_s


def hyperexponential(mean_s: float, variation: float = 2.0) -> Draw:
    """Two exponentials with balanced means, of a coefficient of variation above 1."""
    square = variation**2
    first = 0.5 * (1 + np.sqrt((square - 1) / (square + 1)))

    def draw(rng: np.random.Generator, n: int) -> Floats:
        pairs = rng.random((n, 2))
        share = np.where(pairs[:, 0] < first, first, 1 - first)
        return np.asarray(-np.log1p(-pairs[:, 1]) * mean_s / (2 * share))

    return draw


def stalls(seed: int, period_s: float = 60.0, for_s: float = 0.6, until_s: float = 400.0) -> Speed:
    """Nothing is done for `for_s` once a period, the first time at random within one."""
    first = np.random.default_rng([seed, 2]).random() * period_s
    begins = np.arange(first, until_s, period_s)
    at_s = np.concatenate(([0.0], np.ravel(np.column_stack((begins, begins + for_s)))))
    return Speed(at_s, np.concatenate(([1.0], np.tile([0.0, 1.0], len(begins)))))


def contention(
    seed: int, tau_s: float = 5.0, sigma: float = 0.2, until_s: float = 400.0, step_s: float = 0.1
) -> Speed:
    """A speed whose logarithm is AR(1), as neighbours on the machine come and go."""
    n = int(until_s / step_s)
    keep = np.exp(-step_s / tau_s)
    noise = np.random.default_rng([seed, 3]).standard_normal(n) * np.sqrt(1 - keep**2)
    noise[0] /= np.sqrt(1 - keep**2)
    level = np.empty(n)
    value = 0.0
    for k, e in enumerate(noise.tolist()):
        level[k] = value = keep * value + e
    return Speed(np.arange(n) * step_s, np.exp(sigma * level))


def steps(*pairs: tuple[float, float]) -> Speed:
    """A speed that changes at given instants: (at, speed), the first at 0."""
    return Speed(np.array([at for at, _ in pairs]), np.array([speed for _, speed in pairs]))
