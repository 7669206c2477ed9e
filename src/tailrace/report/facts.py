"""Tables of facts, a row each, with a column for each run: the generator's own health, what was
asked for and where it ran, with what differs marked; and the machines of a fleet.
"""

from collections.abc import Callable, Sequence
from functools import partial

from tailrace.load.config import GROUPS, LoadConfig
from tailrace.load.judge.verdict import BUSY_SHARE, LAG_FLOOR_S, LAG_SHARE
from tailrace.load.measure.failures import describe_failures
from tailrace.load.measure.measurement import COUNTS
from tailrace.load.measure.point import Point
from tailrace.load.settings import Setting, settings_of
from tailrace.machine.environment import PACKAGES, Environment
from tailrace.report.subject import Subject
from tailrace.runs.files import Asked
from tailrace.units import NONE, format_lag, number
from tailrace.view.markup import Content, Markup, h
from tailrace.view.parts import card, nodes_table, section, small_unit, table, with_unit

_Fact = tuple[str, Callable[[Subject], str]]

_GIB = 1 << 30
_LATE = (
    f"sent − intended; too late above {1000 * LAG_FLOOR_S:g} ms and "
    f"{100 * LAG_SHARE:g} % of the p99 latency"
)
_PASSING = {"Started", "Load average"}
"""They differ between any two runs, which is no news."""


def health(subjects: Sequence[Subject], charts: Content) -> Markup:
    """What the load workers say of themselves, then `charts` of it."""
    rows = [
        ([name, h("small", about) if about else None], *map(of, subjects))
        for name, about, of in _HEALTH
    ]
    return section(
        "health",
        "The generator's own health",
        card(table("health-table", _heads(subjects), rows)),
        charts,
        about="whether what was measured is the service, or the generator",
    )


def nodes(subjects: Sequence[Subject]) -> Content:
    """The machines of a fleet, a table for each run by one; nothing without any."""
    told = [subject for subject in subjects if subject.result.nodes]
    if not told:
        return None
    return section(
        "nodes",
        "The fleet",
        [card(nodes_table(subject.result.nodes, [subject.chip, " "])) for subject in told],
        about="the machines that the load came from",
    )


def setting(subjects: Sequence[Subject]) -> Content:
    """Configuration and environment of all runs."""
    heads = _heads(subjects)
    return h(
        "div",
        section(
            "configuration",
            "Configuration",
            card(table("setting-table", heads, _rows(_CONFIGURATION, subjects))),
        ),
        section(
            "environment",
            "Environment",
            card(table("setting-table", heads, _rows(_ENVIRONMENT, subjects))),
            about="of the generator, as its run began",
        ),
        class_="settings" if heads else "settings alone",
    )


def _heads(subjects: Sequence[Subject]) -> list[Content]:
    """None where there is but one run."""
    if len(subjects) == 1:
        return []
    return ["", *(h("span", subject.chip, title=subject.info.name) for subject in subjects)]


def _rows(facts: Sequence[_Fact], subjects: Sequence[Subject]) -> list[tuple[Content, ...]]:
    rows: list[tuple[Content, ...]] = []
    for name, of in facts:
        values = [of(subject) for subject in subjects]
        if any(values):
            is_unlike = name not in _PASSING and len(set(values) - {""}) > 1
            # What is the same for all is said once.
            told = values if len(set(values)) > 1 else values[:1]
            cells = [h("span", value or NONE, class_="code") for value in told]
            rows.append(([name, " ", h("mark", "differs") if is_unlike else None], *cells))
    return rows or [("Not told", *(NONE for _ in subjects))]


def _send_lag(subject: Subject) -> Content:
    if not subject.is_over:
        return ["p99 at most ", format_lag(_most(subject, lambda point: point.send_lag_us.p99))]
    lags_us = subject.result.send_lag_us
    return " / ".join(format_lag(lags_us.get(name)) for name in ("p50", "p99", "max"))


def _cpu(subject: Subject) -> Content:
    each = subject.asked.workers if subject.asked is not None else 1
    points = subject.record.points
    length_s = sum(point.interval_s for point in points)
    if not length_s:
        return NONE
    mean = sum(point.cpu_percent * point.interval_s for point in points) / length_s / each
    most = max(point.cpu_percent for point in points) / each
    return [f"{number(mean)} / {number(most)}", small_unit("%")]


def _count(name: str, is_level: bool, subject: Subject) -> Content:
    """A count added up, or a level at its highest; with the setting of the same name, its cap."""
    values = [getattr(point, name) for point in subject.record.points]
    cap = getattr(subject.asked, name, None)
    whole = f"{max(values) if is_level else sum(values):,}" if values else NONE
    return [whole, small_unit(f"of {cap:,}") if isinstance(cap, int) else None]


