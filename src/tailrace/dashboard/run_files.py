"""What is fetched of runs and searches besides their pages: intervals, files, reports."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from tailrace.control.interface import LoadControl
from tailrace.errors import TailraceError
from tailrace.runs.files import FILES, MOST_BYTES
from tailrace.runs.listing import find_either, find_run
from tailrace.runs.record import RunRecord, UnknownRunError
from tailrace.runs.thin import MOST_INTERVALS, thin
from tailrace.untrusted import UnreadableError, open_file

Report = Callable[[Sequence[Path]], str]
"""Makes a page to keep and pass on, HTML, of the runs and searches in these directories; takes a
while."""

_CHUNK = 1 << 16


def intervals_router(control: LoadControl) -> APIRouter:
    """`GET /runs/{name}/intervals`: what is drawn of a run, `points` that stand for `each` of its
    intervals.
    """
    routes = APIRouter(include_in_schema=False)

    def drawn(record: RunRecord) -> bytes:
        points, each = thin(record.points, MOST_INTERVALS)
        return msgspec.json.encode({"each": each, "points": points})

    @routes.get("/runs/{name}/intervals")
    async def intervals(name: str) -> Response:
        try:
            body = await asyncio.to_thread(drawn, await control.run(name))
        except UnknownRunError as error:
            return Response(f"{error}\n", 404, media_type="text/plain")
        return Response(body, 200, {"Cache-Control": "no-store"}, "application/json")

    return routes


def files_router(base: Path) -> APIRouter:
    """`GET /runs/{name}/{file}`: the files of the runs below `base`, to be saved."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/runs/{name}/{file}")
    async def save(name: str, file: str) -> Response:
        try:
            path = (await asyncio.to_thread(find_run, base, name)) / file
            if file not in FILES:
                raise FileNotFoundError
            # Of a run in progress it grows while it is sent: no length is promised.
            opened = await asyncio.to_thread(open_file, path, MOST_BYTES[file])
        except (UnknownRunError, UnreadableError, FileNotFoundError):
            return Response("There is no such file\n", 404, media_type="text/plain")

        def parts() -> Iterator[bytes]:
            with opened:
                while part := opened.read(_CHUNK):
                    yield part

        return StreamingResponse(
            parts(),
            media_type="application/json" if file.endswith(".json") else "text/plain",
            headers={
                "Content-Disposition": f"attachment; filename*=UTF-8''{quote(f'{name}-{file}')}",
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "no-store",
            },
        )

    return routes


def report_router(base: Path, report: Report) -> APIRouter:
    """`GET /runs/{name}/report`: what `report` makes of a run or search below `base`, or of two,
    to be saved.
    One is made at a time.
    """
    routes = APIRouter(include_in_schema=False)
    turn = asyncio.Lock()

    def make(names: Sequence[str]) -> str:
        return report([find_either(base, name) for name in names])

    @routes.get("/runs/{name}/report")
    async def save(name: str, other: Annotated[str | None, Query(alias="with")] = None) -> Response:
        names = [name] if other is None else [name, other]
        try:
            async with turn:
                page = await asyncio.to_thread(make, names)
        except TailraceError as error:
            return Response(f"{error}\n", 404, media_type="text/plain")
        file = quote(f"report-{'-'.join(names)}.html", safe="")
        return HTMLResponse(
            page,
            headers={
                "Content-Disposition": f"attachment; filename*=UTF-8''{file}",
                "Cache-Control": "no-store",
            },
        )

    return routes
