"""What was asked for and where it ran: configuration and environment, with what differs marked."""

from collections.abc import Callable, Sequence

from tailrace.load.config import GROUPS, LoadConfig
from tailrace.load.settings import Setting, settings_of
from tailrace.machine.environment import PACKAGES, Environment
from tailrace.report.parts import heads, section, table
from tailrace.report.subject import Subject
from tailrace.runs.record import Asked
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


def _asked(say: Callable[[Asked], str]) -> Callable[[Subject], str]:
    return lambda subject: say(subject.asked) if subject.asked is not None else ""


def _set(setting: Setting) -> _Row:
    return setting.label, _asked(lambda asked: setting.say(getattr(asked, setting.name)))


def _told(say: Callable[[Environment], object]) -> Callable[[Subject], str]:
    def of(subject: Subject) -> str:
        value = say(subject.environment) if subject.environment is not None else None
        return "" if value is None else str(value)

    return of


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
    ("Started", lambda subject: started(subject.info.started)),
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
    ("Tailrace", _asked(lambda asked: asked.tailrace)),
    ("Python", _told(lambda machine: machine.python)),
    *map(_package, PACKAGES),
)
