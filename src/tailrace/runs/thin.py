"""Fewer intervals than a long run has: a page of a whole day should still open at once."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from heapq import nlargest
from itertools import groupby

from tailrace.load.measure.point import SLOWEST, Percentiles, Point

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
    failed: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    bins: Counter[int] = Counter()
    for point in points:
        failed.update(point.failed)
        reasons.update(point.reasons)
        bins.update(point.latency_bins)
    stages = dict.fromkeys(name for point in points for name in point.stages_ms)
    server = dict.fromkeys(name for point in points for name in point.server)
    weights = [point.completed for point in points]

    def highest(of: Callable[[Point], float]) -> float:
        return max(map(of, points))

    return Point(
        index=index,
        t_s=last.t_s,
        wall_time=last.wall_time,
        interval_s=length_s,
        target_per_s=last.target_per_s,
        offered=sum(point.offered for point in points),
        sent=sum(point.sent for point in points),
        completed=sum(weights),
        failed=dict(failed),
        reasons=dict(reasons),
        examples={reason: text for point in points for reason, text in point.examples.items()},
        rps=round(sum(point.sent for point in points) / length_s, 3),
        qps=round(sum(weights) / length_s, 3),
        in_flight=max(point.in_flight for point in points),
        backlog=max(point.backlog for point in points),
        connections=max(point.connections for point in points),
        cap_waits=sum(point.cap_waits for point in points),
        tick_lag_ms=highest(lambda point: point.tick_lag_ms),
        latency_ms=_join([point.latency_ms for point in points], weights),
        service_ms=_join([point.service_ms for point in points], weights),
        send_lag_us=_join([point.send_lag_us for point in points], weights),
        stages_ms={
            name: _join([point.stages_ms.get(name, Percentiles()) for point in points], weights)
            for name in stages
        },
        cpu_percent=highest(lambda point: point.cpu_percent),
        events=tuple(event for point in points for event in point.events),
        latency_bins=dict(sorted(bins.items())),
        components_us=_add_components(points),
        slowest=tuple(
            nlargest(
                SLOWEST,
                (request for point in points for request in point.slowest),
                key=lambda request: request.latency_ms,
            )
        ),
        server={
            name: max(point.server[name] for point in points if name in point.server)
            for name in server
        },
    )


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
    names = (name for name in Percentiles.__struct_fields__ if name != "mean")
    highest = {
        name: max((value for p in parts if (value := getattr(p, name)) is not None), default=None)
        for name in names
    }
    return Percentiles(
        mean=round(sum(mean * weight for mean, weight in weighted) / total, 4) if total else None,
        **highest,
    )
