"""One service at a glance: what the overview says of it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tailrace.control.interface import ServiceInfo
from tailrace.dashboard.figures import NONE, number
from tailrace.dashboard.sparkline import sparkline
from tailrace.load.point import Point
from tailrace.load.slo import Slo
from tailrace.load.verdict import LAG_FLOOR_S, LAG_SHARE
from tailrace.units import format_duration

Said = dict[str, Any]


def glance(service: ServiceInfo, slos: Sequence[Slo], points: Sequence[Point]) -> Said:
    """What overview.js shows of a service whose last intervals are `points`, oldest first.

    `texts` by the name of their field, `flags` that the style sheet knows, the sparkline's `path`
    and the y of its `bound`, and `rate` for the input.
    """
    last = points[-1] if points else None
    texts = {"name": service.name, "url": f"{service.method} {service.url}", "state": service.state}
    flags: list[str] = [service.state]
    for said, flag in (
        _rate(service, last),
        _tail(last, slos),
        _failures(points),
        _generator(last),
        _verdict(service),
    ):
        texts |= said
        flags += [flag] if flag else []
    p99 = next((slo for slo in slos if slo.statistic == "p99"), None)
    path, bound = sparkline(points, p99.bound_s * 1e3 if p99 is not None else None)
    return {
        "id": service.id,
        "rate": service.rate_per_s,
        "texts": texts,
        "flags": " ".join(flags),
        "path": path,
        "bound": bound,
    }


def is_late(point: Point) -> bool:
    """Whether the generator was too late in this interval, by the verdict's own measure."""
    lag_s = (point.send_lag_us.p99 or 0.0) / 1e6
    latency_s = (point.latency_ms.p99 or 0.0) / 1e3
    return lag_s > max(LAG_FLOOR_S, LAG_SHARE * latency_s)


_Part = tuple[dict[str, str], str | None]


def _rate(service: ServiceInfo, last: Point | None) -> _Part:
    live = last if service.state != "idle" else None
    reached = f"{number(live.rps)}/s" if live is not None else NONE
    return {"asked": f"{number(service.rate_per_s)}/s", "reached": reached}, None


def _tail(last: Point | None, slos: Sequence[Slo]) -> _Part:
    latency = last.latency_ms if last is not None else None
    over = [
        slo.expression
        for slo in slos
        if (value := getattr(latency, slo.statistic.replace(".", "_"), None)) is not None
        and value > slo.bound_s * 1e3
    ]
    p99 = number(latency.p99 if latency is not None else None)
    if over:
        return {"p99": p99, "slo": f"over {', '.join(over)}"}, "over"
    within = ", ".join(slo.expression for slo in slos)
    return {"p99": p99, "slo": within and f"SLO {within}"}, None


def _failures(points: Sequence[Point]) -> _Part:
    if not points:
        return {"failures": NONE, "kinds": ""}, None
    kinds = Counter[str]()
    for point in points:
        kinds.update(point.failed)
    told = " · ".join(f"{kind} {count:,}" for kind, count in kinds.most_common() if count)
    return {"failures": f"{kinds.total():,}", "kinds": told}, "failing" if told else None


def _generator(last: Point | None) -> _Part:
    if last is None:
        return {"generator": NONE, "lag": ""}, None
    lag_us, late = last.send_lag_us.p99, is_late(last)
    lag = NONE if lag_us is None else format_duration(lag_us / 1e6)
    note = f"lag {lag} · CPU {last.cpu_percent:.0f} %"
    return {"generator": "late" if late else "fine", "lag": note}, "late" if late else None


def _verdict(service: ServiceInfo) -> _Part:
    verdict = service.verdict
    if verdict is None:
        return {"verdict": NONE, "reasons": ""}, None
    word = "valid" if verdict.valid else "invalid"
    return {"verdict": word.upper(), "reasons": "; ".join(verdict.reasons)}, word
