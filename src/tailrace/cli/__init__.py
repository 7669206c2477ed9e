"""The `tailrace` command: one module a command, which parses, calls one function below and prints.

Nothing else lives here. Results go to stdout, everything a person reads meanwhile to stderr.
"""

import sys
from collections.abc import Collection
from importlib import import_module

import typer
from typer.main import get_command

from tailrace import __version__
from tailrace.cli.layout import Command, Group
from tailrace.cli.streams import lost, outlast_readers, wrapped
from tailrace.errors import NO_ROOM, TailraceError
from tailrace.plain import plain

COMMANDS = ("demo", "serve", "load", "find", "compare", "ab", "report", "dashboard")
GROUPS = ("data", "models", "mlperf")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tailrace {__version__}")
        raise typer.Exit


def build(names: Collection[str] = (*COMMANDS, *GROUPS)) -> typer.Typer:
    """The command line with these commands, all by default; only their modules are imported."""
    root = typer.Typer(
        name="tailrace",
        cls=Group,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Serve MLPerf models over HTTP and measure their tail latency under open-loop load.",
        epilog="Start here: [bold]tailrace demo[/bold]",
    )

    @root.callback(invoke_without_command=True)
    def _root(
        context: typer.Context,
        version: bool = typer.Option(
            False, "--version", help="Print the version.", callback=_version, is_eager=True
        ),
    ) -> None:
        if context.invoked_subcommand is None:
            typer.echo(context.get_help())

    for name in filter(names.__contains__, COMMANDS):
        module = import_module(f"tailrace.cli.{name}")
        kind = getattr(module, "Command", Command)
        root.command(name, cls=kind, epilog=module.EXAMPLE)(getattr(module, name))
    for name in filter(names.__contains__, GROUPS):
        root.add_typer(import_module(f"tailrace.cli.{name}").app, name=name)
    return root


def main() -> None:
    """Entry point: run the command line; an expected error is one line and an exit code."""
    stdout, _ = outlast_readers()
    code = _run()
    sys.stdout.flush()
    if (why := lost(stdout)) is not None:
        code = code or _fail(f"cannot write to stdout: {why}", 1)
    sys.exit(code)


def _run() -> int:
    names = {*COMMANDS, *GROUPS}
    try:
        # Importing all of them takes longer than most commands need.
        root = build(names & set(sys.argv[1:2]) or names)
        code = get_command(root).main(prog_name="tailrace", standalone_mode=False)
    except typer.TyperException as error:
        # typer's own errors carry these, though their common base does not declare them.
        message = getattr(error, "format_message", error.__str__)() or "interrupted"
        context = getattr(error, "ctx", None)
        hint = f" (see '{context.command_path} --help')" if context is not None else ""
        return _fail(" ".join(message.split()).rstrip(".") + hint, getattr(error, "exit_code", 130))
    except TailraceError as error:
        return _fail(str(error), error.exit_code)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        return _fail(f"cannot write {error.filename or 'a file'}: {error.strerror}", 1)
    except KeyboardInterrupt:
        # Before a command is begun; whoever pressed Ctrl-C knows.
        return 130
    except SystemExit as ended:
        code = ended.code
    return code if isinstance(code, int) else 0


def _fail(message: str, code: int) -> int:
    sys.stderr.write(wrapped(f"tailrace: error: {plain(message)}", sys.stderr) + "\n")
    return code
