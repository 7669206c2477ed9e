"""Series of runs that never were, from processes whose truth is known."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tailrace.load.measure.histogram import bucket_of
from tailrace.runs.compare.compare import Comparison
from tailrace.runs.compare.series import RunSeries
from tests.kit.queues import fifo, poisson

FloatArray = NDArray[np.float64]


def series_of(
    stretch: Any, latency_ms: Any, stretches: int, failed: Any = None, length_s: float = 1.0
) -> RunSeries:
    """A series of requests that were answered in stretch number `stretch` after `latency_ms`."""
    bucket = bucket_of(np.round(np.asarray(latency_ms) * 1000).astype(np.int64))
    used, column = np.unique(bucket, return_inverse=True)
    counts = np.zeros((stretches, len(used)))
    np.add.at(counts, (np.asarray(stretch, dtype=np.int64), column), 1)
    return RunSeries(
        length_s=np.full(stretches, length_s),
        rate_per_s=np.ones(stretches),
        buckets=used,
        counts=counts,
        failed=np.zeros(stretches) if failed is None else np.asarray(failed, dtype=np.float64),
    )


def wandering(
    random: np.random.Generator,
    *,
    correlation: float,
    rate_per_s: float = 100.0,
    duration_s: int = 60,
    wander: float = 0.2,
    scale: float = 1.0,
) -> RunSeries:
    """Poisson arrivals, lognormal latencies around a level that wanders from second to second: an
    AR(1) process of that correlation, `wander` its standard deviation by ratio.
    """
    level = np.zeros(duration_s)
    steps = random.normal(size=duration_s)
    level[0] = steps[0]
    for second in range(1, duration_s):
        own = np.sqrt(1 - correlation**2) * steps[second]
        level[second] = correlation * level[second - 1] + own
    count = random.poisson(rate_per_s, duration_s)
    stretch = np.repeat(np.arange(duration_s), count)
    latency_ms = scale * np.exp(random.normal(2.5, 0.5, len(stretch)) + wander * level[stretch])
    return series_of(stretch, latency_ms, duration_s)


Service = Literal["constant", "gamma", "exponential"]
_VARIATION = 0.3
"""Standard deviation of gamma service times by their mean."""


def turn(
    random: np.random.Generator,
    service: Service,
    arrivals_s: FloatArray,
    service_s: float,
    *,
    stretches: int = 1,
    length_s: float = 1.0,
) -> RunSeries:
    """A run of one server, idle at first, that takes so long on average for each request."""
    count = len(arrivals_s)
    work = np.full(count, service_s)
    if service == "exponential":
        work = random.exponential(service_s, count)
    elif service == "gamma":
        work = random.gamma(_VARIATION**-2, service_s * _VARIATION**2, count)
    latency_s = fifo(arrivals_s, work)
    ended_s = np.minimum((arrivals_s + latency_s) / length_s, stretches - 1)
    return series_of(ended_s, latency_s * 1000, stretches, length_s=length_s)


def sides(
    random: np.random.Generator,
    service: Service,
    *,
    load: float,
    runs: int,
    each_s: float,
    slower: float = 1.0,
    moved: float = 0.0,
    rate_per_s: float = 100.0,
    paired: bool = True,
) -> tuple[list[RunSeries], list[RunSeries]]:
    """Runs of two services, the second `slower`; each run has a service time of its own, by so many
    times `moved` (a standard deviation). `paired`: they meet the same arrivals, pair by pair.
    """
    found: tuple[list[RunSeries], list[RunSeries]] = [], []
    for _ in range(runs):
        arrivals_s = poisson(random, rate_per_s, each_s)
        for side, times in zip(found, (1.0, slower), strict=True):
            service_s = load / rate_per_s * times * np.exp(moved * random.normal())
            side.append(turn(random, service, arrivals_s, service_s, length_s=each_s))
            if not paired:
                arrivals_s = poisson(random, rate_per_s, each_s)
    return found


def share_told(
    comparisons: Iterable[Comparison], names: Sequence[str] = ("mean", "p50", "p99")
) -> dict[str, float]:
    """In how many of them each figure is called different."""
    told = [[one.by_name[name].more_than_noise is True for name in names] for one in comparisons]
    return dict(zip(names, np.mean(told, axis=0).tolist(), strict=True))
