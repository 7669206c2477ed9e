"""What the commands that put load on something print: a live line, a summary, JSON."""

import asyncio
import contextlib
import json
import re
import shlex
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
from rich.table import Table

from tailrace.cli.console import literal, make_console, print_paragraph
from tailrace.cli.live import LiveLine
from tailrace.errors import TailraceError
from tailrace.load.judge.answers import SloAnswer, other_answers, slo_answers
from tailrace.load.judge.ending import SIGNALS, describe_end
from tailrace.load.measure.measurement import COUNTS
from tailrace.load.measure.point import (
    STATISTICS,
    WINDOW,
    Interval,
    NodeFigures,
    Percentiles,
    Point,
    latency_of,
    times_of,
)
from tailrace.load.session.result import Result, notes_on
from tailrace.runs.run import Run
from tailrace.units import (
    format_clock,
    format_duration,
    format_figure,
    format_lag,
    number,
    parse_duration_s,
    parse_option,
)


def positive_duration_s(option: str, text: str, least_s: float = 1e-3) -> float:
    """The duration given to `option`: 1 ms or more unless told otherwise.

    Raises:
        UsageError: it is no duration, too short or too long.
    """
    return parse_option(option, lambda text: parse_duration_s(text, least_s), text)


_WIDTH = 120
"""Of what is printed to no terminal."""
_STYLES = {"kept": "bold green", "broken": "bold red", "undecided": "yellow"}


def describe_interval(
    points: Sequence[Point],
    latency: Percentiles,
    end_s: float | None,
    answers: Sequence[SloAnswer] = (),
) -> list[str]:
    """The interval that has just ended in a live line's fields, with the time left of a run that
    offers load until `end_s`, and what the run says of each SLO so far. As on the page, `latency`
    and failures are of the window, whose intervals `points` are; all else is of the last one.
    """
    point = points[-1]
    failed = sum(sum(each.failed.values()) for each in points)
    waiting = point.outstanding
    left_s = None if end_s is None else end_s - point.t_s
    fields = [f"{point.t_s:6.0f} s"]
    if left_s is not None and left_s > 0:
        fields.append(f"{format_clock(left_s)} left")
    elif left_s is not None and waiting:
        fields.append(f"waiting for {waiting:,} answers")
    fields.append(f"target {format_figure(point.target_per_s)}/s")
    # What goes wrong comes before what is as it should be.
    if failed:
        fields.append(f"failures {failed:,}")
    fields += [
        f"{count.label} {value:,}"
        for name, count in COUNTS.items()
        if count.warns and (value := getattr(point, name))
    ]
    fields += [answer.brief for answer in answers if answer.outcome == "broken"]
    fields += [
        f"p99 {number(latency.p99)} ms",
        f"QPS {_short(point.qps)}",
        f"RPS {_short(point.rps)}",
    ]
    if not failed:
        fields.append("failures 0")
    fields += [answer.brief for answer in answers if answer.outcome != "broken"]
    fields += [
        f"p50 {number(latency.p50)} ms",
        f"offered {_short(point.offered / point.interval_s)}/s",
    ]
    if point.nodes:
        fields.append(f"nodes {_at_work(point.nodes)}")
    return fields


def stop_signals() -> list[signal.Signals]:
    """The signals that end what goes on with its results; SIGHUP not where it is ignored, as by
    nohup.
    """
    return [
        signum
        for signum in SIGNALS
        if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN
    ]


@contextlib.contextmanager
def interruptible(
    stop: Callable[[str], object],
    abandon: Callable[[str], object],
    note: Callable[[str], object],
) -> Iterator[None]:
    """Let a signal end what goes on with its results: the first calls `stop`, which waits for the
    answers in flight, any further one `abandon`, which does not; both are told its name.
    """
    loop = asyncio.get_running_loop()
    stopped = False

    def handle(name: str) -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            stop(name)
            note("stopping; waiting for the answers in flight (again: do not wait)")
        elif name != signal.SIGHUP.name:
            # A terminal that goes tells of it more than once; nobody is there to be in a hurry.
            abandon(name)

    handled = stop_signals()
    for signum in handled:
        loop.add_signal_handler(signum, handle, signum.name)
    try:
        yield
    finally:
        for signum in handled:
            loop.remove_signal_handler(signum)


async def follow(run: Run) -> Result:
    """Start `run`, show it live, and return its result."""
    line = LiveLine()
    with (
        contextlib.closing(line),
        interruptible(run.session.stop, run.session.abandon, line.note),
    ):
        if (start_at := run.session.plan.start_at) is not None:
            line.note(f"waiting for {datetime.fromtimestamp(start_at, UTC):%Y-%m-%dT%H:%M:%SZ}")
        await run.start()
        window: deque[Interval] = deque(maxlen=WINDOW)
        async for interval in run.intervals():
            window.append(interval)
            points = [each.point for each in window]
            session = run.session
            answers = slo_answers(session.kept, session.decisions)
            line.report(run.problems)
            line.draw(describe_interval(points, latency_of(window), session.end_s, answers))
    line.report(run.problems)
    return run.result


def print_json(document: object) -> None:
    """`document` as one JSON document on stdout: what is not to be shown in it is escaped, as JSON
    allows for any letter.

    Raises:
        TailraceError: it quotes the name of a file that is not UTF-8.
    """
    try:
        text = msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
    except UnicodeEncodeError as error:
        raise TailraceError(f"{error.object!r} is not UTF-8: JSON cannot name it") from None
    sys.stdout.write(re.sub(r"[^\x20-\x7e\n]", _escape_hidden, text) + "\n")


