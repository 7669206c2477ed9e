"""`tailrace models`: what can be served, what it costs, and its files."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tailrace.cli.layout import Command, Group

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rich.console import Console

    from tailrace.models.catalog import FormatEntry, ModelEntry
    from tailrace.models.runtimes import TensorInfo
    from tailrace.models.zoo.spec import Format, ModelSpec

app = typer.Typer(
    name="models", cls=Group, help="Lists the models that can be served, and fetches their files."
)

_WIDTH = 120
"""Of what is printed to no terminal."""
_WIDE = 110
"""From which on the list has every column."""

_Name = Annotated[str, typer.Argument(metavar="NAME", help="See 'tailrace models list'.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@app.command("list", cls=Command, epilog="Example: tailrace models list --json | jq -r '.[].name'")
def list_models(as_json: _Json = False) -> None:
    """Lists the models, what they cost, MLPerf's bounds for them, and what is here."""
    from tailrace.cli.output import print_json
    from tailrace.models import zoo
    from tailrace.models.catalog import describe

    entries = [describe(spec) for spec in zoo.SPECS]
    if as_json:
        print_json(entries)
    else:
        _print_table(entries)


@app.command(cls=Command, epilog="Example: tailrace models show ssd-resnet34")
def show(name: _Name, as_json: _Json = False) -> None:
    """Shows all there is to know of one model, and how to serve it."""
    from tailrace.cli.output import print_json
    from tailrace.models import zoo
    from tailrace.models.catalog import describe

    entry = describe(zoo.find(name))
    if as_json:
        print_json(entry)
    else:
        _print_entry(entry)


@app.command(
    cls=Command,
    epilog="Examples: tailrace models fetch ssd-mobilenet && tailrace serve ssd-mobilenet; "
    "tailrace models fetch ssd-resnet34 --origin tensorflow",
)
def fetch(
    name: _Name,
    runtime: Annotated[
        Literal["onnx", "tensorflow"], typer.Option(help="What is to compute it.")
    ] = "onnx",
    origin: Annotated[
        Literal["pytorch", "tensorflow"] | None,
        typer.Option(help="The framework it was trained in, where there are several."),
    ] = None,
) -> None:
    """Fetches the file of a model into the cache and prints its path; goes on where it stopped."""
    from tailrace.models import store, zoo

    spec = zoo.find(name)
    if spec.embedded is not None:
        _say(f"{name} needs no fetching: it comes with this package")
        typer.echo(store.embedded_file(spec.embedded))
        return
    if not spec.needs_file:
        _say(f"{name} needs no fetching: it has no file")
        return
    form = _choose(spec, runtime, origin)
    try:
        typer.echo(_fetch(spec, form))
    except KeyboardInterrupt:
        _say("tailrace: stopped; run the same command again to go on")
        raise typer.Exit(130) from None


def _choose(spec: ModelSpec, runtime: str, origin: str | None) -> Format:
    from tailrace.errors import UsageError

    formats = spec.formats_for(runtime)
    for form in formats:
        if origin in (None, form.origin.lower()):
            return form
    there = " and ".join(form.origin for form in formats)
    raise UsageError(f"{spec.name} for {runtime} does not come from {origin} but from {there}")


def _fetch(spec: ModelSpec, form: Format) -> Path:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TaskID,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from tailrace.models import store

    if form.file is not None:
        there = store.fetched_file(spec, form.file).is_file()
        _say("it is there already" if there else f"fetching {form.file.url}")
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bars:
        bar: TaskID | None = None

        def step(done: int, total: int | None) -> None:
            nonlocal bar
            if bar is None:
                if done:
                    _say(f"going on after {done:,} bytes")
                # What came earlier must not count as the speed of this run.
                bar = bars.add_task("", completed=done, total=total)
            else:
                bars.update(bar, completed=done, total=total)

        return store.fetch(spec, form, step)


def _print_table(entries: Iterable[ModelEntry]) -> None:
    from rich.table import Table

    console = _console()
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("name", no_wrap=True)
    table.add_column("task", no_wrap=True)
    # What a narrow terminal has no room for, `show` says.
    is_wide = console.width >= _WIDE
    if is_wide:
        table.add_column("input", no_wrap=True)
    for header in ("params", "GFLOP", "p99 bound", "accuracy target"):
        table.add_column(header, justify="right")
    table.add_column("here")
    for entry in entries:
        accuracy = entry.accuracy
        table.add_row(
            entry.name,
            entry.task,
            *([_size(entry.formats[0].input)] if is_wide else []),
            _parameters(entry),
            _gflop(entry),
            ", ".join(f"{bound:g} ms" for bound in entry.server_latency_ms.values()) or "–",
            f"{accuracy.metric} {accuracy.target:.4f}" if accuracy else "–",
            entry.availability,
        )
    console.print(table)


