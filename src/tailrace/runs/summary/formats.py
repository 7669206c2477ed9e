"""The files in which a pipeline looks for what a command found."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

from tailrace.errors import TailraceError, UsageError
from tailrace.plain import plain
from tailrace.runs.summary.summary import Check, CheckOutcome, Summary, Table, of_failure


class SummaryFiles:
    """The summary files that a command was asked for, tried out when made.

    The JUnit file says from then on that there is no result, until there is one: what is killed
    leaves a failed test, not last time's success. To the Markdown file a summary is appended, as
    GitHub's is shared by the steps of a job.

    Args:
        command: the one asked, and `subject` what it is about.

    Raises:
        UsageError: one of them cannot be written.
    """

    def __init__(
        self, command: str, subject: str, junit_file: Path | None, markdown_file: Path | None
    ) -> None:
        self._command = command
        self._subject = subject
        self._junit = junit_file
        self._markdown = markdown_file
        try:
            self._append_markdown("")
            self._write_junit(of_failure(command, subject, "it did not come to its end"))
        except TailraceError as error:
            raise UsageError(str(error)) from None

    @contextlib.contextmanager
    def failures(self) -> Iterator[None]:
        """Write down an error that ends the command, too."""
        try:
            yield
        except TailraceError as error:
            self.write(of_failure(self._command, self._subject, str(error)))
            raise

    def write(self, summary: Summary) -> None:
        """Write what was found.

        Raises:
            TailraceError: a file cannot be written (any more).
        """
        self._write_junit(summary)
        self._append_markdown(markdown(summary))

    def _write_junit(self, summary: Summary) -> None:
        if self._junit is not None:
            with _writing(self._junit):
                self._junit.write_text(junit(summary), encoding="utf-8")

    def _append_markdown(self, text: str) -> None:
        if self._markdown is not None:
            with _writing(self._markdown), self._markdown.open("a", encoding="utf-8") as file:
                file.write(text)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TailraceError(f"cannot write {path}: {error.strerror}") from None


def junit(summary: Summary) -> str:
    """The document. What is undecided is a skipped test, with the reason."""
    outcomes = [check.outcome for check in summary.checks]
    counts = {
        "tests": str(len(outcomes)),
        "failures": str(outcomes.count("failed")),
        "errors": str(outcomes.count("error")),
        "skipped": str(outcomes.count("undecided")),
        "time": f"{summary.duration_s:.3f}",
    }
    root = ET.Element("testsuites", {key: counts[key] for key in counts if key != "skipped"})
    name = plain(f"tailrace {summary.command} {summary.subject}")
    suite = ET.SubElement(root, "testsuite", {"name": name, **counts})
    properties = ET.SubElement(suite, "properties")
    for key, value in {**summary.facts, **_figures(summary)}.items():
        ET.SubElement(properties, "property", {"name": plain(key), "value": plain(value)})
    for check in summary.checks:
        _add_case(suite, summary, check)
    if summary.notes:
        ET.SubElement(suite, "system-out").text = "\n".join(map(plain, summary.notes))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _add_case(suite: ET.Element, summary: Summary, check: Check) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        {
            "classname": f"tailrace.{summary.command}",
            "name": plain(check.name),
            "time": f"{summary.duration_s:.3f}",
        },
    )
    reason = plain(check.reason)
    match check.outcome:
        case "failed":
            ET.SubElement(case, "failure", {"message": reason, "type": "failed"}).text = reason
        case "error":
            ET.SubElement(case, "error", {"message": reason, "type": "error"}).text = reason
        case "undecided":
            ET.SubElement(case, "skipped", {"message": reason})
        case "passed":
            ET.SubElement(case, "system-out").text = reason


def _figures(summary: Summary) -> dict[str, str]:
    if summary.table is None:
        return {}
    _, *columns = summary.table.head
    return {
        f"{name} {column}".strip(): value
        for name, *values in summary.table.rows
        for column, value in zip(columns, values, strict=True)
    }


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
