"""Whether a run was one thing all the time: else its percentiles are of no service in particular.

**Halves.** The shares above the run's p50 and p90 in its first and its second half, whose
difference is held to what the dependence within each half makes of it (spread.py).

**Backlog.** What is due and not answered grows by steps. Where a service keeps up they cancel, as
the sum of all is what is waiting at the end; where it does not, their mean is above 0.
"""

import math

import numpy as np

from tailrace.load.judge.spread import FEWEST_BATCHES, Spread, spread_of
from tailrace.load.judge.stretches import Floats, Stretches
from tailrace.load.measure.histogram import IntArray

FALSE_ALARMS = 0.005
"""Of runs that are stationary, at most, by either look."""
_PERCENTS = (50.0, 90.0)
_FORGETS = 20
"""Correlation times that a half takes: what moves as slowly cannot be told from chance."""


def stationary(stretches: Stretches) -> str | None:
    """Why a run is not, by its longest time at one rate; None where nothing speaks against it, or
    it is too short to tell."""
    longest = max(stretches.strata, key=len, default=np.zeros(0, np.int64))
    if len(longest) < 2 * FEWEST_BATCHES:
        return None
    return _growing(stretches.outstanding[longest]) or _moved(stretches, longest)


def _growing(outstanding: Floats) -> str | None:
    from scipy.special import stdtr

    steps = np.diff(outstanding)
    error = float(steps.std(ddof=1)) / math.sqrt(len(steps))
    grown = float(steps.mean())
    if grown <= 0 or float(stdtr(len(steps) - 1, -grown / error if error else -math.inf)) >= (
        FALSE_ALARMS / 2
    ):
        return None
    return (
        f"the backlog grew all the time, to {outstanding[-1]:,.0f} requests that were due and not "
        "answered: the rate is more than the service can do"
    )


def _moved(stretches: Stretches, longest: IntArray) -> str | None:
    from scipy.special import stdtr

    latency = stretches.latency
    if not latency.total:
        return None
    halves = np.array_split(longest, 2)
    ranks = np.ceil(np.array(_PERCENTS) / 100 * latency.total)
    failed = stretches.failed
    over = stretches.over(latency.bucket_at(ranks) + 1) + failed
    ended = stretches.answered + failed
    n = np.array([ended[half].sum() for half in halves])
    if not n.all():
        return None
    shares = np.array([over[:, half].sum(axis=1) for half in halves]) / n[:, np.newaxis]
    independent = (shares * (1 - shares) * n[:, np.newaxis]).sum(axis=0)
    spreads = spread_of(over, ended, halves, independent)
    for percent, before, after, spread in zip(_PERCENTS, *shares, spreads, strict=True):
        if _too_few(spread, len(longest) / 2):
            continue
        variance = spread.inflation * sum(
            share * (1 - share) / one for share, one in zip((before, after), n, strict=True)
        )
        away = abs(after - before) / math.sqrt(variance) if variance else 0.0
        rows = n.min() / max(spread.inflation, 1.0) * (1 - percent / 100)
        if 2 * float(stdtr(max(min(spread.freedom, rows), 1.0), -away)) < FALSE_ALARMS / len(
            _PERCENTS
        ):
            return (
                f"it was not the same all the time: {100 * before:.2g} % of the first half's "
                f"requests took longer than the whole run's p{percent:g}, and {100 * after:.2g} % "
                "of the second's"
            )
    return None


def _too_few(spread: Spread, stretches: float) -> bool:
    forgets = -math.log(spread.correlation) if spread.correlation > 0 else math.inf
    return not math.isfinite(spread.inflation) or stretches * forgets < _FORGETS
