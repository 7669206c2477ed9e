"""`tailrace find`: the highest rate that keeps an SLO."""

import asyncio
import contextlib
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli import options
from tailrace.cli.streams import wrapped
from tailrace.plain import plain
from tailrace.units import format_figure

if TYPE_CHECKING:
    from tailrace.load.judge.slo import Slo
    from tailrace.load.measure.point import Interval
    from tailrace.load.session.plan import Plan
    from tailrace.load.session.search import Found, SearchLimits, Step

EXAMPLE = (
    'Example: [bold]tailrace find http://127.0.0.1:5000/gpu --slo "p99<100ms"[/bold]\n\n'
    "Exit code: 0 a confirmed rate; 1 none; 2 an argument cannot be used; 130 Ctrl-C, 143 SIGTERM."
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


@options.with_settings(but=_NOT)
def find(
    urls: options.Urls,
    slo: Annotated[
        str, typer.Option(metavar="BOUND", help="The bound to keep, as p99<100ms.")
    ] = "p99<100ms",
    *,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Directory for find.json and find.svg.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print find.json on stdout.")] = False,
    start: Annotated[
        str,
        typer.Option(metavar="RATE", help="The rate to try first.", rich_help_panel=_SEARCH),
    ] = "10",
    highest: Annotated[
        str,
        typer.Option(
            "--max", metavar="RATE", help="The highest rate to try.", rich_help_panel=_SEARCH
        ),
    ] = "1M",
    precision: Annotated[
        float,
        typer.Option(
            metavar="X",
            min=0.001,
            max=0.5,
            help="How close, as a share of the rate.",
            rich_help_panel=_SEARCH,
        ),
    ] = 0.02,
    step: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="The least time to spend on a rate.", rich_help_panel=_SEARCH
        ),
    ] = "10s",
    longest: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="The most time to spend on a rate that stays undecided.",
            rich_help_panel=_SEARCH,
        ),
    ] = "60s",
    warmup: Annotated[
        str,
        typer.Option(metavar="TIME", help="Uncounted start of each step.", rich_help_panel=_SEARCH),
    ] = "1s",
    confirm: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="Length of the last run, at the rate found.",
            rich_help_panel=_SEARCH,
        ),
    ] = "30s",
    junit: options.JUnit = None,
    markdown: options.Markdown = None,
    **given: Any,
) -> None:
    """Find the highest rate at which a service keeps an SLO.

    Double the rate until the SLO breaks, bisect, and confirm. Each step lasts until early stopping
    decides it with 99 % confidence.
    """
    import uvloop

    from tailrace.cli.output import positive_duration_s, report_command
    from tailrace.load.judge.ending import signal_code
    from tailrace.load.session.plan import read_plan
    from tailrace.load.session.search import SearchLimits
    from tailrace.runs.summary import SummaryFiles, of_find
    from tailrace.units import parse_rate_per_s

    config = options.read_config(urls, given, slo=slo, interval_s=0.5)
    with options.named():
        plan = read_plan(config, note=options.note)
    (bound,) = plan.slos
    limits = SearchLimits(
        start=parse_rate_per_s(start),
        highest=parse_rate_per_s(highest),
        precision=precision,
        step_s=positive_duration_s("--step", step),
        longest_s=positive_duration_s("--longest", longest),
        warmup_s=positive_duration_s("--warmup", warmup),
        confirm_s=positive_duration_s("--confirm", confirm),
    )
    files = SummaryFiles("find", plan.config.url, junit, markdown)
    began_s = time.monotonic()
    with files.failures():
        found, directory, kept = uvloop.run(_find(plan, bound, limits, out))
    if as_json:
        from tailrace.cli.output import print_json

        print_json(found)
    else:
        reason = plain(found.reason) + ("" if found.confirmed else " (not confirmed)")
        typer.echo(wrapped(reason, sys.stdout))
        typer.echo(plain(f"run: {directory}"))
        typer.echo(plain(f"report: {report_command(str(directory))}"))
    files.write(of_find(found, time.monotonic() - began_s))
    sys.exit(signal_code(found.ended_by) or (0 if found.confirmed and kept else 1))


async def _find(
    plan: "Plan", slo: "Slo", limits: "SearchLimits", out: Path | None
) -> "tuple[Found, Path, bool]":
    from tailrace.cli.live import LiveLine
    from tailrace.cli.output import interruptible
    from tailrace.load.measure.point import WINDOW, latency_of
    from tailrace.load.session.search import Searcher, find_rate, outlook
    from tailrace.report.searched import draw_search
    from tailrace.runs.directory import RUNS_DIR, RunDirectoryError, new_directory, write_search
    from tailrace.units import number

    line = LiveLine()
    steps: list[Step] = []
    window: deque[Interval] = deque(maxlen=WINDOW)

    def show(rate_per_s: float, interval: "Interval") -> None:
        if window and interval.point.index <= window[-1].point.index:
            window.clear()  # the next step
        window.append(interval)
        point = interval.point
        most_s = limits.warmup_s + max(limits.longest_s, limits.confirm_s)
        line.draw(
            [
                f"  step {len(steps) + 1}",
                f"{format_figure(rate_per_s)}/s",
                f"{point.t_s:.0f} of at most {most_s:.0f} s",
                outlook(steps, limits),
                f"p99 {number(latency_of(window).p99)} ms",
                f"QPS {format_figure(point.qps)}",
                f"in flight {point.in_flight:,}",
            ]
        )

    searcher = Searcher(plan, slo, limits, show)
    directory = out or new_directory(RUNS_DIR, "find")
    problems: list[str] = []

    def keep(found: "Found") -> None:
        if len(found.steps) > len(steps):
            line.note(_describe(found.steps[-1], slo))
        steps[:] = found.steps
        try:
            write_search(directory, found, draw_search(found))
        except RunDirectoryError as error:
            problems.append(str(error))
            line.report(problems)

    searching = asyncio.create_task(find_rate(searcher, keep))

    def give_up(by: str) -> None:
        searcher.cancel(by)
        searching.cancel()

    with contextlib.closing(line), interruptible(searcher.cancel, give_up, line.note):
        found = await searching
    return found, directory, not problems


def _describe(step: "Step", slo: "Slo") -> str:
    shown = "–" if step.percentile_ms is None else f"{step.percentile_ms:.2f} ms"
    return (
        f"{format_figure(step.rate_per_s):>10}/s  {slo.statistic} {shown:>12}  {step.decision:<6}  "
        f"{step.over} of {step.completed + step.failed} over, {step.duration_s:.1f} s"
        + (f"; {step.reason}" if step.decision == "late" else "")
    )