def _escape_hidden(letter: re.Match[str]) -> str:
    return letter[0] if letter[0].isprintable() else json.dumps(letter[0])[1:-1]


def print_summary(result: Result) -> None:
    """The result as a table for a person, on stdout."""
    console = make_console(width=None if sys.stdout.isatty() else _WIDTH)
    console.print()
    console.print(literal(result.target), soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("ms", no_wrap=True)
    for name in STATISTICS:
        table.add_column(name, justify="right", no_wrap=True)
    (label, latency), *others = times_of(result)
    table.add_row(label, *_cells(latency), style="bold")
    interval = {**dict.fromkeys(STATISTICS), **result.confidence_ms}
    is_told = any(interval.values())
    for side, label in enumerate(("  95 % from", "  95 % to") if is_told else ()):
        table.add_row(label, *(_side(interval[name], side) for name in STATISTICS), style="dim")
    for label, percentiles in others:
        table.add_row(label, *_cells(percentiles))
    for stage, percentiles in result.stages_ms.items():
        table.add_row(literal(f"  {stage}"), *_cells(percentiles), style="dim")
    console.print(table)
    if latency.p50 is not None and not is_told:
        console.print("95 % intervals: too short to tell", style="dim")
    failures = ", ".join(f"{count:,} {kind}" for kind, count in result.failed.items()) or "none"
    lag = result.send_lag_us
    console.print()
    print_paragraph(
        console,
        literal(
            f"offered {result.offered:,} in {result.duration_s:.1f} s "
            f"({result.rate.offered:,.1f}/s), completed {result.completed:,} "
            f"({result.rate.completed:,.1f}/s), failures: {failures}"
        ),
    )
    if result.reasons:
        console.print(_failures(result))
        console.print()
    if lag["p99"] is not None:
        console.print(f"send lag p50 {format_lag(lag['p50'])}, p99 {format_lag(lag['p99'])}")
    if result.xray is not None and (share := result.xray.share) is not None:
        gap = f"the gap of {number(result.xray.gap_total_ms)} ms to the median"
        print_paragraph(
            console,
            literal(f"slowest 1 %: {100 * share:.0f} % of {gap} is {result.xray.explains}"),
        )
    if len(result.addresses) > 1:
        shares = [f"{address} {count:,}" for address, count in sorted(result.addresses.items())]
        print_paragraph(console, literal(f"requests by address: {', '.join(shares)}"))
    for note in notes_on(result):
        print_paragraph(console, literal(f"note: {note}"))
    for name, node in result.nodes.items():
        print_paragraph(console, literal(_describe(name, node)))
    for answer in slo_answers(result.slo, result.decisions):
        outcome = answer.word, _STYLES[answer.outcome]
        why = f": {answer.why}" if answer.why else ""
        print_paragraph(console, literal(f"SLO {answer.expression}: ", outcome, why))
    if (cut := describe_end(result.ended_by, format_duration(result.duration_s))) is not None:
        console.print(literal((cut, "yellow")), soft_wrap=True)
    for each in other_answers(result.verdict, result.mlperf):
        style = "bold green" if each.is_yes else "bold red"
        console.print(literal(f"{each.name}: ", (each.word, style)))
        for reason in each.reasons:
            print_paragraph(console, literal(f"  - {reason}"), hang=4)
    console.print(literal(f"run: {result.run}"), soft_wrap=True)
    console.print(literal(f"report: {report_command(str(result.run))}"), soft_wrap=True)


def _failures(result: Result) -> Table:
    """Failures by reason, the most frequent first, each with how such an answer begins."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("failed", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("reason", overflow="fold")
    table.add_column("such an answer" if result.examples else "", style="dim")
    for reason, count in sorted(result.reasons.items(), key=lambda item: -item[1]):
        share = f"{100 * count / result.offered:.3g} %" if result.offered else ""
        # One row, whatever it says: what the table is too narrow for is cut.
        example = literal(result.examples.get(reason, ""))
        example.no_wrap, example.overflow = True, "ellipsis"
        table.add_row(f"{count:,}", share, literal(reason), example)
    return table


def report_command(run: str) -> str:
    """What to type to see the report of the run in the directory `run`."""
    return f"tailrace report {shlex.quote(run)}"


def _at_work(nodes: Mapping[str, NodeFigures]) -> str:
    """`3`, or `2 of 3` where one is lost."""
    count = sum(node.workers > 0 for node in nodes.values())
    return f"{count}" if count == len(nodes) else f"{count} of {len(nodes)}"


def _describe(name: str, node: NodeFigures) -> str:
    count = f"{node.workers} worker" + ("s" if node.workers > 1 else "")
    workers = count if node.workers else f"lost at {node.seen_s:.1f} s"
    return (
        f"node {name}: {workers}, {node.rps:,.1f}/s sent, send lag p99 "
        f"{format_lag(node.send_lag_p99_us)}, CPU {node.cpu_percent:.0f} %, "
        f"clock within {node.clock_error_ms:.2g} ms"
    )


def _short(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.3g}"


def _side(interval: tuple[float, float] | None, side: int) -> str:
    return "" if interval is None else number(interval[side])


def _cells(percentiles: Percentiles) -> list[str]:
    return [number(percentiles.get(name)) for name in STATISTICS]
