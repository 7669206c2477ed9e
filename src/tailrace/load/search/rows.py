"""The requests of a search: all of them in order, and which of them say what a rate does."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailrace.load.search.block import Block, Floats

_NEAR = 1.2
"""A rate so little above the next one leaves it a queue that is not worth leaving requests out for:
those left out are the slow ones."""


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
    alone_s = _alone_s(blocks)
    inside = _inside(blocks)
    before, stale, first = 0.0, False, 0
    for block in blocks:
        outstanding = np.isnan(block.latency_s)
        undecided = outstanding & (block.end_s - block.intended_s <= patience_s)
        known = np.full(len(outstanding), not block.late)
        if undecided.any():
            # Of what came after the first of them only the quick are answered.
            known[np.argmax(undecided) :] = False
        stale = stale or before > _NEAR * block.rate_per_s
        if stale:
            # Until one meets no more than there would be without a queue (Little's law), what they
            # meet is the other rate's doing.
            idle = inside[first : first + len(known)] <= np.ceil(block.rate_per_s * alone_s)
            stale = not idle.any()
            known[: len(idle) if stale else np.argmax(idle)] = False
        latencies.append(np.where(outstanding, np.inf, block.latency_s))
        settled.append(known)
        before = block.rate_per_s
        first += len(known)
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


def _alone_s(blocks: Sequence[Block]) -> float:
    """What a request takes that meets no other: about half of the first do, and of those at the
    lowest rate."""
    answered = [block for block in blocks if np.isfinite(block.latency_s).any()]
    if not answered:
        return 0.0
    quiet = (answered[0], min(answered, key=lambda block: block.rate_per_s))
    return min(float(np.median(block.latency_s[np.isfinite(block.latency_s)])) for block in quiet)


def _inside(blocks: Sequence[Block]) -> NDArray[np.int64]:
    """int64 [n]: how many requests were there when each came."""
    if not blocks:
        return np.empty(0, np.int64)
    came = np.concatenate([block.intended_s for block in blocks])
    took = np.concatenate([block.latency_s for block in blocks])
    left = np.sort(came + np.where(np.isinf(took), 0.0, took))
    return np.arange(len(came)) - np.searchsorted(left, came, side="right")


_BATCHES = 8
STRETCHES = 240
"""Into so many short stretches a row of scores is cut, to see how it depends on itself."""


def by_stretch(values: Floats) -> Floats:
    """float64 [m]: sums over short stretches of equal length."""
    length = max(1, len(values) // STRETCHES)
    m = len(values) // length
    return np.asarray(values[: m * length].reshape(m, length).sum(axis=1))


def depends(values: Floats) -> bool:
    """Whether values surely depend on their neighbours: sums over stretches vary by more than
    chance makes those of independent ones."""
    centred = _capped(values)
    alone = float(np.mean(centred**2))
    length = 4
    while len(centred) // length >= _BATCHES and alone:
        m = len(centred) // length
        sums = centred[: m * length].reshape(m, length).sum(axis=1)
        if np.mean(sums**2) / (length * alone) > 1 + 3 * np.sqrt(2 / m):
            return True
        length *= 2
    return False


def swing(values: Floats) -> float:
    """By what share of their mean values come and go together, as far as can be seen: the standard
    deviation of means over stretches, less what independent values would have."""
    centred = _capped(values)
    parts = np.array_split(centred, 3 * _BATCHES)
    alone = float(np.mean(centred**2))
    beyond = np.mean([part.mean() ** 2 - alone / len(part) for part in parts])
    return float(np.sqrt(max(beyond, 0.0)) / values.mean())


def _capped(values: Floats) -> Floats:
    """Less their mean, and without the few that are far beyond the others."""
    capped = np.minimum(values, np.quantile(values, 0.99))
    return np.asarray(capped - capped.mean())


def batch_variance(values: Floats, lasting: bool = False) -> float:
    """The variance of the mean of values that depend on their neighbours. `lasting`: for longer
    than batches may be, by how much they depend on each other."""
    sums = by_stretch(values - values.mean())
    alone = np.full(len(sums), np.mean(sums**2))
    return inflation(sums, alone, lasting) * float(np.sum(sums**2)) / len(values) ** 2


def inflation(residuals: Floats, expected: Floats, lasting: bool = False) -> float:
    """How many times the variance of a sum of scores is what independent requests would have.

    Args:
        residuals: float64 [m], of short stretches of equal length in order of time: the sum of
            scores, less what was expected.
        expected: float64 [m], the variance that independent requests would give each.

    The largest ratio over batches of 1, 2, 3, 4, 6, 9, … stretches, as long as there are eight
    (batch means, whose ratio grows with the batch until it holds the dependence: Alexopoulos and
    Steiger 2007); at least 1. `lasting`: times (1 + φ) / (1 − φ), φ the correlation of a batch with
    the next, where there are enough batches to see it (N-Skart: Tafazzoli and Wilson 2011).
    """
    largest, size = 1.0, 1
    while len(residuals) // size >= _BATCHES:
        m = len(residuals) // size
        sums = residuals[: m * size].reshape(m, size).sum(axis=1)
        by_chance = expected[: m * size].sum()
        if by_chance > 0:
            ratio = float(m / (m - 1) * np.sum(sums**2) / by_chance)
            if lasting and m >= 2 * _BATCHES:
                follows = float(np.sum(sums[1:] * sums[:-1]) / np.sum(sums**2)) + 1 / m
                ratio *= (1 + min(max(follows, 0.0), 0.8)) / (1 - min(max(follows, 0.0), 0.8))
            largest = max(largest, ratio)
        size = size + 1 if size < 4 else size * 3 // 2
    return largest
