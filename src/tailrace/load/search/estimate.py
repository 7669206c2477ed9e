"""Two estimates of the highest rate, and what they say together.

One serves the service times that were seen under fresh arrivals (virtual.py): exact to a few per
cent of what requests alone can tell, if the service is a queue. The other assumes no queue
(posterior.py). Their difference has a known spread if the queue is right; what goes beyond it is
the queue's error τ, and the answer moves towards the other by τ² / (τ² + its spread²) (empirical
Bayes: Morris 1983). So they agree, and the answer is narrow, or they do not, and it is the
model-free one with its wide interval.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tailrace.load.search.block import Block, Floats
from tailrace.load.search.goal import Goal
from tailrace.load.search.posterior import Evidence, Posterior, posterior
from tailrace.load.search.rows import Rows, inflation
from tailrace.load.search.virtual import VirtualQueue, recognise

LEVEL = 0.95
"""Of the interval; half of the rest is the chance that its lower end is too high."""
_MODEL_ERROR = 0.012
"""The least error of a queue as a model of a service, as a share of the rate."""
_DISORDER = 0.02
"""Of answers in an order that no queue has, and it is none."""
_KERNEL = 0.25
"""How far, in the logarithm of the rate, a block says something of the odds near the answer."""
_STRETCHES = 240

Gaps = Callable[[int, int], Floats]
"""Unit gaps of the arrivals: float64 [replicas, n]."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of the highest rate at which one SLO holds. Rates are natural logarithms.

    Attributes:
        centre: The estimate.
        spread: Its standard deviation.
        low, high: The interval's ends.
        free: What the model-free estimate alone says.
        queue: The queue's own estimate and its standard deviation, if it is one.
        apart: By how many standard deviations the two differ.
    """

    goal: Goal
    centre: float
    spread: float
    low: float
    high: float
    free: Posterior
    queue: tuple[float, float] | None
    apart: float
    steepness: float
    inflation: float

    def holds_at(self, rate_per_s: float) -> float:
        """The probability that the SLO holds at a rate."""
        from scipy.special import stdtr

        if self.queue is None:
            x = np.log(rate_per_s)
            return 1 - float(
                np.interp(x, self.free.log_rate, np.cumsum(self.free.mass), left=0, right=1)
            )
        return float(stdtr(_FREEDOM, (self.centre - np.log(rate_per_s)) / self.spread))


_FREEDOM = 8.0
"""Degrees of freedom of a spread that itself comes from eight batches or more."""


def estimate(
    goal: Goal,
    blocks: Sequence[Block],
    rows: Rows,
    queue: VirtualQueue | None,
    gaps: Gaps,
    bounds: tuple[float, float],
    cells: int,
) -> Estimate:
    """What `blocks` and their rows say of the highest rate within `bounds`. `queue` took all rows.
    `cells`: how many virtual requests to serve at most."""
    guess: tuple[float, float, float] | None = None
    if queue is not None and queue.disorder <= _DISORDER:
        guess = _by_queue(goal, blocks, rows, queue, gaps, bounds, cells)
    prior = (12.0, 1.0) if guess is None else (float(np.clip(guess[2], 3, 150)), 0.5)
    factor = 1.0
    free = posterior((), goal.allowed, goal.is_mean, bounds, prior)
    centre = free.mean if guess is None else guess[0]
    for _ in range(2):
        found = _evidence(goal, blocks, rows, factor, None if _ == 0 else centre)
        free = posterior(found, goal.allowed, goal.is_mean, bounds, prior)
        centre = free.mean
        factor = _inflation(goal, blocks, rows, free)
    free = posterior(
        _evidence(goal, blocks, rows, factor, centre), goal.allowed, goal.is_mean, bounds, prior
    )
    tail = (1 - LEVEL) / 2
    if guess is None:
        return Estimate(
            goal,
            free.quantile(0.5),
            free.deviation,
            free.quantile(tail),
            free.quantile(1 - tail),
            free,
            None,
            0.0,
            free.steepness,
            factor,
        )
    from scipy.special import stdtrit

    x, own, steepness = guess
    beside = max(free.deviation**2 - own**2, (0.3 * free.deviation) ** 2)
    difference = free.mean - x
    error = max(_MODEL_ERROR**2, difference**2 - beside)
    weight = error / (error + beside)
    centre = x + weight * difference
    spread = float(np.sqrt(own**2 + weight * beside))
    half = float(stdtrit(_FREEDOM, 1 - tail)) * spread
    return Estimate(
        goal,
        centre,
        spread,
        centre - half,
        centre + half,
        free,
        (x, own),
        abs(difference) / float(np.sqrt(beside)),
        steepness,
        factor,
    )


def _by_queue(
    goal: Goal,
    blocks: Sequence[Block],
    rows: Rows,
    queue: VirtualQueue,
    gaps: Gaps,
    bounds: tuple[float, float],
    cells: int,
) -> tuple[float, float, float] | None:
    """The logarithm of the rate, its standard deviation, and how steeply odds grow there."""
    n = len(queue.service_s)
    if n < 50:
        return None
    replicas = int(np.clip(cells // n, 2, 200))
    drawn = gaps(replicas, n)
    drawn = drawn / drawn.mean(axis=1, keepdims=True)
    low, high = np.log(bounds[0]), min(np.log(bounds[1]), np.log(queue.capacity_per_s()))
    if not low < high:
        return None

    def excess(x: float) -> tuple[float, Floats]:
        scores = queue.scores(goal, float(np.exp(x)), drawn)
        return _link(goal, float(scores.mean())) - _link(goal, goal.allowed), scores

    # Regula falsi (Illinois), between a rate that holds and the capacity.
    at_high, scores = excess(high)
    if at_high <= 0:
        return high, 0.02, 12.0
    step = 0.1
    x = high - step
    while (at := excess(x)[0]) > 0:
        high, at_high = x, at
        step *= 2
        x = high - step
        if x < low:
            return None
    lower, at_low = x, at
    for _ in range(20):
        x = (lower * at_high - high * at_low) / (at_high - at_low)
        if not lower < x < high:
            x = (lower + high) / 2
        at, scores = excess(x)
        if abs(high - lower) < 5e-4 or abs(at) < 5e-3:
            break
        if at > 0:
            high, at_high = x, at
            at_low /= 2
        else:
            lower, at_low = x, at
            at_high /= 2
    above, below = excess(x + 0.02)[0], excess(x - 0.02)[0]
    steepness = max((above - below) / 0.04, 1.0)
    mean = float(scores.mean())
    stretch = max(1, n // _STRETCHES)
    sums = _by_stretch(scores - mean, stretch)
    variance = inflation(sums, np.full(len(sums), np.mean(sums**2))) * np.sum(sums**2)
    relative = np.sqrt(variance) / n / (mean if goal.is_mean else mean * (1 - mean))
    return x, float(relative / steepness), steepness


def _link(goal: Goal, mean: float) -> float:
    mean = max(mean, 1e-9)
    if goal.is_mean:
        return float(np.log(mean)) if np.isfinite(mean) else 50.0
    mean = min(mean, 1 - 1e-9)
    return float(np.log(mean / (1 - mean)))


def _by_stretch(values: Floats, stretch: int) -> Floats:
    m = len(values) // stretch
    return np.asarray(values[: m * stretch].reshape(m, stretch).sum(axis=1))


def _evidence(
    goal: Goal, blocks: Sequence[Block], rows: Rows, factor: float, centre: float | None
) -> list[Evidence]:
    found = []
    scores = goal.scores(rows.latency_s)
    for index, block in enumerate(blocks):
        mine = (rows.block == index) & rows.settled
        n = int(mine.sum())
        if not n:
            continue
        away = 0.0 if centre is None else (np.log(block.rate_per_s) - centre) / _KERNEL
        weight = max(float(np.exp(-0.5 * away**2)), 0.05)
        total = float(scores[mine].sum())
        if goal.is_mean and not np.isfinite(total):
            total = 30.0 * n
        found.append(Evidence(block.rate_per_s, n, total, factor, weight))
    return found


def _inflation(goal: Goal, blocks: Sequence[Block], rows: Rows, free: Posterior) -> float:
    """Of the scores about what the fit expects of each rate."""
    rates = np.array([block.rate_per_s for block in blocks])
    level = free.steepness * (np.log(rates) - free.mean)
    if goal.is_mean:
        expected = np.exp(np.clip(level, -30, 30))
        variance = expected**2
    else:
        logit = np.log(goal.allowed / (1 - goal.allowed)) + level
        expected = 1 / (1 + np.exp(-logit))
        variance = expected * (1 - expected)
    near = np.abs(np.log(rates) - free.mean) < _KERNEL
    chosen = rows.settled & near[rows.block]
    if chosen.sum() < 16:
        return 1.0
    which = rows.block[chosen]
    scores = np.minimum(goal.scores(rows.latency_s[chosen]), 1e3)
    residual = scores - expected[which]
    stretch = max(1, len(residual) // _STRETCHES)
    return inflation(_by_stretch(residual, stretch), _by_stretch(variance[which], stretch))


def recognise_queue(rows: Rows) -> VirtualQueue | None:
    """The queue that explains all requests that were answered, settled or not; see `recognise`."""
    return recognise(rows.intended_s, rows.latency_s)
