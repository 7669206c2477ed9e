"""The `tailrace` command: one module a command, which parses, calls one function below and prints.

Nothing else lives here. Results go to stdout, everything a person reads meanwhile to stderr.
"""

import sys
from importlib import import_module

import typer

from tailrace import __version__
from tailrace.errors import TailraceError

COMMANDS = ("load",)
GROUPS: tuple[str, ...] = ()


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tailrace {__version__}")
        raise typer.Exit


def build() -> typer.Typer:
    """The command line with every command mounted."""
    root = typer.Typer(
        name="tailrace",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Serve MLPerf models over HTTP and measure their tail latency under open-loop load.",
        epilog="Start here: [bold]tailrace demo[/bold]",
    )

    @root.callback()
    def _root(
        version: bool = typer.Option(
            False, "--version", help="Print the version.", callback=_version, is_eager=True
        ),
    ) -> None:
        pass

    for name in COMMANDS:
        module = import_module(f"tailrace.cli.{name}")
        root.command(name, epilog=module.EXAMPLE)(getattr(module, name))
    for name in GROUPS:
        root.add_typer(import_module(f"tailrace.cli.{name}").app, name=name)
    return root


def main() -> None:
    """Entry point: run the command line; an expected error is one line and an exit code."""
    try:
        build()()
    except TailraceError as error:
        print(f"tailrace: error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
