"""The page of one or several runs, whole: nothing in it is fetched from anywhere."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tailrace import __version__
from tailrace.load.session.found import Found
from tailrace.load.session.result import Result
from tailrace.report import bundle
from tailrace.report.differences import differences
from tailrace.report.facts import health, nodes, setting
from tailrace.report.latency import latency, stages
from tailrace.report.overview import failed, head, overview
from tailrace.report.searched import search
from tailrace.report.subject import Subject, is_search, read_subjects
from tailrace.runs.compare.compare import Comparison, compare
from tailrace.runs.directory import read_search
from tailrace.runs.listing import RunInfo
from tailrace.runs.thin import MOST_INTERVALS, thin
from tailrace.view.charts import (
    COMPARED,
    COMPARED_HEALTH,
    RUN,
    RUN_HEALTH,
    configure,
    tell_slos,
)
from tailrace.view.markup import SIGN, THEME_SWITCH, Content, Markup, document, h
from tailrace.view.parts import listed, section


class Told(msgspec.Struct, frozen=True):
    """A run in the report's document."""

    run: str
    """Its directory."""
    info: RunInfo
    result: Result | None
    """None where it did not come to its end."""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What the page says, for programs: it is in the page as well, as the script `document`."""

    runs: tuple[Told, ...]
    comparisons: tuple[Comparison, ...]
    """Of each further run with the first."""
    searches: tuple[Found, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """What a control room puts around a report that it shows."""

    header: Content
    tools: Content
    """Above the report: what can be done with its runs."""
    styles: Sequence[str] = ()
    scripts: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A report."""

    html: str
    document: Document


def make_page(paths: Sequence[Path], frame: Frame | None = None) -> Page:
    """The report on the runs and searches in the directories `paths`; several runs are compared
    with the first of them. Without a `frame` it is a document on its own, to keep and pass on.

    Raises:
        UsageError: one of them is neither a run's directory nor a search's, or there are too many.
        UnknownRunError: one went away meanwhile.
    """
    searches = {path: read_search(path) for path in paths if is_search(path)}
    subjects = read_subjects([path for path in paths if path not in searches])
    comparisons = [compare([subjects[0].path], [other.path]) for other in subjects[1:]]
    told = Document(
        runs=tuple(Told(str(one.path), one.info, one.record.result) for one in subjects),
        comparisons=tuple(comparisons),
        searches=tuple(searches.values()),
    )
    most = MOST_INTERVALS // max(1, len(subjects))
    sources, each = [], 1
    for subject in subjects:
        points, own = thin(subject.record.points, most)
        each = max(each, own)
        packed = bundle.pack(msgspec.json.encode(points).decode())
        sources.append({"label": subject.name, "slos": tell_slos(subject.slos), "packed": packed})
    content = [
        [search(path, found) for path, found in searches.items()],
        _sections(subjects, comparisons, each) if subjects else None,
    ]
    names = [path.resolve().name for path in paths]
    title = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    data = [
        _data("document", _in_script(msgspec.json.encode(told).decode())),
        _data("sources", _in_script(json.dumps(sources))),
        _data("modules", bundle.packed_modules(), "text/plain"),
    ]
    return Page(_whole(title, content, frame, data, [bundle.start_script()]), told)


def make_notice(title: str, content: Content, frame: Frame) -> str:
    """The HTML of a page that looks like a report, and says why there is none."""
    return _whole(title, content, frame)


def _sections(subjects: Sequence[Subject], comparisons: Sequence[Comparison], each: int) -> Content:
    alone = len(subjects) == 1
    runs = [] if alone else [subject.name for subject in subjects]
    failing = any(subject.failures for subject in subjects)
    charts = [name for name in (RUN if alone else COMPARED) if failing or "failures" not in name]
    of_health = RUN_HEALTH if alone else COMPARED_HEALTH
    thinned: list[Content] = [
        f"So many intervals are drawn {each} at a time: rates are means, percentiles the highest."
    ]
    return [
        head(subjects),
        overview(subjects),
        failed(subjects),
        differences(subjects, comparisons),
        latency(subjects),
        section(
            "timeline",
            None,
            _timeline("Timeline", charts, runs),
            listed(thinned, "notes") if each > 1 else None,
        ),
        stages(subjects),
        health(subjects, _timeline("Over time", of_health, runs, plain=True)),
        nodes(subjects),
        setting(subjects),
    ]


def _timeline(
    title: str, charts: Iterable[str], runs: Sequence[str], *, plain: bool = False
) -> Markup:
    config = configure("elapsed", list(charts), runs=runs, title=title, plain=plain)
    return h(
        "div",
        class_="timeline",
        data_timeline=json.dumps(config),
        role="group",
        aria_label=title,
    )


def _whole(
    title: str,
    content: Content,
    frame: Frame | None,
    data: Content = None,
    scripts: Sequence[str] = (),
) -> str:
    main = h(
        "main",
        frame.tools if frame else None,
        h("noscript", _NO_SCRIPT),
        content,
        id="main",
        tabindex=-1,
    )
    footer = h("footer", h("span", _FOOTER), h("span", f"Tailrace {__version__}"))
    return document(
        f"{title} · Tailrace {'control room' if frame else 'report'}",
        [frame.header if frame else _header(), main, footer, data],
        styles=[bundle.style(), *(frame.styles if frame else ())],
        scripts=[*scripts, *(frame.scripts if frame else ())],
        same_site=frame is not None,
    )


def _header() -> Markup:
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    brand = h("span", "Tailrace report", class_="brand")
    return h("header", SIGN, brand, h("span", f"made {made}", class_="made"), THEME_SWITCH)


def _data(name: str, text: str, kind: str = "application/json") -> Markup:
    return h("script", Markup(text), type=kind, id=name)


_NO_SCRIPT = h(
    "p", "The charts over time need JavaScript; all tables and figures are here.", class_="problems"
)
_FOOTER = (
    "Latency is counted from the instant a request was meant to leave, so a slow service cannot "
    "hide behind late requests. Percentiles are of answered requests; failed ones are counted "
    "beside them, and as infinitely slow in an SLO."
)


def _in_script(text: str) -> str:
    """JSON in which nothing ends a script, nor begins a comment in it."""
    return text.replace("<", "\\u003c")
