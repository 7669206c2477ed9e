"""What the service is like, by the requests that it took: a queue or none, steady or not."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tailrace.load.search.block import Block, Floats
from tailrace.load.search.rows import Rows, batch_variance, depends, swing
from tailrace.load.search.virtual import VirtualQueue, recognise

_DISORDER = 0.02
"""Of answers in an order that no queue has, and it is none."""
_FEW = 300
"""Requests near the rate of interest; where there are fewer, all are taken."""
_ALIKE = (0.6, 1.4)
"""Rates at which a service is taken to work as it does at the rate of interest."""
_SURE = 4.0
"""Standard errors from which a change counts as one."""
_PARTS, _TREND = 12, 0.85
"""The correlation with time, of the means of so many parts, from which a change is a trend."""
_START, _OTHER = 50, 0.15
"""So many requests of the ramp whose service times differ by so much, and the ramp says nothing of
what came after."""
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
        since_s: When the second half began, if there is a change.
    """

    queue: VirtualQueue | None
    change: float = 0.0
    since_s: float = -math.inf


def characterise(
    blocks: Sequence[Block], rows: Rows, rate_per_s: float, ramp_until_s: float
) -> Character:
    """Of a service whose highest rate is about `rate_per_s`; its rate rose to too much until
    `ramp_until_s`."""
    whole = np.array([block.share >= 1 for block in blocks])[rows.block] & rows.answered
    queue = recognise(rows.intended_s[whole], rows.latency_s[whole])
    if queue is None or queue.disorder > _DISORDER:
        return Character(None)
    came = rows.intended_s[whole]
    which = rows.block[whole]
    punctual = np.array([not block.late for block in blocks])[which]
    since_s = -math.inf
    before, after = (
        queue.service_s[punctual & ~queue.failed & part]
        for part in (came < ramp_until_s, came >= ramp_until_s)
    )
    if min(len(before), len(after)) >= _START and _differ(before, after):
        # Warm-up, or a service that works otherwise under too much load.
        since_s = ramp_until_s
        punctual &= came >= since_s
    queue, normal = _without_stalls(queue, came, punctual)
    punctual &= normal
    blocks_only = punctual & ~queue.failed & (came >= ramp_until_s)
    change = _change(queue.service_s[blocks_only])
    if change:
        since_s = float(np.median(came[blocks_only]))
        punctual &= came >= since_s
    alike = np.array([_is_alike(block.rate_per_s, rate_per_s) for block in blocks])[which]
    chosen = alike & punctual
    if chosen.sum() < _FEW:
        chosen = punctual
    if (chosen & ~queue.failed).sum() < _START:
        return Character(None)
    near = queue.of(chosen)
    service = near.service_s[~near.failed]
    near = replace(near, dependent=depends(service), swing=swing(service))
    return Character(near, change, since_s)


def _differ(before: Floats, after: Floats) -> bool:
    one, other = float(before.mean()), float(after.mean())
    error = math.sqrt(batch_variance(before) + batch_variance(after))
    return abs(other - one) > max(_SURE * error, _OTHER * other)


def _is_alike(one: float, other: float) -> bool:
    return _ALIKE[0] < one / other < _ALIKE[1]


def _without_stalls(
    queue: VirtualQueue, came_s: Floats, chosen: NDArray[np.bool_]
) -> tuple[VirtualQueue, NDArray[np.bool_]]:
    """The queue with its stalls apart, and which requests met none: a stall is a service time far
    beyond all but a few of those chosen. Where several serve, one that is slow stalls no other."""
    service = queue.service_s
    usual = service[chosen & ~queue.failed]
    normal = np.ones(len(service), dtype=bool)
    if queue.servers > 1 or len(usual) < _FEW:
        return queue, normal
    normal = service <= _OUTSTANDING * float(np.quantile(usual, 0.99))
    stalls = service[chosen & ~normal]
    if not len(stalls):
        return queue, normal
    span_s = float(came_s[chosen][-1] - came_s[chosen][0])
    return replace(queue, stalls_s=stalls, stalls_per_s=len(stalls) / span_s), normal


def _change(service: Floats) -> float:
    """By what share the second half's service times are longer, if they surely are."""
    if len(service) < _FEW // 2:
        return 0.0
    # What comes and goes, as contention does, has halves that differ, and no trend.
    parts = [float(part.mean()) for part in np.array_split(service, _PARTS)]
    first, second = (float(np.mean(half)) for half in np.array_split(parts, 2))
    if abs(second / first - 1) <= _CHANGE:
        return 0.0
    trend = float(np.corrcoef(parts, np.arange(_PARTS))[0, 1])
    return second / first - 1 if abs(trend) > _TREND else 0.0
