"""Fewer intervals than a long run has: a page of a whole day should still open at once."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np

from tailrace.load.measure.breakdown import Breakdown
from tailrace.load.measure.measurement import COUNTS
from tailrace.load.measure.point import SERIES, Percentiles, Point, per_s

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
    def all_of(name: str) -> list[Any]:
        return [getattr(point, name) for point in points]

    weights = all_of("completed")
    length_s = round(sum(all_of("interval_s")), 6)
    counts = {name: (max if one.level else one.merge)(all_of(name)) for name, one in COUNTS.items()}
    parts = Breakdown.merged(map(_breakdown, points))
    counted, *sums_us = parts.table.tolist()
    stages = all_of("stages_ms")
    slos = [*chain.from_iterable(slo.items() for slo in all_of("slo"))]
    server = chain.from_iterable(told.items() for told in all_of("server"))
    return msgspec.structs.replace(
        points[-1],
        **counts,
        **{field: _join(all_of(field), weights) for field in SERIES},
        **{name: max(all_of(name)) for name in ("tick_lag_ms", "cpu_percent")},
        index=index,
        interval_s=length_s,
        rps=per_s(counts["sent"], length_s),
        qps=per_s(counts["completed"], length_s),
        stages_ms={
            name: _join([stage.get(name, Percentiles()) for stage in stages], weights)
            for name in dict.fromkeys(chain.from_iterable(stages))
        },
        slo={slo: (slo, False) not in slos for slo, _ in slos},
        events=tuple(chain.from_iterable(all_of("events"))),
        failed=dict(sum(map(Counter, all_of("failed")), Counter())),
        latency_bins=dict(zip(parts.bins.tolist(), counted, strict=True)),
        components_us=dict(zip(parts.components, map(tuple, sums_us), strict=True)),
        # Of each figure the last one stays: the highest.
        server=dict(sorted(server, key=itemgetter(1))),
        nodes={},
    )


def _breakdown(point: Point) -> Breakdown:
    """Its components by bin, in µs."""
    bins = sorted(point.latency_bins)
    rows = [[point.latency_bins[number] for number in bins], *point.components_us.values()]
    table = np.array(rows, dtype=np.int64)
    return Breakdown(tuple(point.components_us), np.array(bins, dtype=np.int64), table)


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
