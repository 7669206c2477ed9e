"""Series of runs that never were, from processes whose truth is known."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailrace.load.measure.histogram import LOWEST_US, WIDTH_US, bucket_of
from tailrace.runs.compare.series import RunSeries

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
        latency_ms=(LOWEST_US[used] + (WIDTH_US[used] - 1) / 2) / 1000,
        half_width_ms=WIDTH_US[used] / 2000,
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


def queue(
    random: np.random.Generator,
    arrivals_s: FloatArray,
    service_s: float,
    duration_s: int = 60,
) -> RunSeries:
    """A queue with exponential service times: Lindley's recursion in closed form."""
    work = random.exponential(service_s, len(arrivals_s))
    done_before = np.cumsum(work) - work
    left_s = np.maximum.accumulate(arrivals_s - done_before) + done_before + work
    stretch = np.minimum(left_s.astype(np.int64), duration_s - 1)
    return series_of(stretch, (left_s - arrivals_s) * 1000, duration_s)


def poisson_arrivals(
    random: np.random.Generator, rate_per_s: float, duration_s: int = 60
) -> FloatArray:
    """Instants of a Poisson process, seconds."""
    times = np.cumsum(random.exponential(1 / rate_per_s, int(2 * rate_per_s * duration_s)))
    return times[times < duration_s]
