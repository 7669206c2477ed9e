"""`tailrace mlperf`: MLPerf's own script mode, on the official LoadGen."""

import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from tailrace.cli import mlperf_options as asked
from tailrace.cli import options
from tailrace.cli.layout import Command, Group
from tailrace.errors import TailraceError, UsageError

if TYPE_CHECKING:
    from tailrace.mlperf.plan import Plan

_RUN = "run"


class _RunByDefault(Group):
    """`tailrace mlperf MODEL …` is `tailrace mlperf run MODEL …`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or args[0] not in self.commands:
            args = [_RUN, *(args or ["--help"])]
        return super().parse_args(ctx, args)


app = typer.Typer(
    name="mlperf",
    cls=_RunByDefault,
    help="Runs MLPerf's scenarios on the official LoadGen, in process or over HTTP.",
)

_EXAMPLE = """
Examples:

[bold]tailrace mlperf shapes --scenario single-stream --min-duration 10s[/bold]

[bold]tailrace mlperf shapes --scenario server --rate 100 --slo "p99<100ms" --target http://127.0.0.1:5000[/bold]

[bold]tailrace mlperf ssd-mobilenet --accuracy --scenario offline --dataset coco/ --out submission[/bold]

[bold]tailrace mlperf --profile ssd-mobilenet-onnx --dataset-path coco/ --scenario SingleStream[/bold]

[bold]tailrace mlperf check submission[/bold] reads the logs of tests, ours or not, and says what they are worth.
"""  # noqa: E501
_CHECK_EXAMPLE = "Example: tailrace mlperf check submission --json"


@app.command(_RUN, cls=Command, epilog=_EXAMPLE)
def run(
    model: asked.Model = None,
    scenario: asked.Scenario = "single-stream",
    accuracy: asked.Accuracy = False,
    find_peak: asked.FindPeak = False,
    target: asked.Target = None,
    rate: asked.Rate = None,
    slo: asked.Slo = None,
    min_duration: asked.MinDuration = None,
    min_queries: asked.MinQueries = None,
    user_conf: asked.UserConf = None,
    dataset: asked.Dataset = None,
    count: asked.Count = None,
    payload: asked.Payload = None,
    profile: asked.Profile = None,
    model_path: asked.ModelPath = None,
    twin: asked.Twin = False,
    backend: asked.Backend = None,
    device: asked.Device = "cpu",
    concurrency: asked.Concurrency = None,
    intra_op: asked.IntraOp = 1,
    max_batch: asked.MaxBatch = 1,
    batch_window: asked.BatchWindow = "0ms",
    routing: asked.Routing = "round-robin",
    connections: asked.Connections = 128,
    timeout: asked.Timeout = "60s",
    header: asked.Header = None,
    insecure: options.Insecure = False,
    cacert: options.CaCert = None,
    remote_name: asked.RemoteName = None,
    out: asked.Out = None,
    division: asked.Division = None,
    submitter: asked.Submitter = "local",
    system_name: asked.SystemName = None,
    as_json: asked.AsJson = False,
) -> None:
    """Test a model with MLPerf's LoadGen: in this process, or over HTTP with --target.

    The settings are MLPerf's for the model unless flags or --user-conf say otherwise. The logs are
    LoadGen's own. Exit code 0 if the result is VALID (and accurate, with --accuracy), else 1.

    --profile, --dataset-path, --backend and the other second names of options are those of
    MLPerf's reference main.py.
    """
    from tailrace.cli.output import positive_duration_s
    from tailrace.load.client.request import merge_headers, parse_header
    from tailrace.load.client.target import Tls
    from tailrace.mlperf.plan import Plan
    from tailrace.mlperf.reference import parse_profile, runtime_of
    from tailrace.mlperf.scenario import find_scenario
    from tailrace.mlperf.settings import UserConf, Wishes
    from tailrace.models import zoo
    from tailrace.service.config import ServiceConfig
    from tailrace.units import parse_duration_s, parse_option, parse_rate_per_s

    if accuracy and find_peak:
        raise UsageError("--accuracy and --find-peak are two tests: run one after the other")
    if (model is None) == (profile is None):
        raise UsageError("name the model: MODEL or --profile, one of them")
    runtime = runtime_of(backend) if backend is not None else "onnx"
    if profile is not None:
        model, of_profile = parse_profile(profile)
        if backend is not None and of_profile != runtime:
            raise UsageError(f"--profile {profile} and --backend {backend} contradict each other")
        runtime = of_profile
    latency_s, percent = _bound(slo)
    wishes = Wishes(
        scenario=find_scenario(scenario),
        mode="accuracy" if accuracy else "find-peak" if find_peak else "performance",
        rate_per_s=parse_option("--rate", parse_rate_per_s, rate) if rate is not None else None,
        latency_s=latency_s,
        percent=percent,
        min_duration_s=(
            positive_duration_s("--min-duration", min_duration)
            if min_duration is not None
            else None
        ),
        min_queries=min_queries,
        user_conf=UserConf.read(user_conf) if user_conf is not None else None,
    )
    plan = Plan(
        spec=zoo.find(str(model)),
        wishes=wishes,
        compute=ServiceConfig(
            models=(str(model),),
            model_path=model_path,
            twin=twin,
            runtime=runtime,
            device=device,
            concurrency=concurrency,
            intra_op_threads=intra_op,
            max_batch=max_batch,
            batch_window_s=parse_option("--batch-window", parse_duration_s, batch_window),
        ),
        targets=tuple(target or ()),
        payload=payload or ("picture" if target else "tensor"),
        routing=routing,
        connections=connections,
        timeout_s=positive_duration_s("--timeout", timeout),
        headers=merge_headers([parse_header(text) for text in header or []]),
        tls=Tls(not insecure, cacert),
        remote_name=remote_name,
        dataset=dataset,
        count=count,
        out=out,
        division=division or ("network" if target else "open"),
        submitter=submitter,
        system_name=system_name,
        command=_command(sys.argv[1:]),
    )
    _test(plan, as_json)


@app.command(cls=Command, epilog=_CHECK_EXAMPLE)
def check(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A test's folder, or any above some.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Read LoadGen's logs, and say of each test whether it is VALID, or why not.

    Exit code 0 if all are, 1 if one is not.
    """
    from tailrace.cli.mlperf_output import print_check
    from tailrace.cli.output import print_json
    from tailrace.mlperf.check import check_tree

    checks = check_tree(folder)
    if as_json:
        print_json(checks)
    else:
        for each in checks:
            print_check(each)
    sys.exit(0 if all(each.valid for each in checks) else 1)


