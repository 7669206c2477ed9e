"""`tailrace find`: the highest rate that keeps an SLO."""

import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli import options
from tailrace.cli.streams import wrapped
from tailrace.plain import plain
from tailrace.units import format_figure, format_latency

if TYPE_CHECKING:
    from tailrace.load.measure.point import Interval
    from tailrace.load.search.answer import FindLimits
    from tailrace.load.session.found import Found, SearchProgress, Step
    from tailrace.load.session.plan import Plan

EXAMPLE = (
    'Example: [bold]tailrace find http://127.0.0.1:5000/gpu --slo "p99<100ms"[/bold]\n\n'
    "Exit code: 0 a rate that holds; 1 none; 2 an argument cannot be used; 130 Ctrl-C, 143 SIGTERM."
)

_SEARCH = "The search"
"""Panel of the help."""


_NOT = (
    "profile",
    "duration_s",
    "slo",
    "min_duration_s",
    "abort_on",
    "part",
    "start_at",
    "interval_s",
)
"""Settings that a search has its own way with."""

_Gone = Annotated[str | None, typer.Option(metavar="X", hidden=True)]
"""What a search of separate steps was told."""


@options.with_settings(but=_NOT)
def find(
    urls: options.Urls,
    slo: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BOUND",
            help="A bound to keep, as p99<100ms, mean<20ms or failed<0.1%; repeatable: all hold.",
            show_default="p99<100ms",
        ),
    ] = None,
    *,
    for_: Annotated[
        str,
        typer.Option(
            "--for",
            metavar="TIME",
            help="The time to spend: more of it gives a narrower answer.",
            rich_help_panel=_SEARCH,
        ),
    ] = "60s",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Directory for find.json and find.svg.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print find.json on stdout.")] = False,
    start: Annotated[
        str,
        typer.Option(metavar="RATE", help="The rate to begin with.", rich_help_panel=_SEARCH),
    ] = "10",
    highest: Annotated[
        str,
        typer.Option(
            "--max", metavar="RATE", help="The highest rate to try.", rich_help_panel=_SEARCH
        ),
    ] = "1M",
    precision: _Gone = None,
    step: _Gone = None,
    longest: _Gone = None,
    warmup: _Gone = None,
    confirm: _Gone = None,
    junit: options.JUnit = None,
    markdown: options.Markdown = None,
    **given: Any,
) -> None:
    """Find the highest rate at which a service keeps its SLOs.

    One run without a pause, its rate changed live: doubled until it is too much, then near where
    the SLO breaks, and at last at the rate that is certain to keep it.
    """
    import uvloop

    from tailrace.cli.output import positive_duration_s, report_command
    from tailrace.load.judge.ending import signal_code
    from tailrace.load.search.answer import FindLimits
    from tailrace.load.session.found import DEFAULT_SLO
    from tailrace.load.session.plan import read_plan
    from tailrace.runs.summary import SummaryFiles, of_find
    from tailrace.units import parse_option, parse_rate_per_s

    config = options.read_config(urls, given, slo=slo or [DEFAULT_SLO])
    with options.named():
        plan = read_plan(config, note=options.note)
    limits = FindLimits(
        start_per_s=parse_option("--start", parse_rate_per_s, start),
        highest_per_s=parse_option("--max", parse_rate_per_s, highest),
        for_s=positive_duration_s("--for", for_),
    )
    gone = {
        "--precision": precision,
        "--step": step,
        "--longest": longest,
        "--warmup": warmup,
        "--confirm": confirm,
    }
    if unused := [option for option, value in gone.items() if value is not None]:
        options.note(f"{', '.join(unused)} mean nothing any more: --for says how long it may take")
    files = SummaryFiles("find", plan.config.url, junit, markdown)
    began_s = time.monotonic()
    with files.failures():
        found, directory, kept = uvloop.run(_find(plan, limits, out))
    if as_json:
        from tailrace.cli.output import print_json

        print_json(found)
    else:
        for line in _outcome(found):
            typer.echo(wrapped(plain(line), sys.stdout))
        typer.echo(plain(f"run: {directory}"))
        typer.echo(plain(f"report: {report_command(str(directory))}"))
    files.write(of_find(found, time.monotonic() - began_s))
    sys.exit(signal_code(found.ended_by) or (0 if found.confirmed and kept else 1))


async def _find(plan: "Plan", limits: "FindLimits", out: Path | None) -> "tuple[Found, Path, bool]":
    from tailrace.cli.live import LiveLine
    from tailrace.cli.output import interruptible
    from tailrace.load.session.finder import Finder
    from tailrace.runs.directory import RUNS_DIR, RunDirectoryError, new_directory, write_search
    from tailrace.view.search_curve import draw_search

    line = LiveLine()
    latest: list[Interval] = []

    def show(interval: "Interval") -> None:
        latest[:] = [interval]

    finder = Finder(plan, limits, show)
    directory = out or new_directory(RUNS_DIR, "find")
    problems: list[str] = []

    def keep() -> None:
        try:
            write_search(directory, finder.found, draw_search(finder.found))
        except RunDirectoryError as error:
            problems.append(str(error))
            line.report(problems)

    async def search() -> None:
        told = 0
        async with contextlib.aclosing(finder.progress()) as progress:
            async for now in progress:
                line.draw(_fields(now, latest))
                if len(now.found.steps) > told:
                    told = len(now.found.steps)
                    line.note(_describe(now.found.steps[-1]))
                    keep()

    with contextlib.closing(line), interruptible(finder.cancel, finder.cancel, line.note):
        try:
            await search()
        finally:
            keep()
    return finder.found, directory, not problems


def _fields(now: "SearchProgress", latest: "list[Interval]") -> list[str]:
    """What the line says that follows a search: what matters most first."""
    found = now.found
    so_far = "no rate yet"
    if found.estimate_per_s is not None and found.interval_per_s is not None:
        low, high = map(format_figure, found.interval_per_s)
        so_far = f"so far {format_figure(found.estimate_per_s)}/s ({low} – {high})"
    elif found.rate_per_s is not None:
        so_far = f"at least {format_figure(found.rate_per_s)}/s"
    p99_ms = latest[0].point.latency_ms.p99 if latest else None
    return [
        f"  {format_figure(now.rate_per_s)}/s",
        so_far,
        f"{now.left_s:.0f} s left",
        now.doing,
        f"p99 {format_latency(p99_ms)}",
    ]


def _describe(step: "Step") -> str:
    return (
        f"{format_figure(step.rate_per_s):>10}/s  {step.decision:<6}  "
        f"{format_latency(step.percentile_ms):>9}  "
        f"{step.over:,} of {step.completed + step.failed:,} over, {step.duration_s:.1f} s"
        # What to do about it stands among the findings.
        + (f"; {step.reason.partition(';')[0]}" if step.decision == "late" else "")
    )


def _outcome(found: "Found") -> list[str]:
    """What a person is told at the end, in lines."""
    reason = found.reason + ("" if found.confirmed else " (not confirmed)")
    told = filter(None, (reason, found.certainty))
    return [*told, *(f"- {finding}" for finding in found.findings)]
