"""The machines of a fleet: what each of them sent, how late and how busy it was."""

from collections.abc import Mapping, Sequence

from tailrace.load.measure.point import NodeFigures
from tailrace.report.parts import chip, section, table, with_unit
from tailrace.report.subject import Subject
from tailrace.units import format_lag
from tailrace.view.markup import Content
from tailrace.view.words import number

_HEADS = ("workers", "sent, /s", "send lag p99", "CPU, %", "clock within", "reported up to")


def nodes(subjects: Sequence[Subject]) -> Content:
    """A table for each run by a fleet; nothing without any."""
    told = [(subject, found) for subject in subjects if (found := _nodes(subject))]
    if not told:
        return None
    return section(
        "nodes",
        "The fleet",
        [
            table(
                "nodes-table",
                [[chip(subjects, subject), " Node"], *_HEADS],
                [_row(name, figures) for name, figures in found.items()],
            )
            for subject, found in told
        ],
        about="the machines that the load came from",
    )


def _nodes(subject: Subject) -> Mapping[str, NodeFigures]:
    result, points = subject.record.result, subject.record.points
    if result is not None:
        return result.nodes
    return points[-1].nodes if points else {}


def _row(name: str, figures: NodeFigures) -> tuple[Content, ...]:
    return (
        name,
        f"{figures.workers}" if figures.workers else "lost",
        number(figures.rps),
        format_lag(figures.send_lag_p99_us),
        number(figures.cpu_percent),
        with_unit(figures.clock_error_ms, "ms"),
        with_unit(figures.seen_s, "s"),
    )
