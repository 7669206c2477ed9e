"""What a command found, for a pipeline: checks that passed or did not and figures, as JUnit and as
Markdown.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree as ET

import msgspec

from tailrace.errors import TailraceError, UsageError
from tailrace.load.judge.answers import SloAnswer, other_answers, slo_answers
from tailrace.load.judge.ending import describe_end
from tailrace.load.measure.failures import describe_failures
from tailrace.load.measure.point import STATISTICS, times_of
from tailrace.load.session.found import Found
from tailrace.load.session.result import Result, notes_on
from tailrace.plain import plain
from tailrace.runs.compare.compare import Comparison
from tailrace.runs.compare.regression import Outcome
from tailrace.runs.compare.words import in_words, shown
from tailrace.units import format_duration, format_figure, format_lag

CheckOutcome = Literal["passed", "failed", "undecided", "error"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a pipeline may break on."""

    name: str
    outcome: CheckOutcome
    """`undecided`: nothing to break on, but not proven either; `error`: there is no result."""
    reason: str = ""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Figures by row; the first column has their names."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A command's outcome."""

    command: str
    """`load`, `find`, `compare` or `ab`."""
    subject: str
    """What it was about: a target, or two runs."""
    duration_s: float = 0.0
    checks: tuple[Check, ...]
    table: Table | None = None
    facts: dict[str, str] = {}
    """Further figures by name."""
    notes: tuple[str, ...] = ()


def of_failure(command: str, subject: str, reason: str) -> Summary:
    """Of a command that came to no result."""
    check = Check(name="result", outcome="error", reason=reason)
    return Summary(command=command, subject=subject, checks=(check,))


def of_load(
    result: Result,
    *,
    strict: bool = False,
    comparison: Comparison | None = None,
    outcomes: Sequence[Outcome] = (),
) -> Summary:
    """Of a run, with its comparison with a baseline where there is one.

    An SLO fails that is not kept as measured, decided or not. An INVALID verdict, an SLO that is
    kept so far and not decided, and a run that is not official fail where `strict`, else they are
    undecided.
    """
    open_: CheckOutcome = "failed" if strict else "undecided"
    of_slo: dict[str, CheckOutcome] = {"kept": "passed", "undecided": open_}
    slos = [
        Check(
            name=f"SLO {answer.expression}",
            outcome=of_slo[answer.outcome] if answer.is_kept else "failed",
            reason=_of_slo(result, answer),
        )
        for answer in slo_answers(result.slo, result.decisions)
    ]
    other_checks = [
        Check(name=each.name, outcome="passed" if each.is_yes else open_, reason=each.line)
        for each in other_answers(result.verdict, result.mlperf)
    ]
    ends_of = map(result.confidence_ms.get, STATISTICS)
    spread = ("–" if ends is None else f"{ends[0]:g} – {ends[1]:g}" for ends in ends_of)
    latency, *others = (
        (label, *(_figure(times.get(name)) for name in STATISTICS))
        for label, times in times_of(result)
    )
    return Summary(
        command="load",
        subject=result.target,
        duration_s=result.duration_s,
        checks=(*_of_end(result), *slos, *other_checks, *map(_of_bound, outcomes)),
        table=Table(
            head=("ms", *STATISTICS),
            rows=(latency, ("95 % interval", *spread), *others),
        ),
        facts={
            "arrivals": result.arrivals,
            "seed": str(result.seed),
            "offered": f"{result.offered:,} ({result.rate.offered:,g}/s)",
            "completed": f"{result.completed:,} ({result.rate.completed:,g}/s)",
            "failed": describe_failures(result.reasons or result.failed),
            **{
                f"answer of {reason}": " ".join(answer.split())
                for reason, answer in result.examples.items()
            },
            "send lag p99": format_lag(result.send_lag_us["p99"]),
            **({"baseline": comparison.base} if comparison is not None else {}),
            "run": str(result.run),
        },
        notes=(*notes_on(result), *(comparison.notes if comparison is not None else ())),
    )


