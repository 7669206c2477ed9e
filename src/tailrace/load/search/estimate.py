"""Two estimates of the highest rate, and what they say together.

One serves the service times that were seen under fresh arrivals (virtual.py): exact to a few per
cent of what requests alone can tell, if the service is a queue. The other assumes no queue
(posterior.py). Their difference has a known spread if the queue is right; what goes beyond it is
the queue's error τ, and the answer moves towards the other by τ² / (τ² + spread²) (empirical
Bayes: Morris 1983). So they agree, and the answer is narrow; or they do not, and it is the
model-free one with its wide interval.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tailrace.load.search.block import Block, Floats
from tailrace.load.search.goal import Goal
from tailrace.load.search.posterior import Evidence, Posterior, posterior
from tailrace.load.search.rows import Rows, batch_variance, by_stretch, inflation
from tailrace.load.search.virtual import Gaps, VirtualQueue

LEVEL = 0.95
"""Of the interval; half of the rest is the chance that its lower end is too high."""
MODEL_ERROR = 0.012
"""The least error of a queue as a model of a service, as a share of the rate."""
_APART = 2.0
"""So many standard deviations between the estimates are chance; what goes beyond is the queue's
error."""
_KERNEL = 0.25
"""How far, in the logarithm of the rate, a block says something of the odds near the answer."""
_FAR = 0.05
"""The least weight of a block: what is far off still says on which side the answer lies."""
_LOWER = (0.1, 0.05)
"""Shares of the slowest requests by which dependence is seen where few are over the bound."""
_SAME = 0.05
"""Rates so close to each other, as a share, that they are taken as one."""
_FREEDOM = 8.0
"""Degrees of freedom of a spread that itself comes from eight batches or more."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of the highest rate at which one SLO holds. Rates are natural logarithms.

    Attributes:
        goal: The SLO.
        centre: The estimate.
        spread: Its standard deviation.
        low, high: The interval's ends.
        free: What the model-free estimate alone says.
        queue: The queue's own estimate and its standard deviation; None if it is no queue.
        apart: By how many standard deviations the two differ.
        steepness: How many times faster than the rate the odds of being over grow.
        inflation: How many requests are worth one independent one.
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

        x = math.log(rate_per_s)
        if self.queue is None:
            return 1 - self.free.below(x)
        return float(stdtr(_FREEDOM, (self.centre - x) / self.spread))

    @property
    def disagrees(self) -> bool:
        """Whether the two estimates differ by more than chance."""
        return self.queue is not None and self.apart > _APART


def estimate(
    goal: Goal,
    blocks: Sequence[Block],
    rows: Rows,
    queue: VirtualQueue | None,
    gaps: Gaps,
    bounds: tuple[float, float],
    cells: int,
    error: float = MODEL_ERROR,
) -> Estimate:
    """What `blocks` and their rows say of the highest rate within `bounds`.

    Args:
        queue: as it took rows near that rate; None if the service is none.
        cells: how many virtual requests to serve at most.
        error: of the queue as a model, at least, as a share of the rate.
    """
    from scipy.special import stdtrit

    guess = None
    if queue is not None and len(queue.service_s) >= _LEAST:
        guess = _by_queue(goal, queue, gaps, bounds, cells)
    prior = (12.0, 1.0) if guess is None else (float(np.clip(guess[2], 3, 150)), 0.5)
    centre, factor = None, 1.0
    for _ in range(3):
        found = _evidence(goal, blocks, rows, factor, centre)
        free = posterior(found, goal.allowed, goal.is_mean, bounds, prior)
        centre = free.mean
        factor = _inflation(goal, blocks, rows, free, None if guess is None else guess[0])
    tail = (1 - LEVEL) / 2
    if guess is None:
        low, middle, high = (free.quantile(share) for share in (tail, 0.5, 1 - tail))
        spread = free.deviation
        return Estimate(goal, middle, spread, low, high, free, None, 0.0, free.steepness, factor)
    x, own, steepness = guess
    # How far the model-free estimate is from it, in its own standard deviations and as a share of
    # the rate. Where few or none are over the bound that is far from symmetric: one side is open.
    apart = abs(free.apart(x))
    difference = free.nearest(x) - x
    beside = max(free.deviation**2 - own**2, (0.3 * free.deviation) ** 2)
    wrong = max(error**2, difference**2 * (1 - (_APART / apart) ** 2) if apart > _APART else 0.0)
    weight = wrong / (wrong + beside)
    spread = math.sqrt(own**2 + weight * beside)
    middle = x + weight * difference
    half = float(stdtrit(_FREEDOM, 1 - tail)) * spread
    return Estimate(
        goal, middle, spread, middle - half, middle + half, free, (x, own), apart, steepness, factor
    )


_STABLE = 0.98
"""Of the capacity: nearer to it no run is long enough."""
_SLOWLY = 3
"""So many times as long it takes to serve by several servers."""
_UNSEEN = 0.9
"""The least spread, as a share of how far the speed swings: slow times that were not seen count."""
_UNTOLD = 0.05
"""The least spread where the queue is never as long as the bound."""
_LEAST = 30
"""Service times, or nothing is to be learnt from them."""


