"""The requests of a search: all of them in order, and which of them say what a rate does."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailrace.load.search.block import Block, Floats

_NEAR = 1.25
"""Two rates whose queues are so alike that what one leaves to the other does not matter."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Requests of blocks in which the generator kept its schedule.

    Attributes:
        intended_s: float64 [n], in order.
        latency_s: float64 [n], inf for failures and for what was outstanding longer than told.
        block: int64 [n], the index of the block of each.
        settled: bool [n]: it is known what came of it, and it met the queue that its own rate
            makes, not one left by another rate.
    """

    intended_s: Floats
    latency_s: Floats
    block: NDArray[np.int64]
    settled: NDArray[np.bool_]


def join(blocks: Sequence[Block], patience_s: float) -> Rows:
    """All rows of `blocks`, in order of time. A request outstanding for `patience_s` counts as
    one that was never answered."""
    parts: list[tuple[Floats, Floats, int, NDArray[np.bool_]]] = []
    clear_s = -np.inf
    for index, block in enumerate(blocks):
        intended, latency = block.intended_s, block.latency_s.copy()
        outstanding = np.isnan(latency)
        undecided = outstanding & (block.end_s - intended <= patience_s)
        # Of what came after the first of them only the quick are answered.
        known = np.arange(len(intended)) < (np.argmax(undecided) if undecided.any() else np.inf)
        latency[outstanding] = np.inf
        before = blocks[index - 1] if index else None
        if before is not None and not _near(before.rate_per_s, block.rate_per_s):
            clear_s = block.begin_s
            for earlier in blocks[max(0, index - 3) : index]:
                clear_s = max(clear_s, _last_answer_s(earlier, block))
        known &= intended >= clear_s
        if block.late:
            known[:] = False
        parts.append((intended, latency, index, known))
    if not parts:
        empty = np.empty(0)
        return Rows(empty, empty, np.empty(0, np.int64), np.empty(0, np.bool_))
    return Rows(
        np.concatenate([part[0] for part in parts]),
        np.concatenate([part[1] for part in parts]),
        np.concatenate([np.full(len(part[0]), part[2]) for part in parts]),
        np.concatenate([part[3] for part in parts]),
    )


def _near(one: float, other: float) -> bool:
    return max(one, other) <= _NEAR * min(one, other)


def _last_answer_s(block: Block, later: Block) -> float:
    """When the last request of a block was answered; if that was not told, when the first of a
    later block was."""
    if np.isnan(block.latency_s).any():
        done = later.intended_s + later.latency_s
        return float(np.min(done, where=np.isfinite(done), initial=np.inf))
    done = block.intended_s + block.latency_s
    return float(np.max(done, where=np.isfinite(done), initial=-np.inf))


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
