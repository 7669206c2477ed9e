"""What was asked for and where it ran: configuration and environment, with what differs marked."""

from collections.abc import Callable, Sequence
from typing import Any

from tailrace.load.schedule.schedule import WHOLE
from tailrace.machine.environment import PACKAGES, Environment
from tailrace.report.parts import heads, section, table
from tailrace.report.subject import Subject
from tailrace.units import format_duration
from tailrace.view.markup import Content, Markup, h
from tailrace.view.words import NONE, started

_Row = tuple[str, Callable[[Subject], str]]
_GIB = 1 << 30

_PASSING = {"Started", "Load average"}
"""They differ between any two runs, which is no news."""


def setting(subjects: Sequence[Subject]) -> Content:
    """Configuration and environment of all runs."""
    return h(
        "div",
        section(
            "configuration",
            "Configuration",
            table("setting-table", heads(subjects), _rows(_CONFIGURATION, subjects)),
        ),
        section(
            "environment",
            "Environment",
            table("setting-table", heads(subjects), _rows(_ENVIRONMENT, subjects)),
            about="of the generator, as its run began",
        ),
        class_="settings alone" if len(subjects) == 1 else "settings",
    )


def differing(subjects: Sequence[Subject]) -> list[str]:
    """Names of what is not the same for all runs that tell it."""
    return [
        name
        for name, of in (*_CONFIGURATION, *_ENVIRONMENT)
        if name not in _PASSING and len({of(subject) for subject in subjects} - {""}) > 1
    ]


def _rows(rows: Sequence[_Row], subjects: Sequence[Subject]) -> list[tuple[Content, ...]]:
    unlike = differing(subjects)
    shown: list[tuple[Content, ...]] = []
    for name, of in rows:
        values = [of(subject) for subject in subjects]
        if any(values):
            mark = h("mark", "differs") if name in unlike else None
            # What is the same for all is said once.
            told = values if len(set(values)) > 1 else values[:1]
            shown.append(([name, " ", mark], *(_cell(value) for value in told)))
    return shown or [("Not told", *(NONE for _ in subjects))]


def _cell(value: str) -> Markup:
    return h("span", value or NONE, class_="code")


def _asked(key: str, say: Callable[[Any], str] = str) -> Callable[[Subject], str]:
    def of(subject: Subject) -> str:
        value = subject.asked.get(key)
        try:
            return "" if value is None or value == [] else say(value)
        except (TypeError, ValueError):
            return str(value)  # a file that was edited

    return of


def _told(say: Callable[[Environment], object]) -> Callable[[Subject], str]:
    def of(subject: Subject) -> str:
        value = say(subject.environment) if subject.environment is not None else None
        return "" if value is None else str(value)

    return of


def _count(value: int) -> str:
    return f"{value:,}"


def _part(text: str) -> str:
    return "" if text == str(WHOLE) else text


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


def _package(name: str) -> _Row:
    return name, _told(lambda machine: machine.packages.get(name))


_CONFIGURATION: tuple[_Row, ...] = (
    ("Target", lambda subject: subject.info.target),
    ("Method", _asked("method")),
    ("Started", lambda subject: started(subject.info.started)),
    ("Duration asked for", _asked("duration_s", format_duration)),
    ("Profile", lambda subject: subject.info.profile),
    ("Arrivals", lambda subject: subject.info.arrivals),
    ("Seed", _asked("seed")),
    ("Part of the load", _asked("part", _part)),
    ("SLOs", _asked("slos", ", ".join)),
    ("Given up on", _asked("abort_on", ", ".join)),
    ("Least duration for a verdict", _asked("min_duration_s", format_duration)),
    ("Different requests", _asked("requests", _count)),
    ("Expected of an answer", _asked("expect")),
    ("Load workers", _asked("workers", _count)),
    ("Connections, at most", _asked("connections", _count)),
    ("Timeout", _asked("timeout_s", format_duration)),
    ("Interval", _asked("interval_s", format_duration)),
)
_ENVIRONMENT: tuple[_Row, ...] = (
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
    ("Tailrace", _asked("tailrace")),
    ("Python", _told(lambda machine: machine.python)),
    *map(_package, PACKAGES),
)
