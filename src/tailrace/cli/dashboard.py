"""`tailrace dashboard`: the control room alone, for any services."""

import asyncio
import contextlib
import os
import re
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli.listening import listen
from tailrace.errors import TailraceError, UsageError

if TYPE_CHECKING:
    from tailrace.cli.live import LiveLine
    from tailrace.cli.run_log import RunLog
    from tailrace.control.config import ServiceConfig
    from tailrace.control.config_file import RoomConfig
    from tailrace.control.controller import Controller

EXAMPLE = """
Examples:

[bold]tailrace dashboard --config tailrace.toml[/bold]

[bold]tailrace dashboard http://127.0.0.1:8000/v2/models/ssd/infer --port 8090[/bold]

[bold]TAILRACE_TOKEN=… tailrace dashboard --host 0.0.0.0 --allow 10.0.0.0/8 --max-rate 5k[/bold]
"""

_RPC, _LIMITS = "gRPC", "Limits"
"""Panels of the help."""


def dashboard(
    urls: Annotated[
        list[str] | None,
        typer.Argument(metavar="URL", help="Services to list besides those of the file."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Configuration.", show_default="./tailrace.toml, if there is one"
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to answer on; any but a loopback one demands TAILRACE_TOKEN.",
            show_default="127.0.0.1",
            metavar="ADDRESS",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="Of page and REST; 0: any free one.",
            show_default="8080",
            metavar="N",
        ),
    ] = None,
    rpc_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="Of gRPC; 0: any free one.",
            show_default="2222",
            metavar="N",
            rich_help_panel=_RPC,
        ),
    ] = None,
    no_rpc: Annotated[
        bool, typer.Option("--no-rpc", help="Leave gRPC out.", rich_help_panel=_RPC)
    ] = False,
    runs: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where runs are kept and listed.", show_default="runs"),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TARGET",
            help="Where load may go: 10.0.0.0/8, ::1, *.lab; repeatable.",
            show_default="any; loopback alone with another --host",
            rich_help_panel=_LIMITS,
        ),
    ] = None,
    max_rate: Annotated[
        str | None,
        typer.Option(
            metavar="RATE", help="Cap on each service's rate: 5000, 50k/s.", rich_help_panel=_LIMITS
        ),
    ] = None,
) -> None:
    """Steer the load on any HTTP services, and watch their tails: page, REST and gRPC.

    Services come from the file and the URLs given, and are added and changed while it runs.
    """
    import msgspec
    import uvloop

    from tailrace.control.config_file import CONFIG_FILE, RoomConfig, read_config
    from tailrace.units import parse_option, parse_rate_per_s

    file = config or (CONFIG_FILE if CONFIG_FILE.exists() else None)
    room = read_config(file) if file is not None else RoomConfig()
    given: dict[str, Any] = {
        "host": host,
        "port": port,
        "rpc_port": rpc_port,
        "runs": runs,
        "allow": None if allow is None else tuple(allow),
        "max_rate_per_s": None
        if max_rate is None
        else parse_option("--max-rate", parse_rate_per_s, max_rate),
    }
    given = {name: value for name, value in given.items() if value is not None}
    if no_rpc:
        given["rpc_port"] = None
    services = (*room.services, *services_of(urls or [], room.services))
    room = msgspec.structs.replace(room, **given, services=services)
    room, token = guarded(room)
    with listen(room.host, [room.port]) as page:
        uvloop.run(_dashboard(room, page, token))


def services_of(urls: Sequence[str], listed: Sequence["ServiceConfig"]) -> "list[ServiceConfig]":
    """A service for each URL, its id made of host and port and not one of those `listed`.

    Raises:
        UsageError: a URL cannot be put under load.
    """
    from tailrace.control.config import ServiceConfig
    from tailrace.load.client.target import parse_target

    taken = {service.id for service in listed}
    services = []
    for url in urls:
        target = parse_target(url)
        stem = re.sub(r"[^A-Za-z0-9.]+", "-", f"{target.host}-{target.port}")[-50:].strip("-.")
        name, number = stem, 1
        while name in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name)
        services.append(ServiceConfig(id=name, url=url))
    return services


