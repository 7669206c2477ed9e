"""Options that commands which put load on something share, each said once."""

import os
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tailrace.cli import layout
from tailrace.errors import UsageError
from tailrace.units import MAX_SEED

if TYPE_CHECKING:
    from tailrace.load.client.request import Body as RequestBody
    from tailrace.load.client.traffic import Traffic
    from tailrace.load.judge.slo import Slo


def _check_seed(seed: int) -> int:
    if seed > MAX_SEED:
        raise UsageError(f"--seed must be 0 to {MAX_SEED}, not {seed}")
    return seed


Urls = Annotated[
    list[str],
    typer.Argument(
        metavar="URL",
        help="Where to send requests; several share them by weight, as 3:http://HOST/PATH.",
    ),
]
Arrivals = Annotated[
    str,
    typer.Option(
        metavar="KIND",
        help="How requests are spaced: poisson, constant, gamma:CV, "
        "mmpp:low=1,high=8,low_for=1000,high_for=100, trace:FILE.",
        rich_help_panel=layout.LOAD,
    ),
]
Body = Annotated[
    str | None,
    typer.Option(
        metavar="PATH|JSON",
        help="A file to send, a directory of them (its pictures, if it has any), or JSON itself; "
        "{{counter}} in it is a request's number.",
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="The body itself, instead of --body: any text.",
        rich_help_panel=layout.REQUESTS,
    ),
]
Order = Annotated[
    Literal["sequential", "random"],
    typer.Option(help="How the bodies take turns.", rich_help_panel=layout.REQUESTS),
]
Header = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME:VALUE",
        help="'Name: value', sent with each request; repeatable, and all are sent.",
        rich_help_panel=layout.REQUESTS,
    ),
]
Method = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="HTTP method; POST with a body, else GET.",
        rich_help_panel=layout.REQUESTS,
    ),
]
ExpectStatus = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="Statuses of a good answer, as 2xx,304.",
        show_default="2xx",
        rich_help_panel=layout.REQUESTS,
    ),
]
ExpectBody = Annotated[
    list[str] | None,
    typer.Option(
        "--expect",
        metavar="WHAT",
        help="What a good answer's body says: 'body contains TEXT', 'body !contains TEXT', "
        "'json PATH', 'json !PATH', 'json PATH=VALUE'; repeatable.",
        rich_help_panel=layout.REQUESTS,
    ),
]
ExpectSize = Annotated[
    str | None,
    typer.Option(
        metavar="BYTES",
        help="Size of a good answer's body: 512, 100.. or 100..2000.",
        rich_help_panel=layout.REQUESTS,
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        metavar="N", min=1, max=256, help="Load processes.", rich_help_panel=layout.ADVANCED
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="auto|HOST:PORT",
        help="Spread the load processes over the nodes of this Ray cluster; auto: the one that "
        "this machine is a node of.",
        show_default=False,
        rich_help_panel=layout.ADVANCED,
    ),
]
Connections = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=1,
        max=1_000_000,
        help="The most connections open at once.",
        rich_help_panel=layout.CONNECTIONS,
    ),
]
Reuse = Annotated[
    Literal["spread", "fifo", "lifo"],
    typer.Option(
        help="Which idle connection a request takes: the one idle for longest to the address whose "
        "turn it is, of all, or the one used last.",
        rich_help_panel=layout.CONNECTIONS,
    ),
]
NoKeepAlive = Annotated[
    bool,
    typer.Option(
        "--no-keepalive",
        help="Send each request on a connection of its own.",
        rich_help_panel=layout.CONNECTIONS,
    ),
]
Timeout = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="A request unanswered this long after its intended time fails.",
        rich_help_panel=layout.CONNECTIONS,
        show_default="10s, or twice the largest bound",
    ),
]
UnixSocket = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Connect to this Unix socket instead of the URL's host.",
        rich_help_panel=layout.CONNECTIONS,
    ),
]
Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure",
        help="Accept any certificate of an https:// server.",
        rich_help_panel=layout.CONNECTIONS,
    ),
]
CaCert = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="PEM file of authorities to trust for https://.",
        rich_help_panel=layout.CONNECTIONS,
    ),
]
Cert = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="PEM file of a certificate to show to https:// servers.",
        rich_help_panel=layout.CONNECTIONS,
    ),
]
Key = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="PEM file of its key, without a password.",
        show_default="in --cert",
        rich_help_panel=layout.CONNECTIONS,
    ),
]
ConnectTo = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Connect there instead of the URL's host; Host and certificate stay the URL's.",
        rich_help_panel=layout.CONNECTIONS,
    ),
]
JUnit = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write the outcome to this file as JUnit XML, for a pipeline.",
        rich_help_panel=layout.JUDGING,
    ),
]
Markdown = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Append it to this file as Markdown, as $GITHUB_STEP_SUMMARY.",
        rich_help_panel=layout.JUDGING,
    ),
]
Regression = Annotated[
    list[str] | None,
    typer.Option(
        metavar="BOUND",
        help="How much worse a run may be, as p99+10%, failed+0.5% or completed/s-5%; repeatable. "
        "Proven worse than that: exit 1.",
        rich_help_panel=layout.JUDGING,
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=0,
        # A range of 19 digits would take the help's room for words.
        callback=_check_seed,
        help="Same seed, same schedule.",
        rich_help_panel=layout.LOAD,
    ),
]