def _totals(subject: Subject) -> Content:
    names = ("offered", "sent", "completed")
    return " / ".join(f"{getattr(subject.result, name):,}" for name in names)


def _addresses(subject: Subject) -> Content:
    sent = sorted(subject.result.addresses.items())
    # Of one address there is nothing to compare.
    if len(sent) < 2:
        return NONE
    return [h("div", f"{address} {count:,}") for address, count in sent]


def _most(subject: Subject, of: Callable[[Point], float | None]) -> float | None:
    values = (of(point) for point in subject.record.points)
    return max((value for value in values if value is not None), default=None)


_HEALTH: tuple[tuple[str, str, Callable[[Subject], Content]], ...] = (
    (
        "Send lag p50 / p99 / max",
        _LATE,
        _send_lag,
    ),
    (
        "Tick lag, latest",
        "by which its own clock tick came late",
        lambda subject: with_unit(_most(subject, lambda point: point.tick_lag_ms), "ms"),
    ),
    (
        "CPU of a load worker, mean / most",
        f"too busy above {100 * BUSY_SHARE:g} % of a core",
        _cpu,
    ),
    *(
        (count.health, count.about, partial(_count, name, count.level))
        for name, count in COUNTS.items()
        if count.health
    ),
    ("Offered / sent / answered", "", _totals),
    ("Requests by address", "", _addresses),
    (
        "Failures",
        "in no percentile; slower than any bound for an SLO",
        lambda subject: describe_failures(subject.reasons),
    ),
)


def _asked(say: Callable[[Asked], str]) -> Callable[[Subject], str]:
    return lambda subject: say(subject.asked) if subject.asked is not None else ""


def _set(setting: Setting) -> _Fact:
    return setting.label, _asked(lambda asked: setting.say(getattr(asked, setting.name)))


def _told(say: Callable[[Environment], str | None]) -> Callable[[Subject], str]:
    return lambda subject: (subject.environment and say(subject.environment)) or ""


def _gib(size_bytes: int | None) -> str | None:
    return None if size_bytes is None else f"{size_bytes / _GIB:.3g} GiB"


def _cores(machine: Environment) -> str | None:
    if machine.usable_cores is None:
        return None
    return f"{machine.usable_cores} usable of {machine.cores}"


def _container(machine: Environment) -> str:
    cpus = None if machine.cpu_limit is None else f"{machine.cpu_limit:g} CPUs"
    limits = filter(None, (cpus, _gib(machine.memory_limit_bytes)))
    return ", ".join(limits) or "none"


def _machine(machine: Environment) -> str:
    kind = "virtual machine" if machine.virtual else ""
    return ", ".join(filter(None, (machine.product, kind)))


def _load(machine: Environment) -> str | None:
    if machine.load_average is None:
        return None
    return " / ".join(f"{value:.2f}" for value in machine.load_average)


def _package(name: str) -> _Fact:
    return name, _told(lambda machine: machine.packages.get(name))


_CONFIGURATION: tuple[_Fact, ...] = (
    ("Target", lambda subject: subject.info.target),
    ("Started", lambda subject: subject.started),
    ("Profile", lambda subject: subject.info.profile),
    ("Arrivals", lambda subject: subject.info.arrivals),
    ("Different requests", _asked(lambda asked: f"{asked.requests:,}" if asked.requests else "")),
    # All of its settings in one.
    ("Expected of an answer", _asked(lambda asked: asked.expect)),
    *(
        _set(each)
        for each in sorted(settings_of(LoadConfig).values(), key=lambda x: GROUPS.index(x.group))
        if each.name not in ("url", "profile", "arrivals") and not each.name.startswith("expect_")
    ),
)
_ENVIRONMENT: tuple[_Fact, ...] = (
    ("Processor", _told(lambda machine: machine.processor)),
    ("Frequency", _told(lambda machine: machine.frequency)),
    ("Frequency governor", _told(lambda machine: machine.governor or "not told")),
    ("Cores", _told(_cores)),
    ("Memory", _told(lambda machine: _gib(machine.memory_bytes))),
    ("Container limits", _told(_container)),
    ("Load average", _told(_load)),
    ("Machine", _told(_machine)),
    ("System", _told(lambda machine: machine.distribution)),
    ("Kernel", _told(lambda machine: machine.kernel)),
    ("Clock source", _told(lambda machine: machine.clock_source)),
    ("Tailrace", _asked(lambda asked: asked.tailrace)),
    ("Python", _told(lambda machine: machine.python)),
    *map(_package, PACKAGES),
)