def guarded(room: "RoomConfig") -> "tuple[RoomConfig, str | None]":
    """The configuration, and the token to demand. Where other machines can reach the control
    room, load goes to this one alone unless `allow` says more, and services added at run time send
    files of the current directory alone unless `bodies` says otherwise.

    Raises:
        UsageError: other machines can reach it, and there is no token.
    """
    import msgspec

    from tailrace.control.limits import LOOPBACK
    from tailrace.net import is_loopback
    from tailrace.service.config import TOKEN_VARIABLE

    token = os.environ.get(TOKEN_VARIABLE) or None
    if is_loopback(room.host):
        return room, token
    if token is None:
        raise UsageError(
            f"host {room.host} can be reached from other machines, and whoever reaches this can "
            f"put load on others: set a token in {TOKEN_VARIABLE}, or use 127.0.0.1"
        )
    limited = msgspec.structs.replace(
        room,
        allow=LOOPBACK if room.allow is None else room.allow,
        bodies=Path.cwd() if room.bodies is None else room.bodies,
    )
    return limited, token


async def _dashboard(room: "RoomConfig", page: socket.socket, token: str | None) -> None:
    from tailrace.cli.live import LiveLine
    from tailrace.cli.output import interruptible
    from tailrace.cli.run_log import RunLog
    from tailrace.control.controller import Controller
    from tailrace.control.faces.rpc.server import serving_rpc
    from tailrace.control.guesses import Guesses
    from tailrace.dashboard.app import create_app
    from tailrace.dashboard.server import serving

    line = LiveLine()
    ended = asyncio.Event()
    guesses = Guesses()
    controller = Controller(
        room.services,
        window=room.window,
        interval_s=room.interval_s,
        runs_dir=room.runs,
        limits=room.limits,
    )
    log = RunLog(line.note, controller.result)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(interruptible(lambda _: ended.set(), controller.abandon, line.note))
        rpc_port = None
        if room.rpc_port is not None:
            rpc = serving_rpc(controller, room.host, room.rpc_port, token, room.tls, guesses)
            rpc_port = await stack.enter_async_context(rpc)
        app = create_app(controller, token=token, guesses=guesses, runs_dir=room.runs)
        await stack.enter_async_context(serving(app, page, room.tls))
        await _introduce(controller, room, page.getsockname()[1], rpc_port, line)
        follower = asyncio.create_task(_follow(controller, log))
        await asyncio.gather(*(_start(controller, name, line) for name in room.start))
        await ended.wait()
        await controller.close()
        follower.cancel()
        for service in await controller.list():
            log.see(service)


async def _introduce(
    controller: "Controller", room: "RoomConfig", port: int, rpc_port: int | None, line: "LiveLine"
) -> None:
    host = f"[{room.host}]" if ":" in room.host else room.host
    page_url = f"{'http' if room.tls is None else 'https'}://{host}:{port}"
    line.note(f"  dashboard  {page_url}")
    line.note(f"  REST       {page_url}/docs")
    if rpc_port is not None:
        line.note(f"  gRPC       {host}:{rpc_port}")
    for service in await controller.list():
        line.note(f"  service    {service.id}: {service.method} {service.url}, {service.profile}")
    cut_short = sum(run.state == "interrupted" for run in await controller.runs())
    if cut_short:
        runs = "1 run was" if cut_short == 1 else f"{cut_short} runs were"
        line.note(f"{runs} interrupted; the finished intervals are listed at {page_url}/runs")


async def _start(controller: "Controller", service_id: str, line: "LiveLine") -> None:
    try:
        await controller.start(service_id)
    except TailraceError as error:
        line.note(f"tailrace: error: {service_id}: {error}")


async def _follow(controller: "Controller", log: "RunLog") -> None:
    async for update in controller.watch():
        log.see(update.service)