def read_timeout_s(text: str | None, slos: "Sequence[Slo]") -> float:
    """The timeout that `--timeout` says, or that the SLOs ask for.

    Raises:
        UsageError: it is no duration, or shorter than a bound.
    """
    from tailrace.cli.output import positive_duration_s
    from tailrace.load.session.plan import choose_timeout_s

    given_s = positive_duration_s("--timeout", text) if text is not None else None
    return choose_timeout_s(given_s, slos)


def read_traffic(
    urls: list[str],
    *,
    method: str | None,
    header: list[str] | None,
    body: str | None,
    data: str | None,
    order: Literal["sequential", "random"],
    unix_socket: Path | None,
    connect_to: str | None,
    insecure: bool,
    cacert: Path | None,
    cert: Path | None,
    key: Path | None,
    no_keepalive: bool,
) -> "Traffic":
    """The traffic that these options ask for.

    Raises:
        UsageError: one of them cannot be used.
    """
    from tailrace.load.client.request import parse_header
    from tailrace.load.client.target import parse_address
    from tailrace.load.client.traffic import Tls, plan_traffic

    for option, file in (("--cacert", cacert), ("--cert", cert), ("--key", key)):
        if file is not None and not file.is_file():
            raise UsageError(f"{option}: there is no file {file}")
    return plan_traffic(
        urls,
        method=method,
        headers=[parse_header(text) for text in header or []],
        bodies=_read_bodies(body, data),
        order=order,
        unix_socket=unix_socket,
        connect_to=parse_address(connect_to) if connect_to is not None else None,
        tls=Tls(not insecure, cacert, cert, key),
        keep_alive=not no_keepalive,
    )


def _read_bodies(body: str | None, data: str | None) -> "list[RequestBody]":
    from tailrace.load.client.bodies import is_json, read_bodies, text_body

    if body is not None and data is not None:
        raise UsageError("--body and --data both say what to send: give one of them")
    if data is not None:
        if data.startswith("@"):
            raise UsageError(f"--data is what to send itself: write --body {data[1:]}")
        return [text_body(data)]
    if body is None:
        return []
    if body.lstrip().startswith(("{", "[")) and not os.path.lexists(body):
        if not is_json(body):
            raise UsageError(
                f"{reprlib.repr(body)} is neither a file nor JSON: --data sends any text"
            )
        return [text_body(body)]
    return read_bodies(Path(body), note=note)


def note(text: str) -> None:
    """Say something that matters before a run, on stderr."""
    typer.echo(f"tailrace: note: {text}", err=True)
