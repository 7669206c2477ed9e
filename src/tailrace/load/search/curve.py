"""The share over the bound against the rate, as measured, and what it shows besides the answer."""

from collections.abc import Iterator, Sequence

import numpy as np

from tailrace.load.search.answer import CurvePoint
from tailrace.load.search.block import Block, Floats
from tailrace.load.search.goal import Goal
from tailrace.load.search.rows import Rows, batch_variance
from tailrace.units import format_figure

_SAME = 1.03
"""Rates no further apart are one point."""


def curve(
    goal: Goal, blocks: Sequence[Block], rows: Rows, inflation: float
) -> tuple[CurvePoint, ...]:
    """A point for each rate that was tried, by rate, with 95 % intervals."""
    points = []
    order = sorted(range(len(blocks)), key=lambda index: blocks[index].rate_per_s)
    group: list[int] = []
    for place, index in enumerate(order):
        group.append(index)
        lowest = blocks[group[0]].rate_per_s
        following = order[place + 1] if place + 1 < len(order) else None
        if following is None or blocks[following].rate_per_s > _SAME * lowest:
            point = _point(goal, [blocks[k] for k in group], rows, group, inflation)
            if point is not None:
                points.append(point)
            group = []
    return tuple(points)


def _point(
    goal: Goal, blocks: Sequence[Block], rows: Rows, indices: Sequence[int], inflation: float
) -> CurvePoint | None:
    chosen = np.isin(rows.block, indices) & rows.settled
    n = int(chosen.sum())
    if not n:
        return None
    latency = rows.latency_s[chosen]
    scores = np.minimum(goal.scores(latency), goal.most)
    share = float(scores.mean())
    low, high = _interval(goal, scores, inflation)
    statistic = goal.statistic_s(latency)
    offered = sum(block.offered for block in blocks)
    return CurvePoint(
        rate_per_s=sum(block.rate_per_s * block.offered for block in blocks) / max(offered, 1)
        or blocks[0].rate_per_s,
        seconds=sum(block.end_s - block.begin_s for block in blocks),
        requests=n,
        statistic_ms=None if statistic is None else statistic * 1000,
        share=share,
        low=low,
        high=high,
    )


def _interval(goal: Goal, scores: Floats, inflation: float) -> tuple[float, float]:
    """95 %: of a share by the exact binomial (Clopper and Pearson 1934) of so many requests as are
    independent; of a mean by batch means."""
    from scipy.special import betaincinv

    mean = float(scores.mean())
    if goal.is_mean:
        half = 2.3 * float(np.sqrt(batch_variance(scores)))
        return max(mean - half, 0.0), mean + half
    n = len(scores) / inflation
    over = mean * n
    low = float(betaincinv(over, n - over + 1, 0.025)) if over > 0 else 0.0
    high = float(betaincinv(over + 1, n - over, 0.975)) if over < n else 1.0
    return low, high


def find_dip(points: Sequence[CurvePoint]) -> tuple[CurvePoint, CurvePoint] | None:
    """The worst of the rates far below the best one, where it is surely worse, as with batches that
    fill faster, and the best one; None where there are no such."""
    if not points:
        return None
    least = min(point.share for point in points)
    best = max((p for p in points if p.share <= least), key=lambda point: point.rate_per_s)
    worse = [p for p in points if p.rate_per_s <= best.rate_per_s / 2 and p.low > best.high]
    return (max(worse, key=lambda point: point.low), best) if worse else None


def describe_shape(goal: Goal, points: Sequence[CurvePoint]) -> Iterator[str]:
    """Where the curve is not what a search rests on: that a higher rate is worse."""
    dip = find_dip(points)
    if dip is not None and dip[0].low > goal.allowed:
        worst, best = dip
        yield (
            f"not monotone: at {format_figure(worst.rate_per_s)}/s {goal.describe(worst.share)}, "
            f"at {format_figure(best.rate_per_s)}/s {goal.describe(best.share)}: what holds at a "
            "rate need not hold below it"
        )
