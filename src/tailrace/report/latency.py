"""Latency of whole runs: percentiles with their intervals, service time, curve and distribution."""

from collections.abc import Sequence

from tailrace.load.measure.point import times_of
from tailrace.report.parts import chip, listed, section, table
from tailrace.report.plot import draw_distribution, draw_percentiles
from tailrace.report.subject import Subject
from tailrace.view.charts import LISTED
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
