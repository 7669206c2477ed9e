"""What `tailrace mlperf` prints for a person."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from tailrace.cli.console import literal, make_console, print_paragraph
from tailrace.mlperf.accuracy import Score
from tailrace.mlperf.check import TestCheck
from tailrace.mlperf.outcome import Outcome
from tailrace.mlperf.result import Result
from tailrace.units import number

_LATENCY = "latency_"


def print_result(result: Result) -> None:
    """A test that has just ended, on stdout."""
    _print_outcome(result.outcome)
    if result.accuracy is not None:
        _print_score(result.accuracy)
    print_check(result.check)


def print_check(check: TestCheck) -> None:
    """The judgement on a test, on stdout."""
    console = make_console()
    what = ", ".join(part for part in (check.model, check.scenario, check.mode) if part)
    console.print()
    print_paragraph(console, literal((what or "a test", "bold"), f"  {check.system}"))
    if check.headline is not None:
        headline = f"{check.headline.value:,.6g} {check.headline.unit}"
        console.print(literal(f"{check.headline.name}: ", (headline, "bold")))
    _print_figures(console, check.figures)
    if check.valid:
        console.print(literal("result: ", ("VALID", "bold green")))
    else:
        console.print(literal("result: ", ("INVALID", "bold red")))
    for reason in check.reasons:
        print_paragraph(console, literal(f"  - {reason}"), hang=4)
    if check.deviations:
        console.print("not official:")
        for deviation in check.deviations:
            print_paragraph(console, literal(f"  - {deviation}"), hang=4)
    for note in check.notes:
        print_paragraph(console, literal(f"note: {note}"))
    console.print(literal(f"logs: {check.path}"), soft_wrap=True)


def _print_figures(console: Console, figures: Mapping[str, float]) -> None:
    latencies = {
        name.removeprefix(_LATENCY).removesuffix("_ms"): value
        for name, value in figures.items()
        if name.startswith(_LATENCY)
    }
    if latencies:
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("ms")
        for name in latencies:
            table.add_column(name, justify="right", no_wrap=True)
        table.add_row("latency", *map(number, latencies.values()), style="bold")
        console.print(table)
    others = [
        f"{name.replace('_', ' ')} {value:,.6g}"
        for name, value in figures.items()
        if not name.startswith(_LATENCY)
    ]
    if others:
        print_paragraph(console, literal((", ".join(others), "dim")))


def _print_outcome(outcome: Outcome) -> None:
    line = (
        f"{outcome.issued:,} samples of {outcome.dataset} issued as {outcome.payload}s, "
        f"{outcome.completed:,} completed, {outcome.failed:,} failed, in {outcome.elapsed_s:.1f} s"
    )
    print_paragraph(make_console(), literal(line))


def _print_score(score: Score) -> None:
    console = make_console()
    line = literal(f"{score.metric} {100 * score.value:.3f} % of {score.samples:,} samples")
    if score.target is not None:
        line.append(f"; MLPerf's target, {100 * score.target:.3f} %: ")
        line.append(*(("reached",) if score.passed else ("missed", "bold red")))
    print_paragraph(console, line)
    for note in score.notes:
        print_paragraph(console, literal(f"note: {note}"))
