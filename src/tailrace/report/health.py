"""The generator's own health: how late it was, how busy, and what it waited for."""

from collections.abc import Callable, Sequence

from tailrace.load.judge.verdict import BUSY_SHARE, LAG_FLOOR_S, LAG_SHARE
from tailrace.load.measure.failures import describe_failures
from tailrace.load.measure.point import Point
from tailrace.report.parts import heads, section, table, with_unit
from tailrace.report.subject import Subject
from tailrace.units import format_lag
from tailrace.view.markup import Content, Markup, h
from tailrace.view.words import number

_LATE = (
    f"sent − intended; too late above {1000 * LAG_FLOOR_S:g} ms and "
    f"{100 * LAG_SHARE:g} % of the p99 latency"
)


def health(subjects: Sequence[Subject], charts: Content) -> Markup:
    """A table of what the load workers say of themselves, then `charts` of it."""
    rows = [
        (_named(name, why), *(of(subject) for subject in subjects))
        for name, why, of in (
            (
                "Send lag p50 / p99 / max",
                _LATE,
                _send_lag,
            ),
            ("Tick lag, latest", "by which its own clock tick came late", _tick_lag),
            (
                "CPU of a load worker, mean / most",
                f"too busy above {100 * BUSY_SHARE:g} % of a core",
                _cpu,
            ),
            ("Requests that waited for a connection", "all were busy, at the cap", _waits),
            ("Backlog, most", "due, and not sent yet", _backlog),
            ("Connections, most", "open at an interval's end", _connections),
            ("In flight, most", "at an interval's end", _in_flight),
            ("Offered / sent / answered", "", _counts),
            ("Requests by address", "", _addresses),
            ("Failures", "in no percentile; slower than any bound for an SLO", _failures),
        )
    ]
    return section(
        "health",
        "The generator's own health",
        table("health-table", heads(subjects), rows),
        charts,
        about="whether what was measured is the service, or the generator",
    )


def _named(name: str, why: str) -> Content:
    return [name, h("small", why) if why else None]


def _send_lag(subject: Subject) -> Content:
    result = subject.record.result
    if result is None:
        return ["p99 at most ", format_lag(_most(subject, lambda point: point.send_lag_us.p99))]
    return " / ".join(format_lag(result.send_lag_us.get(name)) for name in ("p50", "p99", "max"))


def _tick_lag(subject: Subject) -> Content:
    return with_unit(_most(subject, lambda point: point.tick_lag_ms), "ms")


def _cpu(subject: Subject) -> Content:
    workers = subject.asked.get("workers")
    each = workers if isinstance(workers, int) and workers > 0 else 1
    points = subject.record.points
    length_s = sum(point.interval_s for point in points)
    if not length_s:
        return number(None)
    mean = sum(point.cpu_percent * point.interval_s for point in points) / length_s / each
    most = max(point.cpu_percent for point in points) / each
    return [f"{number(mean)} / {number(most)}", _unit("%")]


def _waits(subject: Subject) -> Content:
    return f"{sum(point.cap_waits for point in subject.record.points):,}"


def _backlog(subject: Subject) -> Content:
    return _whole(_most(subject, lambda point: point.backlog))


def _connections(subject: Subject) -> Content:
    cap = subject.asked.get("connections")
    most = _whole(_most(subject, lambda point: point.connections))
    return [most, _unit(f"of {cap:,}") if isinstance(cap, int) else None]


def _in_flight(subject: Subject) -> Content:
    return _whole(_most(subject, lambda point: point.in_flight))


def _addresses(subject: Subject) -> Content:
    result = subject.record.result
    sent = sorted(result.addresses.items()) if result is not None else []
    # Of one address there is nothing to compare.
    shares = [h("div", f"{address} {count:,}") for address, count in sent if len(sent) > 1]
    return list(shares) or number(None)


def _counts(subject: Subject) -> Content:
    points = subject.record.points
    result = subject.record.result
    counts = (
        (result.offered, result.sent, result.completed)
        if result is not None
        else (
            sum(point.offered for point in points),
            sum(point.sent for point in points),
            sum(point.completed for point in points),
        )
    )
    return " / ".join(f"{count:,}" for count in counts)


def _failures(subject: Subject) -> Content:
    return describe_failures(subject.reasons)


def _most(subject: Subject, of: Callable[[Point], float | None]) -> float | None:
    values = (of(point) for point in subject.record.points)
    return max((value for value in values if value is not None), default=None)


def _whole(value: float | None) -> str:
    return number(None) if value is None else f"{int(value):,}"


def _unit(text: str) -> Markup:
    return h("span", f" {text}", class_="unit")
