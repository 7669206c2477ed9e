"""`tailrace serve`."""

from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = (
    "Example: [bold]tailrace serve shapes --port 5000[/bold]\n\n"
    "On a Ray cluster: [bold]tailrace serve shapes --ray auto --replicas 1..8[/bold]"
)

_SPEED, _LIMITS, _RAY = "Threads, batches, runtime", "Limits", "On a Ray cluster"
"""Panels of the help."""


def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL",
            help="shapes (embedded), ssd-mobilenet, ssd-resnet34, resnet50, mobilenet, retinanet, "
            "or null (no model: calibrates the overhead). See 'tailrace models list'.",
        ),
    ],
    model_path: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File of the model, if not the one that was fetched."),
    ] = None,
    twin: Annotated[
        bool,
        typer.Option(
            "--twin",
            help="Random weights instead of a file: the right cost, meaningless answers.",
        ),
    ] = False,
    dataset: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Pictures for /gpu: COCO's layout or any folder."),
    ] = None,
    port: Annotated[int, typer.Option(help="0 picks a free one.", metavar="N")] = 5000,
    host: Annotated[
        str,
        typer.Option(help="Any but a loopback address demands TAILRACE_TOKEN.", metavar="ADDRESS"),
    ] = "127.0.0.1",
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes on the same port; 1 if left out. Not with --ray.",
            metavar="N",
            rich_help_panel=_SPEED,
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            help="Inference threads a process; the cores are shared out if left out. "
            "With --ray those of a replica, 1 if left out.",
            metavar="N",
            rich_help_panel=_SPEED,
        ),
    ] = None,
    intra_op: Annotated[
        int,
        typer.Option(
            metavar="N", help="Threads one inference is computed on.", rich_help_panel=_SPEED
        ),
    ] = 1,
    max_batch: Annotated[
        int,
        typer.Option(
            metavar="N", help="The most requests one inference may take.", rich_help_panel=_SPEED
        ),
    ] = 1,
    batch_window: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="How long a batch that is not full waits for more, from its first arrival.",
            rich_help_panel=_SPEED,
        ),
    ] = "0ms",
    queue: Annotated[
        int,
        typer.Option(
            help="Requests that may wait, a process.", metavar="N", rich_help_panel=_LIMITS
        ),
    ] = 256,
    runtime: Annotated[
        str,
        typer.Option(
            help="onnx, or tensorflow for frozen graphs (needs that extra).",
            metavar="NAME",
            rich_help_panel=_SPEED,
        ),
    ] = "onnx",
    device: Annotated[
        str,
        typer.Option(
            help="cpu; with a GPU build of the runtime: cuda, cuda:N, tensorrt.",
            metavar="NAME",
            rich_help_panel=_SPEED,
        ),
    ] = "cpu",
    max_body: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Longest body, as sent and as inflated, such as 64MiB; if left out, two rows of "
            "each model's input in JSON, 32MiB at least.",
            rich_help_panel=_LIMITS,
        ),
    ] = None,
    max_pixels: Annotated[
        int,
        typer.Option(metavar="N", help="Largest picture that is decoded.", rich_help_panel=_LIMITS),
    ] = 25_000_000,
    stuck_after: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            rich_help_panel=_LIMITS,
            help="A worker of which one inference takes longer is replaced; "
            "never sooner than 10 times what the slowest took as it started.",
        ),
    ] = "60s",
    grace: Annotated[
        str,
        typer.Option(
            help="Time to finish what has begun on SIGTERM.",
            metavar="TIME",
            rich_help_panel=_LIMITS,
        ),
    ] = "10s",
    fault: Annotated[
        str | None,
        typer.Option(hidden=True, help="For tests: stage=NAME,delay=50ms,share=0.02."),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="auto|ADDRESS",
            help="Serve replicas on a Ray cluster: this machine's, or HOST:PORT of a head node.",
            rich_help_panel=_RAY,
        ),
    ] = None,
    replicas: Annotated[
        str | None,
        typer.Option(
            metavar="N|N..M",
            help="With --ray: how many, 1 if left out; or a range.",
            rich_help_panel=_RAY,
        ),
    ] = None,
) -> None:
    """Serve models over HTTP until SIGTERM or Ctrl-C.

    POST a JPEG or PNG to /predict/MODEL; /docs lists the other routes.
    """
    from tailrace.errors import UsageError
    from tailrace.service.fault import parse_fault
    from tailrace.service.options import ServiceOptions

    if ray is None and replicas is not None:
        raise UsageError("--replicas is for --ray: --workers are processes on this machine")
    if ray is not None and workers is not None:
        raise UsageError("--workers are processes on one machine: with --ray say --replicas")
    if ray is not None and concurrency is None:
        concurrency = 1
    options = ServiceOptions(
        models=models,
        model_path=model_path,
        twin=twin,
        dataset=dataset,
        host=host,
        concurrency=concurrency,
        intra_op=intra_op,
        max_batch=max_batch,
        batch_window=batch_window,
        queue=queue,
        runtime=runtime,
        device=device,
        grace=grace,
        stuck_after=stuck_after,
        max_body=max_body,
        max_pixels=max_pixels,
    )
    config = options.config(
        port=port,
        workers=1 if workers is None else workers,
        fault=None if fault is None else parse_fault(fault),
    )
    if ray is None:
        from tailrace.service.workers import serve as serve_here

        serve_here(config)
    else:
        from tailrace.cluster import require_ray

        require_ray()
        from tailrace.service.on_ray.replicas import parse_scale
        from tailrace.service.on_ray.serving import serve_on_ray

        serve_on_ray(config, parse_scale(replicas or "1"), ray)
