"""What the service is like, by the requests that it took: a queue or none, steady or not."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tailrace.load.search.block import Block, Floats
from tailrace.load.search.rows import Rows, batch_variance
from tailrace.load.search.virtual import VirtualQueue, recognise

_DISORDER = 0.02
"""Of answers in an order that no queue has, and it is none."""
_FEW = 300
"""Requests near the rate of interest; where there are fewer, all are taken."""
_ALIKE = (0.6, 1.4)
"""Rates at which a service is taken to work as it does at the rate of interest."""
_SURE = 4.0
"""Standard errors from which a change counts as one."""
_CHANGE = 0.03
"""The least change of speed worth a word."""
_OUTSTANDING = 5.0
"""So many times the 99th percentile of service times, and one is a stall, no slow request."""


@dataclass(frozen=True, slots=True)
class Character:
    """What requests near a rate tell of the service.

    Attributes:
        queue: The queue that took them; None where they were taken as by no queue.
        change: By what share service times are longer in the second half than in the first; 0
            where no change is sure. With one, `queue` is that of the second half.
        stalls_s: float64 [k], how long each stall was.
    """

    queue: VirtualQueue | None
    change: float
    stalls_s: Floats


def characterise(blocks: Sequence[Block], rows: Rows, rate_per_s: float) -> Character:
    """Of a service whose highest rate is about `rate_per_s`."""
    whole = np.array([block.share >= 1 for block in blocks])[rows.block] & rows.answered
    queue = recognise(rows.intended_s[whole], rows.latency_s[whole])
    if queue is None or queue.disorder > _DISORDER:
        return Character(None, 0.0, np.empty(0))
    which = rows.block[whole]
    punctual = np.array([not block.late for block in blocks])[which]
    alike = np.array([_is_alike(block.rate_per_s, rate_per_s) for block in blocks])[which]
    chosen = alike & punctual
    if chosen.sum() < _FEW:
        return Character(queue.of(punctual), 0.0, np.empty(0))
    near = queue.of(chosen)
    stalls = _stalls(near)
    change = _change(near.service_s[~near.failed], stalls)
    if change:
        late = np.arange(len(near.failed)) >= len(near.failed) // 2
        near = near.of(late)
    return Character(near, change, stalls)


def _is_alike(one: float, other: float) -> bool:
    return _ALIKE[0] < one / other < _ALIKE[1]


def _stalls(queue: VirtualQueue) -> Floats:
    """How long each stall was: a service time far beyond all but a few."""
    service = queue.service_s[~queue.failed]
    if len(service) < _FEW:
        return np.empty(0)
    longest = _OUTSTANDING * float(np.quantile(service, 0.99))
    stalled: NDArray[np.bool_] = service > longest
    # Servers that stall together are one stall.
    ends = np.flatnonzero(stalled & ~np.append(stalled[1:], False))
    return np.asarray(service[ends])


def _change(service: Floats, stalls: Floats) -> float:
    """By what share the second half's service times are longer, if they surely are."""
    if len(stalls):
        service = np.minimum(service, stalls.min())
    first, second = np.array_split(service, 2)
    before, after = float(first.mean()), float(second.mean())
    error = math.sqrt(batch_variance(first) / before**2 + batch_variance(second) / after**2)
    change = after / before - 1
    return change if abs(change) > max(_SURE * error, _CHANGE) else 0.0
