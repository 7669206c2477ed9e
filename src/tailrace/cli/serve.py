"""`tailrace serve`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from tailrace.service.config import TOKEN_VARIABLE, ServiceConfig
from tailrace.units import parse_duration_s

EXAMPLE = "Example: [bold]tailrace serve shapes --port 5000[/bold]"


def serve(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="shapes (embedded) or ssd-mobilenet.")
    ],
    model_path: Annotated[
        Path | None, typer.Option(metavar="FILE", help="ONNX file of the model.")
    ] = None,
    dataset: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Pictures for /gpu: COCO's layout or any folder."),
    ] = None,
    port: Annotated[int, typer.Option(help="0 picks a free one.")] = 5000,
    host: Annotated[
        str, typer.Option(help=f"Any but a loopback address demands {TOKEN_VARIABLE}.")
    ] = "127.0.0.1",
    workers: Annotated[int, typer.Option(help="Processes on the same port.")] = 1,
    concurrency: Annotated[
        int | None,
        typer.Option(help="Inference threads a process; the cores are shared out if left out."),
    ] = None,
    queue: Annotated[int, typer.Option(help="Requests that may wait, a process.")] = 256,
    grace: Annotated[str, typer.Option(help="Time to finish what has begun on SIGTERM.")] = "10s",
) -> None:
    """Serve models over HTTP until SIGTERM or Ctrl-C.

    POST a JPEG or PNG to /predict/MODEL; /docs lists the other routes.
    """
    from tailrace.service.workers import serve as serve_models

    serve_models(
        ServiceConfig(
            models=tuple(models),
            model_path=model_path,
            dataset=dataset,
            host=host,
            port=port,
            workers=workers,
            concurrency=concurrency,
            queue=queue,
            grace_s=parse_duration_s(grace),
            token=os.environ.get(TOKEN_VARIABLE) or None,
        )
    )