def _by_queue(
    goal: Goal, queue: VirtualQueue, gaps: Gaps, bounds: tuple[float, float], cells: int
) -> tuple[float, float, float] | None:
    """The logarithm of the rate, its standard deviation, and how steeply odds grow there."""
    n = len(queue.service_s)
    if queue.servers > 1:
        cells //= _SLOWLY
    drawn = gaps(int(np.clip(cells // n, 2, 200)), n)
    drawn = drawn / drawn.mean(axis=1, keepdims=True)
    capacity = _STABLE * queue.capacity_per_s()
    low, high = math.log(bounds[0]), min(math.log(4 * bounds[1]), math.log(capacity))
    if not low < high:
        return None

    # Service times that do not depend on each other may come in any order: that takes out the
    # chance of their order, too.
    shuffled = not goal.is_mean and not queue.dependent

    def excess(x: float) -> tuple[float, Floats]:
        response = queue.responses_s(math.exp(x), drawn, shuffled)
        mean = float(goal.scores(response).mean())
        return goal.link(mean) - goal.link(goal.allowed), response

    x = high
    at_high, response = excess(high)
    if at_high > 0:
        # Regula falsi (Illinois) between the highest rate and one that holds.
        step = 0.1
        lower = high - step
        while (at_low := excess(lower)[0]) > 0:
            high, at_high = lower, at_low
            step *= 2
            lower = high - step
            if lower < low:
                return None
        for _ in range(20):
            x = (lower * at_high - high * at_low) / (at_high - at_low)
            at, response = excess(x)
            if high - lower < 5e-4 or abs(at) < 5e-3:
                break
            if at > 0:
                high, at_high, at_low = x, at, at_low / 2
            else:
                lower, at_low, at_high = x, at, at_high / 2
    else:
        # The run is too short for the queue to grow as long as the bound even at capacity: that
        # is as far as the answer can be told.
        least = math.sqrt(batch_variance(queue.service_s)) / float(queue.service_s.mean())
        return high - 2 * least, max(2 * least, _UNTOLD), 12.0
    steepness = max((excess(x + 0.02)[0] - excess(x - 0.02)[0]) / 0.04, 1.0)
    scores = goal.scores(response)
    mean = float(scores.mean())
    slope = (mean if goal.is_mean else mean * (1 - mean)) * steepness
    # A service slower by a factor is one with a bound as much shorter, in a time as much longer.
    by_bound = (goal.link(float(goal.scores(response * 1.05).mean())) - goal.link(mean)) / 0.05
    scale = 1 + max(by_bound, 0.0) / steepness
    mean_s = float(queue.service_s.mean())
    variance = batch_variance(queue.service_s, not shuffled) * (scale / mean_s) ** 2
    if shuffled:
        variance = max(variance, _by_influence(goal, queue, response) ** 2)
    elif slope > 0:
        variance += batch_variance(scores.mean(axis=0), True) / slope**2
    variance = max(variance, (_UNSEEN * queue.swing) ** 2)
    if len(queue.stalls_s) and slope > 0:
        # Of k stalls it is known how often they come to one part in √k.
        calm = replace(queue, stalls_per_s=0.0).responses_s(math.exp(x), drawn, shuffled)
        beside = mean - float(goal.scores(calm).mean())
        variance += (beside / slope) ** 2 / len(queue.stalls_s)
    return x, math.sqrt(variance), steepness


def _by_influence(goal: Goal, queue: VirtualQueue, response: Floats) -> float:
    """The standard deviation of the logarithm of the rate, by what each service time weighs.

    Waits beyond b are as rare as exp(−θ b), where λ (E exp(θ S) − 1) = θ (Cramér and Lundberg;
    Asmussen, Applied Probability and Queues, XIII.5). At a given bound, so a given θ, the rate is
    in error by as much as E exp(θ S) − 1 is.
    """
    bound = goal.slo.bound_s
    below, above = (float(np.mean(response > bound * by)) for by in (1 / 1.1, 1.1))
    if not above:
        return 0.0
    decay = math.log(below / above) / (bound * (1.1 - 1 / 1.1))
    service = np.minimum(queue.service_s[~queue.failed], bound) / queue.servers
    weights = np.exp(np.minimum(decay * service, 50.0))
    return math.sqrt(batch_variance(weights)) / max(float(weights.mean()) - 1, 1e-9)


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
        away = 0.0 if centre is None else (math.log(block.rate_per_s) - centre) / _KERNEL
        weight = max(math.exp(-0.5 * away**2), _FAR)
        total = float(np.minimum(scores[mine], goal.most).sum())
        found.append(Evidence(block.rate_per_s, n, total, factor, weight))
    return found


def _inflation(
    goal: Goal, blocks: Sequence[Block], rows: Rows, free: Posterior, about: float | None
) -> float:
    """Of the scores about what the fit expects of each rate, near it and near another estimate."""
    away = np.array([math.log(block.rate_per_s) - free.mean for block in blocks])
    expected = goal.expected(np.clip(free.steepness * away, -30, 30))
    # Far below the answer nothing is over the bound, and nothing shows how requests depend.
    near = (away > -_KERNEL) & (away < 2 * _KERNEL)
    if about is not None:
        near |= np.abs(away + free.mean - about) < _KERNEL
    chosen = rows.settled & near[rows.block]
    if chosen.sum() < 16:
        return 1.0
    latency = rows.latency_s[chosen]
    level = expected[rows.block[chosen]]
    factor = _of_residuals(np.minimum(goal.scores(latency), goal.most), level, goal.is_mean)
    # Of these each rate has its own share, as many as there are rates.
    _, alike = np.unique(np.round(away[rows.block[chosen]] / _SAME), return_inverse=True)
    for share in _LOWER:
        over = (latency > np.quantile(latency, 1 - share, method="lower")).astype(np.float64)
        level = (np.bincount(alike, over) / np.bincount(alike))[alike]
        factor = max(factor, _of_residuals(over, level, False))
    return factor


def _of_residuals(scores: Floats, expected: Floats, is_mean: bool) -> float:
    variance = expected**2 if is_mean else expected * (1 - expected)
    return inflation(by_stretch(scores - expected), by_stretch(variance))
