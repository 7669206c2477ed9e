"""`tailrace load`: one run against one URL."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tailrace.errors import UsageError

EXAMPLE = (
    "Example: [bold]tailrace load http://127.0.0.1:5000/predict/shapes --body pictures/ "
    '--rate 200 --for 30s --slo "p99<100ms" --json[/bold]'
)


def load(
    url: Annotated[str, typer.Argument(help="Where to send requests: http://HOST[:PORT]/PATH.")],
    rate: Annotated[
        str, typer.Option(help="Requests a second, constant: 200, 200/s, 12k/min.")
    ] = "100",
    profile: Annotated[
        str | None,
        typer.Option(help="The rate over time, instead of --rate: steps as 100@30s,500@30s."),
    ] = None,
    arrivals: Annotated[
        str, typer.Option(help="How requests are spaced: poisson or constant.")
    ] = "poisson",
    duration: Annotated[
        str, typer.Option("--for", help="How long to offer load: 30s, 5m, 1h.")
    ] = "30s",
    body: Annotated[
        Path | None,
        typer.Option(help="A file to send, or a directory whose files are sent in turn."),
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option(help="'Name: value', sent with each request; repeatable.")
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="HTTP method; POST with --body, else GET.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Load processes.")] = 1,
    connections: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="The most connections open at once.")
    ] = 1024,
    timeout: Annotated[
        str, typer.Option(help="A request unanswered this long after its intended time fails.")
    ] = "10s",
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same schedule.")] = 1,
    interval: Annotated[str, typer.Option(help="Length of an interval of results.")] = "1s",
    slo: Annotated[
        list[str] | None, typer.Option(help="A bound, as p99<100ms; repeatable. Broken: exit 1.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run directory; by default a new one below runs/.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 if the verdict is INVALID.")] = (
        False
    ),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result document on stdout.")
    ] = False,
) -> None:
    """Put open-loop load on a URL and report its latency, from each request's intended time."""
    import uvloop

    from tailrace.cli import output
    from tailrace.load.arrivals import parse_arrivals
    from tailrace.load.plan import Plan
    from tailrace.load.profile import parse_profile
    from tailrace.load.slo import parse_slo
    from tailrace.load.target import encode_requests, parse_header, parse_target, read_bodies
    from tailrace.runs.directory import RUNS_DIR, RunDirectory
    from tailrace.runs.run import Run

    target = parse_target(url)
    parse_arrivals(arrivals)
    bodies = read_bodies(body) if body is not None else []
    slos = [parse_slo(text) for text in slo or []]
    plan = Plan(
        url=url,
        target=target,
        requests=encode_requests(
            target,
            method or ("POST" if bodies else "GET"),
            dict(parse_header(text) for text in header or []),
            bodies,
        ),
        arrivals=arrivals,
        profile=parse_profile(profile if profile is not None else rate),
        duration_s=output.positive_duration_s("--for", duration),
        seed=seed,
        workers=workers,
        connections=connections,
        timeout_s=output.positive_duration_s("--timeout", timeout),
        interval_s=output.positive_duration_s("--interval", interval),
    )
    if connections < workers:
        raise UsageError(f"--connections {connections} is fewer than --workers {workers}")
    directory = (
        RunDirectory(out, plan) if out is not None else RunDirectory.create(RUNS_DIR, "load", plan)
    )
    result = uvloop.run(output.follow(Run(plan, directory, slos)))
    if as_json:
        output.print_json(result)
    else:
        output.print_summary(result)
    if not all(result.slo.values()) or (strict and not result.verdict.valid):
        sys.exit(1)
