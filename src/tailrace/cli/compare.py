"""`tailrace compare`: two runs held against each other."""

import sys
from typing import Annotated

import typer

from tailrace.cli import options

EXAMPLE = (
    "Example: [bold]tailrace compare runs/before runs/after --regression p99+5%[/bold]\n\n"
    "Exit code: 0 done; 1 a bound is broken; 2 an argument cannot be used."
)


def compare(
    base: Annotated[
        str, typer.Argument(metavar="BASE", help="A run's directory, or its name below runs/.")
    ],
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run to compare with BASE.")],
    regression: options.Regression = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON on stdout.")] = False,
    junit: options.JUnit = None,
    markdown: options.Markdown = None,
) -> None:
    """Compare two runs figure by figure, and say what is more than noise.

    By a bootstrap over their intervals, with 95 % confidence.
    """
    from tailrace.cli import gate, output
    from tailrace.runs.compare.regression import parse_bound
    from tailrace.runs.directory import RUNS_DIR
    from tailrace.runs.listing import locate_run
    from tailrace.runs.summary import SummaryFiles, of_comparison

    bounds = tuple(parse_bound(text) for text in regression or [])
    path = locate_run(RUNS_DIR, run)
    opened = gate.open_gate(base, bounds)
    files = SummaryFiles("compare", f"{run} against {base}", junit, markdown)
    judged = opened.judge(path)
    if as_json:
        output.print_json(judged.document())
    else:
        gate.print_differences(judged.comparison)
        gate.print_outcomes(judged.outcomes)
    files.write(of_comparison(judged.comparison, judged.outcomes))
    if judged.broken:
        sys.exit(1)
