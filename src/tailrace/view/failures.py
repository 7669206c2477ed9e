"""Failures by reason, each with an answer that shows it: for the pages and for reports."""

from collections.abc import Iterable, Mapping

from tailrace.load.measure.failures import MOST_REASONS, count_failure
from tailrace.load.measure.point import Point
from tailrace.plain import as_html
from tailrace.runs.record import RunRecord

_EXAMPLE = 500
"""Characters of an answer: a run keeps fewer, a file that was edited may have more."""


def failures_of(record: RunRecord) -> tuple[dict[str, int], dict[str, str]]:
    """Counts by reason, and examples of answers, of a run; by kind where it knows no reasons."""
    result = record.result
    if result is not None:
        return result.reasons or result.failed, result.examples
    return failures_in(record.points)


def failures_in(points: Iterable[Point]) -> tuple[dict[str, int], dict[str, str]]:
    """The same of intervals."""
    reasons: dict[str, int] = {}
    examples: dict[str, str] = {}
    for point in points:
        for reason, count in (point.reasons or point.failed).items():
            count_failure(reasons, reason, count)
        examples = {**point.examples, **examples}
    return reasons, examples


def failures_table(reasons: Mapping[str, int], examples: Mapping[str, str]) -> str:
    """A table as HTML, the most frequent reason first; what is said in it is only text."""
    ordered = sorted(reasons.items(), key=lambda item: -item[1])
    rows = "".join(
        f'<tr><td>{count:,}</td><th scope="row">{as_html(reason)}</th>'
        f'<td class="whole">{_example(examples.get(reason, ""))}</td></tr>'
        for reason, count in ordered[:MOST_REASONS]
    )
    return (
        '<table class="failures-table stack"><thead><tr><th scope="col">Failed</th>'
        '<th scope="col">Reason</th><th scope="col">An answer</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _example(answer: str) -> str:
    return f"<pre>{as_html(answer[:_EXAMPLE])}</pre>" if answer else "–"
