"""What chance makes of a difference between two runs, and what it cannot.

**The stationary bootstrap**: what chance does to figures of a series whose neighbours depend on
each other. Requests of one run are no independent samples: a queue carries its state from one to
the next, so a stall makes a row of slow ones, which is one piece of news and not many. Drawing
single requests anew would take them for many. Drawing stretches of consecutive intervals keeps what
lies within a stretch as it was (Künsch 1989, The jackknife and the bootstrap for general stationary
observations, Annals of Statistics 17:1217). Here the stretches are of random, geometric length, and
the series is closed to a ring, so that each interval is drawn as often as any other (Politis and
Romano 1994, The stationary bootstrap, JASA 89:1303).

**An outage**: so much failed, or hardly moved, in one of two runs that no chance is to be reckoned
with. Failures come in clusters: one stall that fails a thousand requests is one piece of news, and
a resampling of a run's stretches rightly makes little of it. But that is about small shares. A
service that fails half of its requests is broken, be it in one piece or in many, and so is one that
was still failing all of them when the run ended.
"""

import math
from collections.abc import Iterable

import numpy as np

from tailrace.runs.compare.series import NAMES, FloatArray, RunSeries, figures

SLOWER = 10.0
"""So many times the other run's p99 is as good as failed."""
LARGE_SHARE = 0.15
"""More failures than in the other run, as a share of all requests, than any cluster explains."""
STALL_S = 0.25
"""Beyond that share, as it is of a short run: a run of one second has an outage from 40 % on."""
_Z = 3.0
"""By counts alone a difference is told from chance at three standard errors."""
_DEAD_S = 2.0
_DEAD_REQUESTS = 20
"""So long, and so many requests, without one answer up to the end of a run: it is down."""


def block_length(influences: Iterable[FloatArray]) -> float:
    """The mean length of the stretches to draw, in intervals: the longest that any of the series
    `influences`, float64 [n] of mean 0, asks for; at least n^(1/3), at most n / 5.

    Each series asks for twice what minimizes the mean squared error of its mean's variance, worked
    out from its autocorrelation up to where that is lost in noise (Politis and White 2004,
    Automatic block-length selection for the dependent bootstrap, Econometric Reviews 23:53, with
    the constant as corrected by Patton, Politis and White 2009, 28:372). Twice, since an interval
    suffers more from stretches that are too short than from ones that are too long.
    """
    wanted = [(len(series), 2 * _block_length(series)) for series in influences]
    n = wanted[0][0]
    longest: float = max(n ** (1 / 3), *(length for _, length in wanted))
    return max(min(longest, n / 5), 1.0)


def _block_length(series: FloatArray) -> float:
    n = len(series)
    window = max(5, math.ceil(math.sqrt(math.log10(n))))
    furthest = min(math.ceil(math.sqrt(n)) + window, n - 1)
    covariance = np.array([series[lag:] @ series[: n - lag] / n for lag in range(furthest + 1)])
    if covariance[0] <= 0:
        return 1.0
    small = np.abs(covariance[1:] / covariance[0]) < 2 * math.sqrt(math.log10(n) / n)
    # The first lag after which `window` in a row are small; the last that is not, if none is.
    quiet = [m for m in range(len(small) - window + 1) if small[m : m + window].all()]
    last = quiet[0] if quiet else int(np.flatnonzero(~small).max(initial=0)) + 1
    reach = min(2 * max(last, 1), furthest)
    lags = np.arange(1, reach + 1)
    taper = np.clip(2 * (1 - lags / reach), 0.0, 1.0)
    spectrum = covariance[0] + 2 * float(taper @ covariance[1 : reach + 1])
    slope = 2 * float((taper * lags) @ covariance[1 : reach + 1])
    if spectrum <= 0 or slope <= 0:
        # Neighbours that make up for each other: short stretches err on the safe side.
        return 1.0
    return math.pow((slope / spectrum) ** 2 * n, 1 / 3)


