"""What a run must pass beside its SLOs: bounds on being worse than a baseline."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from tailrace.cli.console import literal, make_console, print_paragraph
from tailrace.errors import UsageError
from tailrace.runs.compare.compare import Comparable, Comparison, compare_runs, read_comparable
from tailrace.runs.compare.regression import (
    DEFAULT,
    Outcome,
    RegressionBound,
    judge_bound,
    parse_bound,
)
from tailrace.runs.directory import RUNS_DIR
from tailrace.runs.listing import locate_runs
from tailrace.runs.summary import differences_table

_STYLES = {"kept": "", "broken": "bold red", "undecided": "yellow"}


@dataclass(frozen=True, slots=True)
class Judgement:
    """A comparison and what it says of each bound."""

    comparison: Comparison
    outcomes: tuple[Outcome, ...]

    @property
    def broken(self) -> bool:
        """Whether a bound is."""
        return any(outcome.outcome == "broken" for outcome in self.outcomes)

    def document(self) -> dict[str, Any]:
        """What `--json` says of it."""
        return {"comparison": self.comparison, "regressions": self.outcomes}


@dataclass(frozen=True, slots=True)
class Gate:
    """A baseline, read, and the bounds on being worse than it."""

    baseline: tuple[Comparable, ...]
    bounds: tuple[RegressionBound, ...]

    def judge(self, *runs: Path) -> Judgement:
        """The runs in the directories `runs`, held against the baseline."""
        comparison = compare_runs(self.baseline, list(map(read_comparable, runs)))
        return Judgement(comparison, tuple(judge_bound(comparison, b) for b in self.bounds))


def read_gate(baseline: Sequence[str] | None, bounds: Sequence[str] | None) -> Gate | None:
    """The gate that `--baseline` and `--regression` ask for, if any.

    Raises:
        UsageError: there is no such run, it holds nothing to compare with, or a bound cannot be
            read.
    """
    parsed = tuple(parse_bound(text) for text in bounds or (DEFAULT,))
    if not baseline:
        if bounds:
            raise UsageError("--regression needs a --baseline to compare with")
        return None
    return open_gate(baseline, parsed)


def open_gate(baseline: Sequence[str], bounds: tuple[RegressionBound, ...]) -> Gate:
    """The gate of a baseline: runs, or directories of runs, given by their paths or names.

    Raises:
        UsageError: there is no such run, or it holds nothing to compare with.
    """
    read = tuple(map(read_comparable, locate_runs(RUNS_DIR, baseline)))
    for run in read:
        if not len(run.series):
            why = "; ".join(run.info.problems) or "it has no finished interval"
            raise UsageError(f"nothing can be compared with {run.info.name}: {why}")
    return Gate(read, bounds)


def print_judgement(judged: Judgement) -> None:
    """A comparison's figures and notes, and a line a bound, on stdout."""
    _print_differences(judged.comparison)
    print_outcomes(judged.outcomes)


def _print_differences(comparison: Comparison) -> None:
    console = make_console()
    figures = differences_table(comparison)
    table = Table(box=None, pad_edge=False, header_style="dim")
    first, *sides, change, interval, told = figures.head
    table.add_column(first, no_wrap=True)
    for name in sides:
        table.add_column(literal(name), justify="right", overflow="fold")
    for name in (change, interval):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(told, justify="right")
    for row in figures.rows:
        table.add_row(*map(literal, row))
    console.print(table)
    for note in comparison.notes:
        print_paragraph(console, literal((f"  - {note}", "dim")), hang=4)


def print_outcomes(outcomes: Sequence[Outcome]) -> None:
    """A line a bound, on stdout."""
    console = make_console()
    for found in outcomes:
        outcome = (found.outcome, _STYLES[found.outcome])
        line = literal(f"regression {found.bound}: ", outcome, f": {found.reason}")
        print_paragraph(console, line)