def _print_entry(entry: ModelEntry) -> None:
    from tailrace.cli.console import literal

    console = _console()
    console.print(literal((entry.name, "bold"), f": {entry.title}"))
    named = f", {entry.labels} named classes" if entry.labels else ""
    _line(console, "task", entry.task + named)
    if entry.parameters is not None:
        _line(console, "cost", f"{_parameters(entry)} parameters, {_gflop(entry)} GFLOP a picture")
    if accuracy := entry.accuracy:
        _line(
            console,
            "accuracy",
            f"{accuracy.metric} on {accuracy.dataset}: reference {accuracy.reference:.4f}, "
            f"a result must reach {accuracy.target:.4f}",
            words=True,
        )
    for versions, bound in entry.server_latency_ms.items():
        _line(console, "p99 bound", f"{bound:g} ms, Server scenario, MLPerf Inference {versions}")
    _line(console, "here", entry.availability)
    if entry.embedded is not None:
        _line(console, "file", entry.embedded)
    if twin := entry.twin:
        state = twin.path if twin.built else "built when first served"
        _line(console, "twin", f"of the {twin.runtime} format from {twin.origin}: {state}")
    for form in entry.formats:
        _print_format(console, form)
    console.print()
    console.print(literal(("serve it", "bold")))
    for command in _commands(entry):
        console.print(literal(f"  {command}"), soft_wrap=True)


def _print_format(console: Console, form: FormatEntry) -> None:
    from tailrace.cli.console import literal

    origin = f", from {form.origin}" if form.origin else ""
    console.print()
    console.print(literal((f"--runtime {form.runtime}", "bold"), origin))
    batch = "any batch" if form.input.shape[0] == -1 else f"batch {form.input.shape[0]}"
    _line(console, "input", f"{form.input.name}: {_size(form.input)}, {batch}")
    _line(console, "outputs", ", ".join(form.outputs), words=True)
    if (file := form.file) is None:
        return
    _line(console, "address", file.url)
    if file.member is not None:
        _line(console, "member", file.member)
    _line(console, "md5", file.md5 or "none published")
    if file.size_bytes is None:
        _line(console, "file", "not fetched")
    else:
        _line(console, "file", f"{file.path}, {file.size_bytes:,} bytes")
        _line(console, "sha256", f"{file.sha256 or 'not noted'}, when it was fetched")


def _commands(entry: ModelEntry) -> list[str]:
    if entry.availability in ("embedded", "needs none"):
        return [f"tailrace serve {entry.name}"]
    commands = []
    for form in entry.formats:
        if form.file is None:
            continue
        choice = "" if form.runtime == "onnx" else f" --runtime {form.runtime}"
        first = next(each for each in entry.formats if each.runtime == form.runtime)
        origin = "" if form is first else f" --origin {form.origin.lower()}"
        serve = f"tailrace serve {entry.name}{choice}"
        path = f" --model-path {shlex.quote(form.file.path)}" if origin else ""
        fetching = f"tailrace models fetch {entry.name}{choice}{origin} && "
        commands.append(f"{'' if form.file.size_bytes is not None else fetching}{serve}{path}")
    if entry.twin is not None:
        commands.append(f"tailrace serve {entry.name} --twin    # answers are meaningless")
    return commands


def _size(tensor: TensorInfo) -> str:
    sizes = "x".join("any" if size == -1 else str(size) for size in tensor.shape[1:])
    return f"{tensor.datatype} {sizes}"


def _parameters(entry: ModelEntry) -> str:
    return "–" if entry.parameters is None else f"{entry.parameters / 1e6:.1f} M"


def _gflop(entry: ModelEntry) -> str:
    return "–" if entry.flop is None else f"{entry.flop / 1e9:,.1f}"


def _line(console: Console, label: str, text: str, *, words: bool = False) -> None:
    from tailrace.cli.console import literal, print_paragraph

    line = literal("  ", (f"{label:10}", "dim"), text)
    if words:
        print_paragraph(console, line, hang=12)
    else:
        # To be copied in one piece.
        console.print(line, soft_wrap=True)


def _console() -> Console:
    from tailrace.cli.console import make_console

    return make_console(width=None if sys.stdout.isatty() else _WIDTH)


def _say(text: str) -> None:
    typer.echo(text, err=True)
