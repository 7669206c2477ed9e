"""Latency of whole runs: percentiles with their intervals, curve, distribution, stages."""

from collections.abc import Mapping, Sequence

from tailrace.load.measure.point import STATISTICS, Percentiles, times_of
from tailrace.report.parts import chip, listed, section, table
from tailrace.report.plot import draw_distribution, draw_percentiles
from tailrace.report.subject import Subject
from tailrace.view.charts import COLOURS, LISTED
from tailrace.view.markup import Content, Markup, h
from tailrace.view.words import NONE, number


def latency(subjects: Sequence[Subject]) -> Markup:
    """Tables and figures of all runs."""
    drawn = [
        h("figure", h("figcaption", title), drawing, class_="card")
        for title, drawing in (
            ("By percentile", draw_percentiles(subjects)),
            ("Distribution", draw_distribution(subjects)),
        )
        if drawing is not None
    ]
    missing: list[Content] = [
        f"{subject.name}: latency.hlog has nothing that can be read, so it is in neither figure."
        for subject in subjects
        if not subject.latency.total and subject.info.completed
    ]
    return section(
        "latency",
        "Latency",
        table("percentiles-table", *_percentiles(subjects)),
        h("div", drawn, class_="pair") if drawn else None,
        listed(missing, "notes"),
        about="ms, of answered requests, from each one's intended time",
    )


def _percentiles(
    subjects: Sequence[Subject],
) -> tuple[list[Content], list[tuple[Content, ...]]]:
    heads: list[Content] = ["", *LISTED]
    rows: list[tuple[Content, ...]] = []
    for subject in subjects:
        mark = chip(subjects, subject)
        spans = subject.confidence_ms
        rows.append(
            (
                [mark, " Latency" if mark else "Latency"],
                *(h("b", number(subject.latency_ms.get(name))) for name in LISTED),
            )
        )
        rows.append(("95 % interval", *(_span(spans.get(name)) for name in LISTED)))
        result = subject.record.result
        for label, times in times_of(result)[1:] if result is not None else ():
            rows.append(
                (label[:1].upper() + label[1:], *(number(times.get(name)) for name in LISTED))
            )
    return heads, rows


def _span(interval: tuple[float, float] | None) -> Content:
    shown = f"{number(interval[0])} – {number(interval[1])}" if interval is not None else NONE
    return h("span", shown, class_="dim")


def stages(subjects: Sequence[Subject]) -> Content:
    """A bar of mean times and a table for each run that has stages; nothing without any."""
    told = [subject for subject in subjects if _stages(subject)]
    if not told:
        return None
    longest = max(sum(_means(subject).values()) for subject in told)
    colours = _colours(subjects)
    return section(
        "stages",
        "Stages of the service",
        h(
            "div",
            [_bar(subjects, subject, longest, colours) for subject in told],
            _legend(told, colours),
            class_="card bars",
        ),
        [_table(subjects, subject) for subject in told],
        about="ms, as the service says in Server-Timing",
    )


def _stages(subject: Subject) -> dict[str, Percentiles]:
    result = subject.record.result
    return result.stages_ms if result is not None else {}


def _means(subject: Subject) -> dict[str, float]:
    return {name: one.mean for name, one in _stages(subject).items() if one.mean is not None}


def _colours(subjects: Sequence[Subject]) -> dict[str, str]:
    """By stage, as the charts have them: of the intervals' stages, in the order of their coming."""
    named = [point.stages_ms for subject in subjects for point in subject.record.points]
    named += [_stages(subject) for subject in subjects]
    names = dict.fromkeys(name for one in named for name in one)
    return {name: f"var(--c-stage-{place % COLOURS})" for place, name in enumerate(names)}


def _bar(
    subjects: Sequence[Subject], subject: Subject, longest: float, colours: Mapping[str, str]
) -> Markup:
    means = _means(subject)
    parts = [
        h(
            "span",
            class_="part",
            style=f"width: {100 * mean / longest:.3f}%; background: {colours[name]}",
            title=f"{name} {number(mean)} ms",
        )
        for name, mean in means.items()
    ]
    return h(
        "div",
        h("span", chip(subjects, subject), " mean ", number(sum(means.values())), " ms"),
        h("div", parts, class_="bar"),
        class_="bar-row",
    )


def _legend(subjects: Sequence[Subject], colours: Mapping[str, str]) -> Markup:
    names = dict.fromkeys(name for subject in subjects for name in _means(subject))
    return h(
        "div",
        [
            h("span", h("i", class_="swatch", style=f"background: {colours[name]}"), name)
            for name in names
        ],
        class_="bar-legend",
    )


def _table(subjects: Sequence[Subject], subject: Subject) -> Markup:
    rows: list[tuple[Content, ...]] = [
        (name, *(number(percentiles.get(one)) for one in STATISTICS))
        for name, percentiles in _stages(subject).items()
    ]
    return table("stages-table", [[chip(subjects, subject), " Stage"], *STATISTICS], rows)
