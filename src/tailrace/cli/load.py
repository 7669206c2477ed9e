"""`tailrace load`: one run against one URL."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli import options
from tailrace.errors import UsageError
from tailrace.load.config import ADVANCED, DEFAULT_DURATION_S, JUDGING, LOAD

if TYPE_CHECKING:
    from tailrace.load.session.result import Result

EXAMPLE = (
    "Example: [bold]tailrace load http://127.0.0.1:5000/predict/shapes --body pictures/ "
    '--rate 200 --for 30s --slo "p99<100ms" --json[/bold]\n\n'
    "Exit code: 0 done; 1 an SLO is broken, a --regression proven, nothing answered, given up by "
    "--abort-on, or with --strict INVALID, an SLO not decided, or not official with --mlperf; 2 an "
    "argument cannot be used; 128 + the signal's number where one cut short what was to be judged: "
    "130 Ctrl-C, 143 SIGTERM."
)


@options.with_settings(unset={"duration_s": "30s; a trace's own", "profile": ""})
def load(
    urls: options.Urls,
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="RATE",
            help="Requests a second, constant: 200, 200/s, 12k/min.",
            show_default="100; a trace's own",
        ),
    ] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Run directory; by default a new one below runs/."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result document on stdout.")
    ] = False,
    scale: Annotated[
        float,
        typer.Option(
            metavar="X", help="With a trace: so many times its requests.", rich_help_panel=LOAD
        ),
    ] = 1.0,
    speed: Annotated[
        float,
        typer.Option(
            metavar="X", help="With a trace: so many times as fast.", rich_help_panel=LOAD
        ),
    ] = 1.0,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Exit 1 as well if the verdict is INVALID, an SLO not decided, or the run not "
            "official where --mlperf asks.",
            rich_help_panel=JUDGING,
        ),
    ] = False,
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUN",
            help="Compare with this run: a run's directory, its name below runs/, or a directory "
            "of several runs; repeatable.",
            rich_help_panel=JUDGING,
        ),
    ] = None,
    regression: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BOUND",
            help="How much worse than --baseline a run may be, as p99+10%, failed+0.5% or "
            "completed/s-5%; repeatable. Proven worse than that: exit 1.",
            show_default="p99+10%",
            rich_help_panel=JUDGING,
        ),
    ] = None,
    junit: options.JUnit = None,
    markdown: options.Markdown = None,
    samples: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write each request's times to this .parquet or .csv file.",
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    samples_share: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="With --samples: so many of all requests, as 0.01.",
            show_default="1",
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    **given: Any,
) -> None:
    """Put open-loop load on a URL and report its latency, from each request's intended time."""
    import msgspec
    import uvloop

    from tailrace.cli import gate, output
    from tailrace.load.judge.answers import is_doubtful
    from tailrace.load.session.plan import read_plan
    from tailrace.runs.directory import RUNS_DIR, new_directory
    from tailrace.runs.run import Run, SampleSink
    from tailrace.runs.summary import SummaryFiles, of_load

    config = options.read_config(urls, given, rate=rate, scale=scale, speed=speed)
    with options.named():
        plan = read_plan(config, duration_s=DEFAULT_DURATION_S, note=options.note)
        plan.check_start()
    if (beyond := plan.beyond_workers) is not None:
        options.note(beyond)
    held_against = gate.read_gate(baseline, regression)
    if samples_share is not None and samples is None:
        raise UsageError("--samples-share needs --samples")
    sink = SampleSink(samples, samples_share) if samples is not None else None
    files = SummaryFiles("load", plan.config.url, junit, markdown)
    with files.failures():
        path = out if out is not None else new_directory(RUNS_DIR, "load")
        run = Run(plan, path, samples=sink)
        result = uvloop.run(output.follow(run))
        # What is not there whole can be no better or worse than another.
        judged = held_against.judge(path) if held_against and run.is_kept else None
    if as_json:
        output.print_json(
            result
            if judged is None
            else {**msgspec.to_builtins(result), "baseline": judged.document()}
        )
    else:
        output.print_summary(result)
        if judged is not None:
            gate.print_outcomes(judged.outcomes)
    files.write(
        of_load(
            result,
            strict=strict,
            comparison=judged.comparison if judged is not None else None,
            outcomes=judged.outcomes if judged is not None else (),
        )
    )
    broken = (
        not all(result.slo.values())
        or (strict and is_doubtful(result.verdict, result.decisions, result.mlperf))
        or (judged is not None and judged.broken)
        or not run.is_kept
    )
    is_judged = bool(plan.slos) or strict or judged is not None
    if code := _exit_code(result, is_judged=is_judged, broken=broken):
        sys.exit(code)


def _exit_code(result: "Result", *, is_judged: bool, broken: bool) -> int:
    from tailrace.load.judge.ending import ABORT_ON, WORKERS, signal_code
    from tailrace.load.measure.failures import describe_failures

    silent = result.offered > 0 and result.completed == 0
    if silent:
        failures = describe_failures(result.reasons)
        typer.echo(f"tailrace: error: no request was answered: {failures}", err=True)
    # What was cut short is no judgement on the whole, whichever way it would go.
    if (is_judged or result.completed == 0) and (code := signal_code(result.ended_by)) is not None:
        return code
    return int(broken or silent or result.ended_by in (ABORT_ON, WORKERS))
