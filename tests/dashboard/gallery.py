"""Timelines over intervals that a test made up, for tests of what a browser draws.

`gallery.py FOLDER` shows FOLDER/*.json, each an array of Points. It prints its address once it
answers, and ends on SIGTERM. The timelines are the product's own, and so is the frame around them.
"""

import argparse
import asyncio
import signal
import socket
import sys
from pathlib import Path

import msgspec
import uvloop
from fastapi import FastAPI, Request, Response
from nicegui import Client, ui

from tailrace.dashboard.frame import frame, serve_static
from tailrace.dashboard.server import serving
from tailrace.dashboard.service_page import TableCard, Timeline
from tailrace.load.judge.slo import parse_slo
from tailrace.load.measure.point import Point
from tailrace.view.charts import LIVE, configure
from tailrace.view.parts import nodes_table

SLOS = [parse_slo("p99<100ms")]


def create_app(folder: Path) -> FastAPI:
    """`/live/{name}` is as a service's page has it, `/run` has the charts of a run;
    `/fleet/{name}` has the machines of the last interval.

    An interval that is posted to `/next/{name}` is appended, and the browsers are told of it
    unless the query says `told=false`. `/data/flaky` fails the first time.
    """
    app = FastAPI()
    points = {
        path.stem: msgspec.json.decode(path.read_bytes(), type=list[Point])
        for path in folder.glob("*.json")
    }
    shown: dict[str, list[Timeline]] = {name: [] for name in points}
    refusals = [503]
    app.get("/static/{path:path}")(serve_static)

    @app.get("/data/flaky")
    async def flaky() -> Response:
        if refusals:
            return Response("not yet", refusals.pop())
        return await data("short")

    @app.get("/data/{name}")
    async def data(name: str, since: float = 0.0) -> Response:
        body = [point for point in points[name] if point.wall_time > since]
        return Response(msgspec.json.encode(body), media_type="application/json")

    @app.post("/next/{name}")
    async def following(request: Request, name: str, told: bool = True) -> None:
        body = await request.body()
        points[name].append(msgspec.json.decode(body, type=Point))
        if told:
            for timeline in shown[name]:
                timeline.add(body.decode())

    @ui.page("/live/{name}")
    async def live(client: Client, name: str) -> None:
        with frame(client, name):
            timeline = Timeline(client, configure("wall", LIVE, kept=3600))
            timeline.say("Press Start.")
            timeline.open(name, f"/data/{name}", SLOS)
        if name in shown:
            shown[name].append(timeline)
            client.on_delete(lambda: shown[name].remove(timeline))

    @ui.page("/fleet/{name}")
    async def fleet(client: Client, name: str) -> None:
        with frame(client, name):
            nodes = points[name][-1].nodes
            TableCard("fleet", "Fleet").show(nodes_table(nodes) if nodes else None)

    @ui.page("/run")
    async def run(client: Client) -> None:
        with frame(client, "run"):
            timeline = Timeline(client, configure("elapsed", LIVE))
            timeline.open("a", "/data/run", SLOS)

    ui.run_with(app, tailwind=False, show_welcome_message=False, language="en-US")
    return app


async def main(folder: Path) -> None:
    """Serve until SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    listener = socket.create_server(("127.0.0.1", 0))
    async with serving(create_app(folder), listener):
        sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        await ended.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    uvloop.run(main(parser.parse_args().folder))