def of_find(found: Found, duration_s: float) -> Summary:
    """Of a search, which took `duration_s`; it passes with a confirmed rate."""
    outcome: CheckOutcome = "passed" if found.confirmed else "failed"
    reason = found.reason if found.confirmed else f"{found.reason} (not confirmed)"
    slos = ", ".join(found.slos or (found.slo,))
    rows = tuple(
        (
            f"{format_figure(step.rate_per_s)}/s",
            step.decision,
            _figure(step.percentile_ms),
            f"{step.over:,} of {step.completed + step.failed:,}",
            f"{step.duration_s:.1f} s",
        )
        for step in found.steps
    )
    return Summary(
        command="find",
        subject=found.target,
        duration_s=duration_s,
        checks=(Check(name=f"a rate within {slos}", outcome=outcome, reason=reason),),
        table=Table(head=("rate", "SLO", "percentile, ms", "over it", "took"), rows=rows),
        facts={
            "rate": "none" if found.rate_per_s is None else f"{format_figure(found.rate_per_s)}/s"
        },
        notes=(*filter(None, (found.certainty,)), *found.findings),
    )


def of_comparison(
    comparison: Comparison, outcomes: Sequence[Outcome], command: str = "compare"
) -> Summary:
    """Of runs compared."""
    return Summary(
        command=command,
        subject=f"{comparison.other} against {comparison.base}",
        checks=tuple(map(_of_bound, outcomes)),
        table=differences_table(comparison),
        notes=comparison.notes,
    )


def differences_table(comparison: Comparison) -> Table:
    """A comparison's figures for a person."""
    rows = tuple(
        (
            found.name,
            shown(found.base, found.unit),
            shown(found.other, found.unit),
            "–" if (by := found.change) is None else in_words([by], found.change_unit),
            "–" if (ends := found.change_interval) is None else in_words(ends),
            {True: "yes", False: "no", None: "cannot be told"}[found.more_than_noise],
        )
        for found in comparison.differences
    )
    head = ("", comparison.base, comparison.other, "change", "95 % interval", "more than noise")
    return Table(head=head, rows=rows)


def _of_bound(found: Outcome) -> Check:
    outcomes: dict[str, CheckOutcome] = {"kept": "passed", "broken": "failed"}
    return Check(
        name=f"regression {found.bound}",
        outcome=outcomes.get(found.outcome, "undecided"),
        reason=found.reason,
    )


def _of_end(result: Result) -> tuple[Check, ...]:
    """What a run must not end with, whatever its figures."""
    checks = []
    cut = describe_end(result.ended_by, format_duration(result.duration_s))
    if cut is not None:
        checks.append(Check(name="ran to its end", outcome="error", reason=cut))
    if result.offered and not result.completed:
        failures = describe_failures(result.reasons or result.failed)
        checks.append(Check(name="answered at all", outcome="failed", reason=failures))
    return tuple(checks)


def _of_slo(result: Result, answer: SloAnswer) -> str:
    failed = sum(result.failed.values())
    statistic = answer.expression.partition("<")[0].strip()
    measured = result.latency_ms.get(statistic)
    value = f"{statistic} {_figure(measured)} ms" if statistic in STATISTICS else ""
    losses = f"{failed:,} failed requests count as slower than any bound" if failed else ""
    figures = ", ".join(filter(None, (answer.word, value, losses)))
    return "; ".join(filter(None, (figures, answer.why)))


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{format_figure(value)}"


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
        of_case = {"classname": f"tailrace.{summary.command}", "name": plain(check.name)}
        test = ET.SubElement(suite, "testcase", {**of_case, "time": counts["time"]})
        reason = plain(check.reason)
        match check.outcome:
            case "passed":
                ET.SubElement(test, "system-out").text = reason
            case "undecided":
                ET.SubElement(test, "skipped", {"message": reason})
            case "failed" | "error" as kind:
                tag = {"failed": "failure", "error": "error"}[kind]
                ET.SubElement(test, tag, {"message": reason, "type": kind}).text = reason
    if summary.notes:
        ET.SubElement(suite, "system-out").text = "\n".join(map(plain, summary.notes))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


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
    head, *rows = ("| " + " | ".join(map(_text, row)) + " |" for row in (table.head, *table.rows))
    return "\n".join([head, "|" + " --- |" * len(table.head), *rows])


def _text(value: str) -> str:
    """`value` as it is, whatever is in it: no markup, no link, no mention, one line."""
    return _MARKUP.sub(r"\\\1", plain(value))
