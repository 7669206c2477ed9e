"""The requests of a search: all of them in order, and which of them say what a rate does."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailrace.load.search.block import Block, Floats

_NEAR = 1.05
"""A rate so little above the next one leaves it no queue that matters."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Requests of blocks.

    Attributes:
        intended_s: float64 [n], in order.
        latency_s: float64 [n], inf for failures and for what was outstanding longer than told.
        block: int64 [n], the index of the block of each.
        settled: bool [n]: it is known what came of it, it met the queue that its own rate makes,
            not one left by another rate, and the generator kept its schedule.
        answered: bool [n]: it is not outstanding.
    """

    intended_s: Floats
    latency_s: Floats
    block: NDArray[np.int64]
    settled: NDArray[np.bool_]
    answered: NDArray[np.bool_]


def join(blocks: Sequence[Block], patience_s: float) -> Rows:
    """All rows of `blocks`, in order of time. A request outstanding for `patience_s` counts as
    one that was never answered."""
    latencies, settled = [], []
    idle_s = np.inf
    """What a request takes that meets an idle service: half of those at the lowest rate."""
    if blocks:
        lowest = min(blocks, key=lambda block: block.rate_per_s)
        first = next((b for b in blocks if np.isfinite(b.latency_s).any()), lowest)
        for block in (first, lowest):
            finite = block.latency_s[np.isfinite(block.latency_s)]
            if len(finite):
                idle_s = min(idle_s, 1.1 * float(np.median(finite)))
    before, stale = 0.0, False
    for block in blocks:
        outstanding = np.isnan(block.latency_s)
        undecided = outstanding & (block.end_s - block.intended_s <= patience_s)
        known = np.full(len(outstanding), not block.late)
        if undecided.any():
            # Of what came after the first of them only the quick are answered.
            known[np.argmax(undecided) :] = False
        stale = stale or before > _NEAR * block.rate_per_s
        if stale:
            # Until one meets an idle service, what they meet is the other rate's doing.
            idle = block.latency_s <= idle_s
            stale = not idle.any()
            known[: len(idle) if stale else np.argmax(idle)] = False
        latencies.append(np.where(outstanding, np.inf, block.latency_s))
        settled.append(known)
        before = block.rate_per_s
    if not blocks:
        empty, none = np.empty(0), np.empty(0, np.bool_)
        return Rows(empty, empty, np.empty(0, np.int64), none, none)
    return Rows(
        np.concatenate([block.intended_s for block in blocks]),
        np.concatenate(latencies),
        np.repeat(np.arange(len(blocks)), [len(block.intended_s) for block in blocks]),
        np.concatenate(settled),
        np.concatenate([~np.isnan(block.latency_s) for block in blocks]),
    )


STRETCHES = 240
"""Into so many short stretches a row of scores is cut, to see how it depends on itself."""


def by_stretch(values: Floats) -> Floats:
    """float64 [m]: sums over short stretches of equal length."""
    length = max(1, len(values) // STRETCHES)
    m = len(values) // length
    return np.asarray(values[: m * length].reshape(m, length).sum(axis=1))


def batch_variance(values: Floats) -> float:
    """The variance of the mean of values that depend on their neighbours."""
    sums = by_stretch(values - values.mean())
    alone = np.full(len(sums), np.mean(sums**2))
    return inflation(sums, alone) * float(np.sum(sums**2)) / len(values) ** 2


def inflation(residuals: Floats, expected: Floats) -> float:
    """How many times the variance of a sum of scores is what independent requests would have.

    Args:
        residuals: float64 [m], of short stretches of equal length in order of time: the sum of
            scores, less what was expected.
        expected: float64 [m], the variance that independent requests would give each.

    The largest ratio over batches of 1, 2, 3, 4, 6, 9, … stretches, as long as there are eight
    (batch means, whose ratio grows with the batch until it holds the dependence: Alexopoulos and
    Steiger 2007); at least 1.
    """
    largest, size = 1.0, 1
    while len(residuals) // size >= 8:
        m = len(residuals) // size
        sums = residuals[: m * size].reshape(m, size).sum(axis=1)
        by_chance = expected[: m * size].sum()
        if by_chance > 0:
            largest = max(largest, float(m / (m - 1) * np.sum(sums**2) / by_chance))
        size = size + 1 if size < 4 else size * 3 // 2
    return largest
