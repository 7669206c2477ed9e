"""`tailrace compare`: runs held against each other."""

import sys
from typing import Annotated, Any

import typer

from tailrace.cli import layout, options
from tailrace.errors import UsageError

EXAMPLE = """
Examples:

[bold]tailrace compare runs/before runs/after --regression p99+5%[/bold]

[bold]tailrace compare before-1 before-2 before-3 -- after-1 after-2 after-3[/bold]

Exit code: 0 done; 1 a bound is broken; 2 an argument cannot be used.
"""
_BETWEEN = "\0"
"""Stands for `--`, which a parser takes for the end of all options; no file has this name."""


class Command(layout.Command):
    """A command that learns where `--` stood among its arguments."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As any, but for that."""
        return super().parse_args(ctx, [_BETWEEN if word == "--" else word for word in args])


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="BASE… -- RUN…",
            help="Two runs, or several a side with -- in between: directories of runs, their names "
            "below runs/, or directories that hold several runs.",
        ),
    ],
    regression: options.Regression = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON on stdout.")] = False,
    junit: options.JUnit = None,
    markdown: options.Markdown = None,
) -> None:
    """Compare runs figure by figure, and say what is more than noise, with 95 % confidence.

    Several runs a side show what differs from run to run (restarts, drift); runs that took turns
    under the same schedule are compared pair by pair. Of one run a side only its own noise is
    known.
    """
    from tailrace.cli import gate, output
    from tailrace.runs.compare.regression import parse_bound
    from tailrace.runs.directory import RUNS_DIR
    from tailrace.runs.listing import locate_runs
    from tailrace.runs.summary import SummaryFiles, of_comparison

    bounds = tuple(parse_bound(text) for text in regression or [])
    base, others = _sides(runs)
    paths = locate_runs(RUNS_DIR, others)
    opened = gate.open_gate(base, bounds)
    subject = f"{' '.join(others)} against {' '.join(base)}"
    files = SummaryFiles("compare", subject, junit, markdown)
    judged = opened.judge(*paths)
    if as_json:
        output.print_json(judged.document())
    else:
        gate.print_judgement(judged)
    files.write(of_comparison(judged.comparison, judged.outcomes))
    if judged.broken:
        sys.exit(1)


def _sides(runs: list[str]) -> tuple[list[str], list[str]]:
    at = runs.index(_BETWEEN) if _BETWEEN in runs else 1
    base, others = runs[:at], runs[at:]
    others = others[1:] if _BETWEEN in runs else others
    if not base or not others or _BETWEEN in others or (len(others) > 1 and _BETWEEN not in runs):
        raise UsageError("give two runs, or several a side with -- in between: A1 A2 -- B1 B2")
    return base, others
