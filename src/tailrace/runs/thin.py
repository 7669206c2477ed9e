"""Fewer intervals than a long run has: a page of a whole day should still open at once."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, groupby
from typing import Any, TypeVar

from tailrace.load.measure.measurement import COUNTS
from tailrace.load.measure.point import SERIES, Percentiles, Point, per_s

_T = TypeVar("_T")

MOST_INTERVALS = 1800
"""On one page, of all its runs together: with more, neighbours are drawn as one."""


def thin(points: Sequence[Point], most: int) -> tuple[Sequence[Point], int]:
    """At most `most` (or one more) intervals, each standing for as many neighbours, and for how
    many. Counts add up, rates and means are means; percentiles, levels and CPU are the highest, so
    that no peak is lost.
    """
    if len(points) <= most:
        return points, 1
    each = -(-len(points) // most)
    groups = groupby(points, lambda point: point.index // each)
    return [_merge(number, list(group)) for number, group in groups], each


def _merge(index: int, points: list[Point]) -> Point:
    last = points[-1]
    length_s = round(sum(point.interval_s for point in points), 6)
    weights = [point.completed for point in points]
    slos = chain.from_iterable(point.slo.items() for point in points)
    broken = {expression for expression, is_kept in slos if not is_kept}

    def highest(tables: Iterable[dict[str, float]]) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, value in chain.from_iterable(table.items() for table in tables):
            found[name] = max(value, found.get(name, value))
        return found

    def all_of(name: str) -> list[Any]:
        return [getattr(point, name) for point in points]

    declared: dict[str, Any] = {
        **{name: (max if one.level else one.merge)(all_of(name)) for name, one in COUNTS.items()},
        **{field: _join(all_of(field), weights) for field in SERIES},
    }
    return Point(
        **declared,
        index=index,
        t_s=last.t_s,
        wall_time=last.wall_time,
        interval_s=length_s,
        target_per_s=last.target_per_s,
        failed=_sum(point.failed for point in points),
        rps=per_s(declared["sent"], length_s),
        qps=per_s(sum(weights), length_s),
        tick_lag_ms=max(point.tick_lag_ms for point in points),
        stages_ms={
            name: _join([point.stages_ms.get(name, Percentiles()) for point in points], weights)
            for name in dict.fromkeys(chain.from_iterable(point.stages_ms for point in points))
        },
        slo={expression: expression not in broken for point in points for expression in point.slo},
        cpu_percent=max(point.cpu_percent for point in points),
        events=tuple(event for point in points for event in point.events),
        latency_bins=dict(sorted(_sum(point.latency_bins for point in points).items())),
        components_us=_add_components(points),
        server=highest(point.server for point in points),
    )


def _sum(tables: Iterable[dict[_T, int]]) -> dict[_T, int]:
    total: Counter[_T] = Counter()
    for table in tables:
        total.update(table)
    return dict(total)


def _add_components(points: Sequence[Point]) -> dict[str, tuple[int, ...]]:
    """Sums by component over the bins of all points, as a Point has them: in the bins' order."""
    bins = sorted({number for point in points for number in point.latency_bins})
    place = {number: at for at, number in enumerate(bins)}
    sums: dict[str, list[int]] = {}
    for point in points:
        own = sorted(point.latency_bins)
        for name, parts_us in point.components_us.items():
            whole = sums.setdefault(name, [0] * len(bins))
            for number, us in zip(own, parts_us, strict=True):
                whole[place[number]] += us
    return {name: tuple(whole) for name, whole in sums.items()}


def _join(parts: Sequence[Percentiles], weights: Iterable[int]) -> Percentiles:
    weighted = [
        (part.mean, weight)
        for part, weight in zip(parts, weights, strict=True)
        if part.mean is not None
    ]
    total = sum(weight for _, weight in weighted)
    highest = {
        name: max((value for p in parts if (value := getattr(p, name)) is not None), default=None)
        for name in Percentiles.__struct_fields__
    }
    mean = round(sum(mean * weight for mean, weight in weighted) / total, 4) if total else None
    return Percentiles(**{**highest, "mean": mean})
