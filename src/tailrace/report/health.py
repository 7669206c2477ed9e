"""The generator's own health: how late it was, how busy, and what it waited for."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from tailrace.load.judge.verdict import BUSY_SHARE, LAG_FLOOR_S, LAG_SHARE
from tailrace.load.measure.failures import describe_failures
from tailrace.load.measure.measurement import COUNTS
from tailrace.load.measure.point import NodeFigures, Point
from tailrace.report.parts import carded, chip, heads, section, table, with_unit
from tailrace.report.subject import Subject
from tailrace.units import format_lag
from tailrace.view.markup import Content, Markup, h
from tailrace.view.tables import nodes_table
from tailrace.view.words import number

_Of = Callable[[Subject], Content]

_LATE = (
    f"sent − intended; too late above {1000 * LAG_FLOOR_S:g} ms and "
    f"{100 * LAG_SHARE:g} % of the p99 latency"
)


def health(subjects: Sequence[Subject], charts: Content) -> Markup:
    """A table of what the load workers say of themselves, then `charts` of it."""
    declared: list[tuple[str, str, _Of]] = [
        (count.health, count.about, partial(_count, name, count.level))
        for name, count in COUNTS.items()
        if count.health
    ]
    asked: tuple[tuple[str, str, _Of], ...] = (
        ("Send lag p50 / p99 / max", _LATE, _send_lag),
        ("Tick lag, latest", "by which its own clock tick came late", _tick_lag),
        (
            "CPU of a load worker, mean / most",
            f"too busy above {100 * BUSY_SHARE:g} % of a core",
            _cpu,
        ),
        *declared,
        ("Offered / sent / answered", "", _counts),
        ("Requests by address", "", _addresses),
        ("Failures", "in no percentile; slower than any bound for an SLO", _failures),
    )
    rows = [(_named(name, why), *map(of, subjects)) for name, why, of in asked]
    return section(
        "health",
        "The generator's own health",
        table("health-table", heads(subjects), rows),
        charts,
        about="whether what was measured is the service, or the generator",
    )


def nodes(subjects: Sequence[Subject]) -> Content:
    """The machines of a fleet, a table for each run by one; nothing without any."""
    told = [(subject, found) for subject in subjects if (found := _nodes(subject))]
    if not told:
        return None
    return section(
        "nodes",
        "The fleet",
        [carded(nodes_table(found, [chip(subjects, subject), " "])) for subject, found in told],
        about="the machines that the load came from",
    )


def _nodes(subject: Subject) -> Mapping[str, NodeFigures]:
    result, points = subject.record.result, subject.record.points
    if result is not None:
        return result.nodes
    return points[-1].nodes if points else {}


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
    each = subject.asked.workers if subject.asked is not None else 1
    points = subject.record.points
    length_s = sum(point.interval_s for point in points)
    if not length_s:
        return number(None)
    mean = sum(point.cpu_percent * point.interval_s for point in points) / length_s / each
    most = max(point.cpu_percent for point in points) / each
    return [f"{number(mean)} / {number(most)}", _unit("%")]


def _count(name: str, is_level: bool, subject: Subject) -> Content:
    """A count added up, or a level at its highest; with the setting of the same name, its cap."""
    values = [getattr(point, name) for point in subject.record.points]
    cap = getattr(subject.asked, name, None)
    whole = (max(values, default=None) if is_level else sum(values)) if values else None
    shown = number(None) if whole is None else f"{whole:,}"
    return [shown, _unit(f"of {cap:,}") if isinstance(cap, int) else None]


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


def _unit(text: str) -> Markup:
    return h("span", f" {text}", class_="unit")