def draw_weights(n: int, mean_length: float, resamples: int, seed: int) -> FloatArray:
    """How often each of n intervals is in each resample, float64 [resamples, n]; rows sum to n."""
    random = np.random.default_rng(seed)
    place = np.arange(n)
    begins = random.random((resamples, n)) < 1 / mean_length
    begins[:, 0] = True
    starts = random.integers(0, n, (resamples, n))
    begun = np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    drawn = (np.take_along_axis(starts, begun, axis=1) + place - begun) % n
    drawn += n * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * n).reshape(resamples, n).astype(float)


def tail_of_interval(blocks: float, level: float = 0.95) -> float:
    """The share of resamples to leave out on each side, for an interval of confidence `level` from
    so many blocks.

    (1 − level) / 2 would do for very many. With few, the resamples' spread is too small by
    √(1 − 1/blocks), and is an estimate itself: t stands for z (Hesterberg 2015, What teachers
    should know about the bootstrap, The American Statistician 69:371, "expanded percentile
    interval").
    """
    # Here, as it takes a tenth of a second, and most commands never ask.
    from scipy.special import ndtr, stdtrit

    freedom = max(blocks - 1, 1.0)
    return float(ndtr(-stdtrit(freedom, (1 + level) / 2) * math.sqrt(blocks / freedom)))


def outage(base: RunSeries, other: RunSeries) -> str | None:
    """What went down in `other`, and did not in `base`; None where nothing did."""
    totals = [float(run.failed.sum() + run.counts.sum()) for run in (base, other)]
    length_s = float(other.length_s.sum())
    if not all(totals) or not length_s:
        return None
    slow_ms = SLOWER * float(figures(base)[0][NAMES.index("p99")])
    for limit_ms, what in (
        (math.inf, "failed"),
        (slow_ms, f"failed or took longer than {SLOWER:g} times the other's p99"),
    ):
        shares = [
            _beyond(run, limit_ms) / total for run, total in zip((base, other), totals, strict=True)
        ]
        excess = shares[1] - shares[0]
        if excess > LARGE_SHARE + STALL_S / length_s and _is_told(shares, totals):
            return (
                f"an outage: {100 * shares[1]:.3g} % of its requests {what}, against "
                f"{100 * shares[0]:.3g} %, more than chance makes of it, however they are clustered"
            )
    failing_s = _failing_at_the_end_s(other)
    if failing_s and not _failing_at_the_end_s(base):
        return f"an outage: in its last {failing_s:.3g} s every request failed"
    return None


def _beyond(run: RunSeries, latency_ms: float) -> float:
    """How many requests failed or took longer."""
    return float(run.failed.sum() + run.counts[:, run.latency_ms > latency_ms].sum())


def _is_told(shares: list[float], totals: list[float]) -> bool:
    """Whether the second share is larger than the first: Newcombe's interval of their difference
    (1998, Interval estimation for the difference between independent proportions, Statistics in
    Medicine 17:873, method 10) leaves out 0.
    """
    (_, upper), (lower, _) = (
        _wilson(share, total) for share, total in zip(shares, totals, strict=True)
    )
    return shares[1] - shares[0] > math.hypot(shares[1] - lower, upper - shares[0])


def _wilson(share: float, total: float) -> tuple[float, float]:
    square = _Z**2
    middle = share + square / (2 * total)
    half = _Z * math.sqrt(share * (1 - share) / total + square / (4 * total**2))
    return (middle - half) / (1 + square / total), (middle + half) / (1 + square / total)


def _failing_at_the_end_s(run: RunSeries) -> float:
    """For how long nothing was answered at the end, while requests failed; 0 if that is short."""
    answered = run.counts.sum(axis=1)
    last = max((place for place, count in enumerate(answered) if count), default=-1)
    failing_s = float(run.length_s[last + 1 :].sum())
    failed = float(run.failed[last + 1 :].sum())
    return failing_s if failing_s >= _DEAD_S and failed >= _DEAD_REQUESTS else 0.0
