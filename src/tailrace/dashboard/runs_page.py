"""The runs that were: their list, and each one's report with what can be done with it."""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from string import Template
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Request
from nicegui import Client, ui
from nicegui.element import Element
from starlette.responses import HTMLResponse, Response, StreamingResponse

from tailrace.control.faces.rest import NO_STORE
from tailrace.control.interface import LoadControl, RunInfo
from tailrace.dashboard.frame import answer_page, frame, header, missing, set_prop
from tailrace.errors import TailraceError
from tailrace.load.judge.answers import slo_answers
from tailrace.plain import as_html
from tailrace.report.page import Frame, make_notice, make_page
from tailrace.report.subject import LABELS
from tailrace.runs.directory import read_label
from tailrace.runs.files import FILES, MOST_BYTES
from tailrace.runs.listing import UnknownRunError, find_either, is_running
from tailrace.untrusted import UnreadableError, open_file
from tailrace.view.markup import Content, Markup, h

_REFRESH_S = 5.0
_CHUNK = 1 << 16
_HERE = Path(__file__).parent
_STYLES = [(_HERE / "static" / name).read_text("utf-8") for name in ("dialog.css", "run.css")]
_SCRIPT = (_HERE / "static" / "run.js").read_text("utf-8")
_DIALOGS = Template((_HERE / "run.html").read_text("utf-8"))
"""In which a run is named and deleted."""


class _RunsTable(Element, component="static/runs.js"):
    """The list in the browser, which sorts, filters and selects by itself."""

    async def show(self, control: LoadControl) -> None:
        runs, searches = await control.runs(), await control.searches()
        rows = [{**msgspec.to_builtins(run), "answers": _answers(run)} for run in runs]
        set_prop(self, "rows", rows)
        set_prop(self, "searches", msgspec.to_builtins(searches))


def _answers(run: RunInfo) -> list[dict[str, str]]:
    """What is worth a line below the verdict: of each SLO that is not kept, the words and why."""
    answers = slo_answers(run.slo, run.decisions)
    return [
        {"text": f"{answer.expression} {answer.word}", "look": answer.outcome, "why": answer.why}
        for answer in answers
        if answer.outcome != "kept"
    ]


async def runs_page(control: LoadControl, client: Client) -> None:
    """Build the page of all runs and searches, frame included; it follows what comes and ends."""
    with frame(client, "Runs", active="runs"):
        table = _RunsTable().props(f":most={len(LABELS)}")
        await table.show(control)
    ui.timer(_REFRESH_S, partial(table.show, control), immediate=False)


def runs_router(base: Path) -> APIRouter:
    """Of the runs and searches below `base`: `GET /runs/{name}`, the report on one of them, or with
    `?with=` on several; `…/report`, the same to be saved; `…/{file}`, the files to be saved.

    One report is made at a time.
    """
    routes = APIRouter(include_in_schema=False)
    turn = asyncio.Lock()

    def make(paths: Sequence[Path], request: Request) -> str:
        around = _frame(request, paths)
        try:
            return make_page(paths, around).html
        except TailraceError as error:
            # Of what cannot be read the page says why; it can still be deleted.
            said = [h("h1", paths[0].name), h("p", str(error), class_="problems", role="alert")]
            return make_notice(paths[0].name, said, around)

    @routes.get("/runs/{name}")
    async def page(request: Request, name: str) -> Response:
        paths = []
        for one in (name, *request.query_params.getlist("with")):
            try:
                paths.append(await asyncio.to_thread(find_either, base, one))
            except UnknownRunError:
                return missing(request, "run", one, "runs")
        async with turn:
            html = await asyncio.to_thread(make, paths, request)
        return answer_page(html)

    @routes.get("/runs/{name}/report")
    async def report(request: Request, name: str) -> Response:
        names = [name, *request.query_params.getlist("with")]
        try:
            async with turn:
                html = await asyncio.to_thread(
                    lambda: make_page([find_either(base, one) for one in names]).html
                )
        except TailraceError as error:
            return Response(f"{error}\n", 404, media_type="text/plain")
        return HTMLResponse(html, headers=_saved_as(f"report-{'-'.join(names)}.html"))

    @routes.get("/runs/{name}/{file}")
    async def save(name: str, file: str) -> Response:
        try:
            path = (await asyncio.to_thread(find_either, base, name)) / file
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
            headers={"X-Content-Type-Options": "nosniff", **_saved_as(f"{name}-{file}")},
        )

    return routes


def _frame(request: Request, paths: Sequence[Path]) -> Frame:
    tools = _of_one(paths[0]) if len(paths) == 1 else _of_several([path.name for path in paths])
    return Frame(
        header(request, "runs"),
        h("div", tools, class_="run-tools"),
        styles=_STYLES,
        scripts=[_SCRIPT],
    )


def _of_one(path: Path) -> Content:
    address = _address(path.name)
    label = read_label(path)
    files = [file for file in FILES if (path / file).is_file()]
    links = [h("li", h("a", file, href=f"{address}/{file}", download=True)) for file in files]
    texts = {
        "address": address,
        "name": path.name,
        "title": label.title,
        "note": label.note,
        "called": label.title or path.name,
    }
    return [
        _opens("label", "Name and note"),
        _opens("delete", "Delete") if not is_running(path) else None,
        _save(f"{address}/report"),
        h("ul", links, class_="run-files", aria_label="Files"),
        Markup(_DIALOGS.substitute({name: as_html(text) for name, text in texts.items()})),
    ]


def _of_several(names: Sequence[str]) -> Content:
    swapped = _address(names[-1]) + _with(names[:-1])
    return [
        _save(f"{_address(names[0])}/report{_with(names[1:])}"),
        h("a", "Swap", href=swapped, class_="button") if len(names) == 2 else None,
        [h("a", name, href=_address(name)) for name in names],
    ]


def _opens(name: str, text: str) -> Markup:
    dialog = f"{name}-dialog"
    return h("button", text, type="button", class_="button", data_opens=dialog, data_testid=name)


def _save(address: str) -> Markup:
    text = "Save the report"
    return h("a", text, href=address, class_="button", download=True, data_testid="report")


def _address(name: str) -> str:
    return f"/runs/{quote(name, safe='')}"


def _with(names: Sequence[str]) -> str:
    return "?" + "&".join(f"with={quote(name, safe='')}" for name in names)


def _saved_as(file: str) -> dict[str, str]:
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(file)}", **NO_STORE}
