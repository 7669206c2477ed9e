"""The stationary bootstrap: what chance does to figures of a series whose neighbours depend on
each other.

Requests of one run are no independent samples: a queue carries its state from one to the next, so a
stall makes a row of slow ones, which is one piece of news and not many. Drawing single requests
anew would take them for many. Drawing stretches of consecutive intervals keeps what lies within a
stretch as it was (Künsch 1989, The jackknife and the bootstrap for general stationary observations,
Annals of Statistics 17:1217). Here the stretches are of random, geometric length, and the series
is closed to a ring, so that each interval is drawn as often as any other (Politis and Romano 1994,
The stationary bootstrap, JASA 89:1303).
"""

import math
from collections.abc import Iterable

import numpy as np

from tailrace.runs.compare.series import FloatArray


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
