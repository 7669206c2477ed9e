"""The sparkline of the overview: p99 over the last two minutes against its SLO."""

from collections.abc import Iterable

from tailrace.dashboard.feed import RECENT_S
from tailrace.load.measure.point import Point

WIDTH, HEIGHT = 120, 32

_ROOM = 1.4
"""The axis reaches from 0 to this many times the SLO, or to the highest value if that is more."""


def sparkline(points: Iterable[Point], bound_ms: float | None) -> tuple[str, float | None]:
    """The `d` of an SVG path of WIDTH by HEIGHT, and the y of the SLO's line.

    `points` are oldest first, the last at the right edge. Where an interval is missing or had no
    response, the line is interrupted.
    """
    kept = [(p.wall_time, p.interval_s, p.latency_ms.p99) for p in points]
    values = [p99 for _, _, p99 in kept if p99 is not None]
    top = max((*values, _ROOM * (bound_ms or 0.0)), default=0.0) or 1.0

    def y_of(value_ms: float) -> float:
        return round(HEIGHT - 1 - value_ms / top * (HEIGHT - 2), 1)

    path, before_s = [], float("-inf")
    for at_s, interval_s, p99 in kept:
        if p99 is None:
            continue
        x = round(WIDTH - (kept[-1][0] - at_s) * (WIDTH / RECENT_S), 1)
        joined = at_s - before_s < 1.5 * interval_s
        # A line to itself is a dot: round caps draw it.
        path.append(f"L{x:g} {y_of(p99):g}" if joined else f"M{x:g} {y_of(p99):g}h0")
        before_s = at_s
    return "".join(path), None if bound_ms is None else y_of(bound_ms)
