"""`tailrace load`: one run against one URL."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli import layout, options
from tailrace.errors import UsageError

if TYPE_CHECKING:
    from tailrace.load.schedule.profile import Profile
    from tailrace.load.session.result import Result

EXAMPLE = (
    "Example: [bold]tailrace load http://127.0.0.1:5000/predict/shapes --body pictures/ "
    '--rate 200 --for 30s --slo "p99<100ms" --json[/bold]\n\n'
    "Exit code: 0 done; 1 an SLO is broken, a --regression proven, INVALID with --strict, nothing "
    "answered, or given up by --abort-on; 2 an argument cannot be used; 128 + the signal's number "
    "where one cut short what was to be judged: 130 Ctrl-C, 143 SIGTERM."
)


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
    duration: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="TIME",
            help="How long to offer load: 30s, 5m, 1h30m, 1d.",
            show_default="30s; a trace's own",
        ),
    ] = None,
    body: options.Body = None,
    slo: Annotated[
        list[str] | None,
        typer.Option(metavar="BOUND", help="A bound, as p99<100ms; repeatable. Broken: exit 1."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Run directory; by default a new one below runs/."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result document on stdout.")
    ] = False,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="PROFILE",
            help="The rate over time, instead of --rate: 100@30s,500 or 100..1000/60s or "
            "sine(mean=300,amp=200,period=2m) or burst(base=100,peak=1000,every=30s,for=2s); "
            "or a TOML file that has one.",
            rich_help_panel=layout.LOAD,
        ),
    ] = None,
    arrivals: options.Arrivals = "poisson",
    scale: Annotated[
        float,
        typer.Option(
            metavar="X",
            help="With a trace: so many times its requests.",
            rich_help_panel=layout.LOAD,
        ),
    ] = 1.0,
    speed: Annotated[
        float,
        typer.Option(
            metavar="X", help="With a trace: so many times as fast.", rich_help_panel=layout.LOAD
        ),
    ] = 1.0,
    seed: options.Seed = 1,
    data: options.Data = None,
    method: options.Method = None,
    expect_status: options.ExpectStatus = None,
    expect: options.ExpectBody = None,
    expect_size: options.ExpectSize = None,
    header: options.Header = None,
    order: options.Order = "sequential",
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Exit 1 if the verdict is INVALID.", rich_help_panel=layout.JUDGING
        ),
    ] = False,
    min_duration: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="A shorter run is INVALID; MLPerf's minimum unless told otherwise.",
            rich_help_panel=layout.JUDGING,
        ),
    ] = "10m",
    abort_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BOUND",
            help="Give up once so many requests failed over so long, as failed>50%@10s; "
            "repeatable. Exit 1.",
            rich_help_panel=layout.JUDGING,
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Compare with this run: a run's directory, or its name below runs/.",
            rich_help_panel=layout.JUDGING,
        ),
    ] = None,
    regression: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BOUND",
            help="How much worse than --baseline a run may be, as p99+10%, failed+0.5% or "
            "completed/s-5%; repeatable. Proven worse than that: exit 1.",
            show_default="p99+10%",
            rich_help_panel=layout.JUDGING,
        ),
    ] = None,
    junit: options.JUnit = None,
    markdown: options.Markdown = None,
    connections: options.Connections = 1024,
    reuse: options.Reuse = "spread",
    no_keepalive: options.NoKeepAlive = False,
    timeout: options.Timeout = None,
    connect_timeout: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Limit on opening a connection.",
            show_default="--timeout",
            rich_help_panel=layout.CONNECTIONS,
        ),
    ] = None,
    first_byte_timeout: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Limit from sending to the answer's start.",
            show_default="--timeout",
            rich_help_panel=layout.CONNECTIONS,
        ),
    ] = None,
    unix_socket: options.UnixSocket = None,
    connect_to: options.ConnectTo = None,
    insecure: options.Insecure = False,
    cacert: options.CaCert = None,
    cert: options.Cert = None,
    key: options.Key = None,
    workers: options.Workers = 1,
    ray: options.Ray = None,
    part: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Send this part of the schedule alone, 0/N to N-1/N, as one of N commands that "
            "are alike in all else.",
            rich_help_panel=layout.ADVANCED,
        ),
    ] = None,
    start_at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="When to begin, as 2026-11-26T22:00:00Z; the same for all parts.",
            show_default="at once",
            rich_help_panel=layout.ADVANCED,
        ),
    ] = None,
    interval: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="Length of an interval of results.",
            rich_help_panel=layout.ADVANCED,
        ),
    ] = "1s",
    samples: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write each request's times to this .parquet or .csv file.",
            rich_help_panel=layout.ADVANCED,
        ),
    ] = None,
    samples_share: Annotated[
        float,
        typer.Option(
            metavar="X",
            min=1e-9,
            max=1,
            help="With --samples: so many of all requests.",
            rich_help_panel=layout.ADVANCED,
        ),
    ] = 1.0,
    spin: Annotated[
        bool,
        typer.Option(
            "--spin",
            help="Keep a core busy for each worker, to be less late.",
            rich_help_panel=layout.ADVANCED,
        ),
    ] = False,
) -> None:
    """Put open-loop load on a URL and report its latency, from each request's intended time."""
    import msgspec
    import uvloop

    from tailrace.cli import gate, output
    from tailrace.cluster import quietly
    from tailrace.load.client.expect import parse_expect
    from tailrace.load.client.target import without_credentials
    from tailrace.load.judge.ending import parse_abort_on
    from tailrace.load.judge.slo import parse_slo
    from tailrace.load.on_ray import launcher_at
    from tailrace.load.schedule.arrivals import parse_arrivals
    from tailrace.load.schedule.profile import constant
    from tailrace.load.schedule.schedule import WHOLE, parse_part, parse_start
    from tailrace.load.session.plan import Plan
    from tailrace.runs.directory import RUNS_DIR, RunDirectory
    from tailrace.runs.run import Run
    from tailrace.runs.sample_files import SampleSink
    from tailrace.runs.summary.files import SummaryFiles
    from tailrace.runs.summary.summary import of_load
    from tailrace.units import MAX_DURATION_S

    process = parse_arrivals(arrivals, scale, speed)
    if profile is not None and rate is not None:
        raise UsageError("--rate and --profile both say the rate: give one of them")
    asked = profile or rate
    natural = process.natural_rate_per_s or 100.0
    if duration is not None:
        duration_s = output.positive_duration_s("--for", duration)
    else:
        natural_s = process.natural_duration_s if asked is None else None
        duration_s = natural_s or 30.0
        if duration_s > MAX_DURATION_S:
            raise UsageError(f"{arrivals} lasts {duration_s:.3g} s so slowed: give --for")
    slos = tuple(map(parse_slo, slo or ()))
    plan = Plan(
        url=without_credentials(" ".join(urls)),
        traffic=options.read_traffic(
            urls,
            method=method,
            header=header,
            body=body,
            data=data,
            order=order,
            unix_socket=unix_socket,
            connect_to=connect_to,
            insecure=insecure,
            cacert=cacert,
            cert=cert,
            key=key,
            no_keepalive=no_keepalive,
        ),
        arrivals=process.expression,
        profile=_profile(asked) if asked is not None else constant(natural),
        duration_s=duration_s,
        seed=seed,
        workers=workers,
        connections=connections,
        reuse=reuse,
        timeout_s=options.read_timeout_s(timeout, slos),
        connect_timeout_s=_limit_s("--connect-timeout", connect_timeout),
        first_byte_timeout_s=_limit_s("--first-byte-timeout", first_byte_timeout),
        expect=parse_expect(expect_status, expect_size, expect or []),
        spin=spin,
        slos=slos,
        abort_on=tuple(map(parse_abort_on, abort_on or ())),
        min_duration_s=output.positive_duration_s("--min-duration", min_duration, 0.0),
        interval_s=output.positive_duration_s("--interval", interval),
        part=parse_part(part) if part is not None else WHOLE,
        start_at=parse_start(start_at) if start_at is not None else None,
        samples_share=samples_share if samples is not None else 0.0,
    )
    if connections < workers:
        raise UsageError(f"--connections {connections} is fewer than --workers {workers}")
    if (beyond := plan.beyond_workers) is not None:
        options.note(beyond)
    held_against = gate.read_gate(baseline, regression)
    if samples is None and samples_share != 1.0:
        raise UsageError("--samples-share needs --samples")
    sink = SampleSink(samples, plan.urls) if samples is not None else None
    files = SummaryFiles("load", plan.url, junit, markdown)
    with files.failures():
        launcher = launcher_at(ray)
        directory = (
            RunDirectory(out, plan)
            if out is not None
            else RunDirectory.create(RUNS_DIR, "load", plan)
        )
        with quietly():
            run = Run(plan, directory, launcher=launcher, samples=sink)
            result = uvloop.run(output.follow(run))
        # What is not there whole can be no better or worse than another.
        is_kept = directory.broken is None and (sink is None or sink.broken is None)
        judged = held_against.judge(directory.path) if held_against and is_kept else None
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
        or (strict and not result.verdict.valid)
        or (judged is not None and judged.broken)
        or not is_kept
    )
    is_judged = bool(slos) or strict or judged is not None
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


def _limit_s(option: str, text: str | None) -> float | None:
    from tailrace.cli.output import positive_duration_s

    return positive_duration_s(option, text) if text is not None else None


def _profile(text: str) -> "Profile":
    from tailrace.load.schedule.profile import parse_profile
    from tailrace.load.schedule.profile_toml import read_profile

    return read_profile(Path(text)) if text.endswith(".toml") else parse_profile(text)
