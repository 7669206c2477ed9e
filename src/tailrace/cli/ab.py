"""`tailrace ab`: two services loaded in turns, and how far they are apart."""

import contextlib
import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli import options
from tailrace.errors import UsageError
from tailrace.load.config import LOAD
from tailrace.plain import plain

if TYPE_CHECKING:
    from tailrace.load.measure.point import Interval
    from tailrace.load.session.plan import Plan
    from tailrace.runs.compare.compare import Comparison
    from tailrace.runs.turns import Turn, Turns

EXAMPLE = """
Examples:

[bold]tailrace ab --rate 100 --for 60s http://127.0.0.1:5000/gpu http://127.0.0.1:5001/gpu[/bold]

[bold]tailrace ab --rate 40 --for 5m --regression p99+5% http://old:5000/ http://new:5000/[/bold]

Exit code: 0 done; 1 a --regression is proven, or nothing was answered; 2 an argument cannot be
used; 130 Ctrl-C, 143 SIGTERM, with what the rounds that were finished by then say.
"""
_NOT = ("profile", "duration_s", "slo", "min_duration_s", "mlperf", "abort_on", "part", "start_at")
"""Settings that rounds have their own way with."""
_TOLD = ("mean", "p50", "p99")
"""Figures that the answer is given of in words."""


@options.with_settings(but=_NOT)
def ab(
    a: Annotated[str, typer.Argument(metavar="URL_A", help="One service.")],
    b: Annotated[str, typer.Argument(metavar="URL_B", help="The other.")],
    rate: Annotated[
        str, typer.Option(metavar="RATE", help="Requests a second: 200, 200/s, 12k/min.")
    ] = "100",
    each: Annotated[
        str, typer.Option("--for", metavar="TIME", help="Load on each of them, in all.")
    ] = "60s",
    *,
    rounds: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="So many rounds, each of one turn on A and one on B.",
            show_default="turns of 5 s, or of 100 requests",
            rich_help_panel=LOAD,
        ),
    ] = None,
    warmup: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="Uncounted load on each before the first round.",
            rich_help_panel=LOAD,
        ),
    ] = "2s",
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the turns go; by default a new one below runs/."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print ab.json on stdout.")] = False,
    regression: options.Regression = None,
    junit: options.JUnit = None,
    markdown: options.Markdown = None,
    **given: Any,
) -> None:
    """Load two services in turns, and say whether they differ and by how much.

    In each round both get the very same schedule, the order changes from round to round, and the
    rounds are compared as pairs: drift and what both were asked cancel. What is left from round to
    round is the noise that a difference has to stand out from.
    """
    import uvloop

    from tailrace.cli import gate
    from tailrace.cli.console import literal, make_console, print_paragraph
    from tailrace.cli.output import positive_duration_s, print_json
    from tailrace.load.judge.ending import DURATION, signal_code
    from tailrace.load.session.plan import read_plan
    from tailrace.runs.compare.regression import parse_bound
    from tailrace.runs.directory import RUNS_DIR, new_directory
    from tailrace.runs.summary import SummaryFiles, of_comparison, of_failure
    from tailrace.runs.turns import SIDES, rounds_for
    from tailrace.units import parse_duration_s, parse_option, parse_rate_per_s

    bounds = tuple(parse_bound(text) for text in regression or [])
    each_s = positive_duration_s("--for", each)
    warmup_s = parse_option("--warmup", parse_duration_s, warmup)
    rate_per_s = parse_option("--rate", parse_rate_per_s, rate)
    if not rate_per_s:
        raise UsageError("--rate must be above 0: without load there is nothing to compare")
    count = rounds or rounds_for(each_s, rate_per_s)
    plans = {}
    for side, url in zip(SIDES, (a, b), strict=True):
        more = {"rate": rate, "duration_s": each_s / count}
        config = options.read_config([url], given, **more)
        with options.named():
            # Of as many intervals as its own noise is told from, should it stay alone.
            interval_s = min(max(each_s / count / 20, 0.05), 1.0)
            plans[side] = read_plan(config, interval_s=interval_s, note=options.note)
    files = SummaryFiles("ab", f"{b} against {a}", junit, markdown)
    with files.failures():
        directory = out or new_directory(RUNS_DIR, "ab")
        turns = uvloop.run(_take(plans, directory, count, warmup_s))
        found = turns.answer(bounds)
    if found.comparison is None:
        files.write(of_failure("ab", found.b, "no round was finished"))
        typer.echo("tailrace: error: no round was finished", err=True)
        sys.exit(signal_code(found.ended_by) or 1)
    judged = gate.Judgement(found.comparison, found.regressions)
    if as_json:
        print_json(found)
    else:
        gate.print_judgement(judged)
        if found.doubts:
            doubt = f"  - {len(found.doubts)} turns are in doubt: {found.doubts[0]}"
            print_paragraph(make_console(), literal((doubt, "yellow")), hang=4)
        _print_answer(found.comparison)
        typer.echo(plain(f"run: {directory}"))
    files.write(of_comparison(judged.comparison, judged.outcomes, command="ab"))
    sys.exit(signal_code(found.ended_by) or int(judged.broken or found.ended_by != DURATION))


async def _take(plans: "dict[str, Plan]", directory: Path, rounds: int, warmup_s: float) -> "Turns":
    from tailrace.cli.live import LiveLine
    from tailrace.cli.output import interruptible
    from tailrace.load.measure.point import WINDOW, latency_of
    from tailrace.runs.turns import Turns
    from tailrace.units import format_figure, number

    line = LiveLine()
    window: deque[Interval] = deque(maxlen=WINDOW)

    def show(turn: "Turn", interval: "Interval") -> None:
        if window and interval.point.index <= window[-1].point.index:
            window.clear()  # the next turn
        window.append(interval)
        point = interval.point
        line.report(turns.problems)
        line.draw(
            [
                f"  round {turn.round} of {rounds}" if turn.round else "  warm-up",
                f"{turn.side.upper()} {point.t_s:.0f} s",
                *_so_far(turns.comparison),
                f"p99 {number(latency_of(window).p99)} ms",
                f"QPS {format_figure(point.qps)}",
            ]
        )

    turns = Turns(plans, directory, rounds, warmup_s, show)
    with contextlib.closing(line), interruptible(turns.stop, turns.abandon, line.note):
        await turns.take()
    line.report(turns.problems)
    return turns


def _so_far(comparison: "Comparison | None") -> list[str]:
    from tailrace.runs.compare.words import in_words

    if comparison is None:
        return []
    found = (comparison.by_name[name] for name in _TOLD)
    return [
        f"{one.name} {in_words(one.change_interval, one.change_unit)}"
        for one in found
        if one.change_interval is not None
    ]


def _print_answer(comparison: "Comparison") -> None:
    """Different or not, by how much, and how many rounds would show a change of 5 %."""
    from tailrace.cli.console import literal, make_console, print_paragraph
    from tailrace.runs.compare.words import sentence

    console = make_console()
    console.print()
    for name in _TOLD:
        print_paragraph(console, literal(sentence(comparison.by_name[name], comparison.runs[0])))
