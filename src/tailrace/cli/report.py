"""`tailrace report`: runs as one HTML page, several of them compared."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.errors import NO_ROOM, TailraceError
from tailrace.plain import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

EXAMPLE = """
Examples:

[bold]tailrace report runs/20261126-093000-load[/bold]

[bold]tailrace report before after --out comparison.html --open[/bold]
"""


def report(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Directories of runs (or of a search, by find), or their names below runs/; "
            "several runs are compared with the first.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help="Where to write.",
            show_default="report.html in the run's directory; of several, report-FIRST-LAST.html",
        ),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print what it says (results, comparisons) on stdout as JSON."),
    ] = False,
) -> None:
    """Write runs as one self-contained page that opens offline and prints.

    Verdict, percentiles with intervals, charts, the generator's health, environment. Several are
    laid over each other, with a table of differences and whether they are more than noise.
    """
    import webbrowser

    from tailrace.report.page import make_page
    from tailrace.report.subject import find_directory

    paths = [find_directory(run) for run in runs]
    page = make_page(paths)
    file = out or _default(paths)
    content = page.html.encode()
    try:
        if out is None:
            # Into a directory that may be somebody else's: no link there is written through.
            file.unlink(missing_ok=True)
        file.write_bytes(content)
    except OSError as error:
        if error.errno in NO_ROOM and file.is_file():
            # Half a page cannot be read.
            file.unlink()
        raise TailraceError(f"cannot write {file}: {error.strerror}") from None
    typer.echo(f"{len(content) / 1e6:.2f} MB", err=True)
    for told in page.document.runs:
        for problem in told.info.problems:
            typer.echo(plain(f"tailrace: {told.info.name} is broken: {problem}"), err=True)
    if as_json:
        from tailrace.cli.output import print_json

        print_json(page.document)
        typer.echo(f"report: {file}", err=True)
    else:
        typer.echo(file)
    if open_:
        webbrowser.open(file.resolve().as_uri())


def _default(paths: "Sequence[Path]") -> Path:
    names = [path.resolve().name for path in paths]
    if len(paths) == 1:
        return paths[0] / "report.html"
    return Path(f"report-{names[0]}-{names[-1]}.html")
