"""Where the highest rate lies, by what came back alone: no model of the service.

Near that rate λ* the odds of being over the bound are taken to grow as a power of the rate,
odds(λ) = odds* · (λ/λ*)^k, with odds* what the SLO allows and k unknown. λ* and k are two numbers,
so their posterior is computed on a grid, exactly. The likelihood of a block is binomial, its
counts divided by the inflation that dependence gives their variance (quasi-likelihood:
McCullagh and Nelder, Generalized Linear Models, 9.2).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tailrace.load.search.block import Floats

_STEEPNESS = np.geomspace(2, 200, 18)
_POINTS = 600


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of requests at one rate: how many, the sum of their scores, and by what share dependence
    inflates its variance. `weight`, up to 1: less, the further from the rates of interest."""

    rate_per_s: float
    requests: float
    total: float
    inflation: float
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Posterior:
    """The probability of each of a grid's rates to be the highest that holds.

    Attributes:
        log_rate: float64 [n], ascending.
        mass: float64 [n], its sum is 1.
        steepness: The mean of k.
    """

    log_rate: Floats
    mass: Floats
    steepness: float

    def quantile(self, share: float) -> float:
        """The logarithm of the rate below which λ* lies with a probability of `share`."""
        below = np.cumsum(self.mass)
        return float(np.interp(share, below, self.log_rate))

    def apart(self, log_rate: float) -> float:
        """By how many standard deviations a rate is from the likeliest: the signed root of the
        likelihood ratio (Wilks 1938)."""
        height = np.log(np.maximum(self.mass, 1e-300))
        at = float(np.interp(log_rate, self.log_rate, height))
        peak = int(np.argmax(height))
        root = math.sqrt(max(2 * (float(height[peak]) - at), 0.0))
        return math.copysign(root, log_rate - float(self.log_rate[peak]))

    def nearest(self, log_rate: float) -> float:
        """Of all rates within one standard deviation of the likeliest the one nearest to this."""
        height = np.log(np.maximum(self.mass, 1e-300))
        likely = self.log_rate[height >= height.max() - 0.5]
        return float(likely[np.argmin(np.abs(likely - log_rate))])

    def below(self, log_rate: float) -> float:
        """The probability that λ* is lower than a rate."""
        return float(np.interp(log_rate, self.log_rate, np.cumsum(self.mass), left=0, right=1))

    @property
    def mean(self) -> float:
        """Of the logarithm of λ*."""
        return float(self.mass @ self.log_rate)

    @property
    def deviation(self) -> float:
        """The standard deviation of the logarithm of λ*."""
        return float(np.sqrt(self.mass @ (self.log_rate - self.mean) ** 2))


def posterior(
    evidence: Sequence[Evidence],
    allowed: float,
    is_mean: bool,
    bounds: tuple[float, float],
    steepness: tuple[float, float] = (12.0, 1.0),
) -> Posterior:
    """Of the highest rate between `bounds`, with k lognormal about `steepness` (median, sigma)."""
    x = np.linspace(math.log(bounds[0]), math.log(bounds[1]), _POINTS)
    k = _STEEPNESS
    median, sigma = steepness
    log_mass = np.tile(-0.5 * (np.log(k / median) / sigma) ** 2, (_POINTS, 1))
    for item in evidence:
        if item.requests <= 0:
            continue
        distance = np.log(item.rate_per_s) - x[:, None]
        n = item.requests / item.inflation
        total = item.total / item.inflation
        if is_mean:
            # A mean of positive numbers, like a gamma variable of shape n (its scores' own spread
            # is within the inflation).
            level = np.clip(k * distance, -30, 30)
            log_mass += item.weight * -n * (level + total / n * np.exp(-level))
        else:
            logit = np.log(allowed / (1 - allowed)) + k * distance
            log_mass += item.weight * (
                -total * np.logaddexp(0, -logit) - (n - total) * np.logaddexp(0, logit)
            )
    mass = np.exp(log_mass - log_mass.max())
    mass /= mass.sum()
    return Posterior(x, mass.sum(axis=1), float(mass.sum(axis=0) @ k))
