"""`tailrace data`: pictures to serve and to measure with."""

import contextlib
import os
import signal
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from tailrace.cli.layout import Command, Group
from tailrace.datasets import fetch as fetching
from tailrace.datasets import prepare as preparing
from tailrace.datasets import shapes
from tailrace.download import cache_dir
from tailrace.errors import TailraceError, UsageError
from tailrace.plain import plain

app = typer.Typer(
    name="data",
    cls=Group,
    help="Fetches, prepares and draws pictures to serve and to measure with.",
)


class _Set(StrEnum):
    coco_val2017 = "coco-val2017"


class _Kind(StrEnum):
    shapes = "shapes"


class _Format(StrEnum):
    jpg = "jpg"
    png = "png"


@app.command(
    cls=Command,
    epilog="Examples: tailrace data fetch coco-val2017 --count 100; "
    "tailrace data fetch coco-val2017 coco && tailrace serve shapes --dataset coco",
)
def fetch(
    name: Annotated[_Set, typer.Argument(metavar="SET", help="coco-val2017.")],
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="Where to; datasets/SET in the cache if left out."),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Only the first pictures by id, this many."),
    ] = None,
    url: Annotated[
        str, typer.Option("--from", metavar="URL", help="The server, or a mirror of it.")
    ] = fetching.COCO_URL,
) -> None:
    """Fetches a public set of pictures with its annotations; goes on where it was stopped."""
    to = directory or cache_dir() / "datasets" / name.value
    with _progress("run the same command again to go on") as bars:
        annotations = fetching.fetch_coco(to, count, bars.step, url=url.rstrip("/"))
    pictures = "all pictures" if count is None else f"{count} pictures"
    typer.echo(f"{pictures} in {to}, annotations in {annotations}")


@app.command(
    cls=Command,
    epilog="Example: tailrace data prepare coco coco-300 --size 300 300 --format png && "
    "tailrace serve shapes --dataset coco-300",
)
def prepare(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", help="A set in COCO's layout, or in ImageNet's with val_map.txt."
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Directory to write; new or empty.")],
    size: Annotated[
        tuple[int, int], typer.Option(metavar="W H", help="Width and height in pixels.")
    ],
    image_format: Annotated[
        _Format, typer.Option("--format", help="File format of the pictures.")
    ] = _Format.png,
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Threads; as many as cores if left out.")
    ] = None,
) -> None:
    """Resizes the pictures of a set, and its boxes with them; goes on where it was stopped."""
    with _progress("run the same command again to go on") as bars:
        prepared = preparing.prepare(
            *(source, out, size, image_format.value, workers),
            progress=lambda done, total: bars.step(_RESIZING, done, total),
        )
    for name, fault in prepared.broken.items():
        typer.echo(plain(f"{name} {fault}"), err=True)
    typer.echo(f"{prepared.resized} pictures resized, {prepared.kept} there already, in {out}")
    if prepared.broken:
        raise TailraceError(f"{len(prepared.broken)} broken pictures left out")


@app.command(
    cls=Command,
    epilog="Example: tailrace data generate shapes drawn --count 500 && "
    "tailrace serve shapes --dataset drawn",
)
def generate(
    kind: Annotated[_Kind, typer.Argument(metavar="KIND", help="shapes: scenes of ten shapes.")],
    out: Annotated[Path, typer.Argument(metavar="DIR", help="Directory to write; new or empty.")],
    count: Annotated[int, typer.Option(metavar="N", min=1, help="Number of pictures.")] = 100,
    seed: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Seed of the first picture; below 1,000,000: trained on."
        ),
    ] = shapes.HELD_OUT_SEEDS.start,
    image_format: Annotated[
        _Format, typer.Option("--format", help="File format of the pictures.")
    ] = _Format.jpg,
    force: Annotated[
        bool, typer.Option("--force", help="Write even if DIR already has files.")
    ] = False,
) -> None:
    """Draws scenes with their boxes, in COCO's layout."""
    if out.is_dir() and not force and any(out.iterdir()):
        raise UsageError(f"{out} is not empty; name another directory, or add --force")
    with _progress("run the same command with --force to draw them again") as bars:
        written = shapes.generate(
            *(out, count, seed, image_format.value),
            progress=lambda done: bars.step(_DRAWING, done, count),
        )
    typer.echo(f"{count} pictures in {out}, annotations in {written}")


_RESIZING = fetching.Step("resizing", "pictures")
_DRAWING = fetching.Step("drawing", "pictures")


class _Bars:
    """A bar a step, on stderr."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[fetching.Step, TaskID] = {}

    def step(self, step: fetching.Step, done: int, total: int | None) -> None:
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(step.name, amount="")
        show = decimal if step.unit == "bytes" else "{:,}".format
        amount = show(done) if total is None else f"{show(done)} of {show(total)}"
        self._progress.update(self._tasks[step], completed=done, total=total, amount=amount)


@contextlib.contextmanager
def _progress(advice: str) -> Iterator[_Bars]:
    """Bars to show work on. Ctrl-C ends the process with exit code 130 and `advice` on how to
    go on, without waiting for threads: what is on disk can be gone on from at any instant.
    """

    def end(*_: object) -> None:
        progress.stop()
        typer.echo(f"tailrace: interrupted: {advice}", err=True)
        os._exit(130)

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[amount]}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        before = signal.signal(signal.SIGINT, end)
        try:
            yield _Bars(progress)
        finally:
            signal.signal(signal.SIGINT, before)
