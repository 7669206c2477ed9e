"""Latency of whole runs: percentiles with their intervals, service time, curve and distribution."""

from collections.abc import Sequence

from tailrace.report.parts import STATISTICS, chip, listed, section, statistic, table
from tailrace.report.plot import draw_distribution, draw_percentiles
from tailrace.report.subject import Subject
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
    heads: list[Content] = ["", *STATISTICS]
    rows: list[tuple[Content, ...]] = []
    for subject in subjects:
        mark = chip(subjects, subject)
        spans = subject.confidence_ms
        rows.append(
            (
                [mark, " Latency" if mark else "Latency"],
                *(h("b", number(statistic(subject.latency_ms, name))) for name in STATISTICS),
            )
        )
        rows.append(("95 % interval", *(_span(spans.get(name)) for name in STATISTICS)))
        if subject.record.result is not None:
            service = subject.record.result.service_ms
            rows.append(
                ("Service time", *(number(statistic(service, name)) for name in STATISTICS))
            )
    return heads, rows


def _span(interval: tuple[float, float] | None) -> Content:
    shown = f"{number(interval[0])} – {number(interval[1])}" if interval is not None else NONE
    return h("span", shown, class_="dim")