def _command(arguments: list[str]) -> str:
    # What a header says may be a secret.
    shown = list(arguments)
    for place, argument in enumerate(shown):
        if argument == "--header":
            shown[place + 1] = "…"
        elif argument.startswith("--header="):
            shown[place] = "--header=…"
    return shlex.join(["tailrace", *shown])


def _bound(slo: str | None) -> tuple[float | None, float | None]:
    if slo is None:
        return None, None
    from tailrace.load.judge.slo import parse_slo
    from tailrace.units import parse_option

    parsed = parse_option("--slo", parse_slo, slo)
    if parsed.percent is None or parsed.is_on_failures:
        raise UsageError(f"--slo {slo}: LoadGen's bound is on a percentile, as p99<100ms")
    return parsed.bound_s, parsed.percent


def _test(plan: "Plan", as_json: bool) -> NoReturn:
    from tailrace.cli.live import LiveLine
    from tailrace.cli.mlperf_output import print_result
    from tailrace.cli.output import print_json
    from tailrace.mlperf.plan import prepare
    from tailrace.mlperf.progress import Course, Progress, describe
    from tailrace.mlperf.result import conclude

    line = LiveLine()

    def show(course: Course, progress: Progress) -> None:
        line.draw(describe(course, progress))

    running = prepare(plan, line.note)
    try:
        with closing(line), _stopped_by_signals(running.stop):
            outcome = running.run(show)
        result = conclude(running.test, outcome)
        if as_json:
            print_json(result)
        else:
            print_result(result)
        code = 0 if result.valid else 1
    except TailraceError as error:
        if not running.abandoned:
            raise
        sys.stderr.write(f"tailrace: error: {error}\n")
        code = error.exit_code
    finally:
        running.test.system.close()
    if running.abandoned:
        # LoadGen's library would abort an ordinary end.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    from tailrace.cli.output import stop_signals

    numbers = stop_signals()
    previous = [signal.signal(number, lambda *_: stop()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, previous, strict=True):
            signal.signal(number, handler)
