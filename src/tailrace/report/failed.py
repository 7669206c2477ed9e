"""Why requests failed: counts by reason, and an answer that shows each."""

from collections.abc import Sequence

from tailrace.report.parts import chip, section
from tailrace.report.subject import Subject
from tailrace.view.failures import failures_table
from tailrace.view.markup import Content, Markup, h


def failed(subjects: Sequence[Subject]) -> Content:
    """A table for each run with failures; nothing without any."""
    failing = [subject for subject in subjects if sum(subject.reasons.values())]
    if not failing:
        return None
    return section(
        "failures",
        "Failures",
        [
            h(
                "div",
                h("p", chip(subjects, subject)) if len(subjects) > 1 else None,
                Markup(failures_table(subject.reasons, subject.examples)),
                class_="card scroll",
                tabindex=0,
            )
            for subject in failing
        ],
        about="by reason, with the first answer of each",
    )
