"""A summary as Markdown, as GitHub shows it on the page of a workflow's run."""

import re

from tailrace.plain import plain
from tailrace.runs.summary.summary import CheckOutcome, Summary, Table

_SIGNS: dict[CheckOutcome, str] = {
    "passed": "✅ passed",
    "failed": "❌ failed",
    "undecided": "➖ undecided",
    "error": "💥 error",
}
_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#!|~&@$])")


def markdown(summary: Summary) -> str:
    """The document: a heading, the checks, the figures."""
    parts = [f"### tailrace {summary.command}: {_text(summary.subject)}"]
    if summary.checks:
        rows = tuple((check.name, _SIGNS[check.outcome], check.reason) for check in summary.checks)
        parts.append(_table(Table(head=("check", "outcome", ""), rows=rows)))
    if summary.table is not None:
        parts.append(_table(summary.table))
    if summary.facts:
        parts.append(
            " · ".join(f"{_text(name)}: {_text(value)}" for name, value in summary.facts.items())
        )
    parts += ["\n".join(f"- {_text(note)}" for note in summary.notes)] if summary.notes else []
    return "\n\n".join(parts) + "\n\n"


def _table(table: Table) -> str:
    lines = [table.head, ("---",) * len(table.head)]
    written = ["| " + " | ".join(map(_text, lines[0])) + " |", "|" + " --- |" * len(table.head)]
    written += ["| " + " | ".join(map(_text, row)) + " |" for row in table.rows]
    return "\n".join(written)


def _text(value: str) -> str:
    """`value` as it is, whatever is in it: no markup, no link, no mention, one line."""
    return _MARKUP.sub(r"\\\1", plain(value))
