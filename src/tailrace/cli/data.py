"""`tailrace data`: pictures to serve and to measure with."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tailrace.datasets import shapes
from tailrace.errors import UsageError

app = typer.Typer(
    name="data",
    help="Makes pictures to serve and to measure with.",
)


class _Format(StrEnum):
    jpg = "jpg"
    png = "png"


@app.command(
    epilog="Example: tailrace data generate drawn --count 500 && "
    "tailrace serve shapes --dataset drawn",
)
def generate(
    out: Annotated[Path, typer.Argument(help="Directory to write; new or empty.")],
    count: Annotated[int, typer.Option(min=1, help="Number of pictures.")] = 100,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the first picture; below 1,000,000: trained on.")
    ] = shapes.HELD_OUT_SEEDS.start,
    image_format: Annotated[
        _Format, typer.Option("--format", help="File format of the pictures.")
    ] = _Format.jpg,
    force: Annotated[
        bool, typer.Option("--force", help="Write even if OUT already has files.")
    ] = False,
) -> None:
    """Draws scenes of ten shapes with their boxes, in COCO's layout."""
    if out.is_dir() and not force and any(out.iterdir()):
        raise UsageError(f"{out} is not empty; name another directory, or add --force")
    columns = (
        TextColumn("drawing"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("drawing", total=count)
        written = shapes.generate(
            out,
            count,
            seed,
            image_format.value,
            progress=lambda done: progress.update(task, completed=done),
        )
    typer.echo(f"{count} pictures in {out}, annotations in {written}")
