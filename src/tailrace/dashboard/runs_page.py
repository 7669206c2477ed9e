"""The runs that were: their list, one of them whole, and two laid over each other."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response, StreamingResponse
from nicegui import Client, ui
from nicegui.element import Element

from tailrace.control.interface import LoadControl
from tailrace.dashboard.failures import failures_of, failures_table
from tailrace.dashboard.figures import clock
from tailrace.dashboard.frame import frame, missing
from tailrace.dashboard.run_figures import GROUPS, Figure, Group, Pair, figures_of, pair_up
from tailrace.dashboard.timeline import Source, Timeline
from tailrace.errors import UsageError
from tailrace.load.slo import Slo, parse_slo
from tailrace.plain import as_html
from tailrace.runs.files import FILES, MOST_BYTES
from tailrace.runs.listing import find_run
from tailrace.runs.record import RunInfo, RunRecord, UnknownRunError
from tailrace.runs.thin import MOST_INTERVALS, thin
from tailrace.untrusted import UnreadableError, open_file

Report = Callable[[Sequence[Path]], str]
"""Makes a page to keep and pass on, HTML, of the runs in these directories; takes a while."""

_REFRESH_S = 5.0
_CHUNK = 1 << 16
_STATES = {
    "running": "In progress: these are its intervals so far. Reload for more, or watch it live at "
    '<a href="/services">Services</a>.',
    "interrupted": "Interrupted: the process that made it ended before it could write a result. "
    "These are the intervals that it had finished.",
    "broken": "Broken: a file of it cannot be read. This is what the others say.",
}


class _RunsTable(Element, component="static/runs.js"):
    """The list in the browser, which sorts, filters and selects by itself."""

    def show(self, runs: Sequence[RunInfo]) -> None:
        rows = msgspec.to_builtins(runs)
        if rows != self.props.get("rows"):
            self.props["rows"] = rows
            self.update()


async def runs_page(control: LoadControl, client: Client) -> None:
    """Build the page of all runs, frame included; it follows those that come and end."""
    runs = await control.runs()
    with frame(client, "Runs", active="runs"):
        table = _RunsTable()
        table.show(runs)

    async def refresh() -> None:
        table.show(await control.runs())

    ui.timer(_REFRESH_S, refresh, immediate=False)


async def run_page(
    control: LoadControl, client: Client, name: str, other: str | None = None
) -> None:
    """Build the page of one run, or of `other` laid over it, frame included; of a run that is not
    there, the page that says so.
    """
    records = []
    for wanted in (name, other) if other is not None else (name,):
        try:
            records.append(await control.run(wanted))
        except UnknownRunError:
            missing(client, "run", wanted, "runs")
            return
    infos = [record.info for record in records]
    labels = ("",) if other is None else ("A", "B")
    with frame(client, " and ".join(info.name for info in infos), active="runs"):
        _html("div", "page-head", _title(infos))
        with ui.element("div").classes("runs-side"):
            for label, record in zip(labels, records, strict=True):
                _html("section", "card run-card", _about(label, record))
        _html("section", "run-figures", _figures(labels, records), 'aria-label="Figures"')
        if failures := _failures(labels, records):
            _html("section", "runs-side", failures, 'aria-label="Failures" data-testid="failures"')
        Timeline(client, clock="elapsed").open(
            [_source(label, info) for label, info in zip(labels, infos, strict=True)]
        )


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
    """`GET /runs/{name}/report`: what `report` makes of a run below `base`, or of two, to be saved.
    One is made at a time.
    """
    routes = APIRouter(include_in_schema=False)
    turn = asyncio.Lock()

    def make(names: Sequence[str]) -> str:
        return report([find_run(base, name) for name in names])

    @routes.get("/runs/{name}/report")
    async def save(name: str, other: Annotated[str | None, Query(alias="with")] = None) -> Response:
        names = [name] if other is None else [name, other]
        try:
            async with turn:
                page = await asyncio.to_thread(make, names)
        except UnknownRunError as error:
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


def _html(tag: str, classes: str, content: str, props: str = "") -> None:
    ui.html(content, sanitize=False, tag=tag).classes(classes).props(props)


def _path(info: RunInfo) -> str:
    return f"/runs/{quote(info.name, safe='')}"


def _source(label: str, info: RunInfo) -> Source:
    return Source(f"{label} {info.name}".strip(), f"{_path(info)}/intervals", _slos(info))


def _slos(info: RunInfo) -> list[Slo]:
    slos = []
    for text in info.slo:
        try:
            slos.append(parse_slo(text))
        except UsageError:
            continue  # a result.json that was edited
    return slos


def _title(infos: Sequence[RunInfo]) -> str:
    one, *others = infos
    query = "".join(f"?with={quote(other.name, safe='')}" for other in others)
    report = _button(f"{_path(one)}/report{query}", "Report", "download data-testid=report")
    if not others:
        return f'<h1>{as_html(one.name)}</h1><span class="buttons">{report}</span>'
    swap = _button(f"{_path(others[0])}?with={quote(one.name, safe='')}", "Swap")
    return (
        "<h1>Two runs</h1>"
        '<span class="hint">laid over each other by the time since their starts</span>'
        f'<span class="buttons">{swap}{report}</span>'
    )


def _button(address: str, text: str, more: str = "") -> str:
    return f'<a class="button" href="{as_html(address)}" {more}>{text}</a>'


def _about(label: str, record: RunRecord) -> str:
    info = record.info
    name = as_html(info.name)
    title = f'<h2><b>{label}</b> <a href="{as_html(_path(info))}">{name}</a></h2>' if label else ""
    asked = {
        "Target": f'<span class="code">{as_html(info.target)}</span>',
        "Profile": f'<span class="code">{as_html(info.profile)}</span>',
        "Arrivals": as_html(info.arrivals),
        "Seed": f"{record.result.seed}" if record.result is not None else "",
        "Started": as_html(started(info.started)),
        "Ran for": f"{clock(info.duration_s)}, {info.intervals:,} intervals",
    }
    facts = "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in asked.items() if v)
    note = f'<p class="note">{_STATES[info.state]}</p>' if info.state in _STATES else ""
    note += "".join(f'<p class="note">{as_html(problem)}</p>' for problem in info.problems)
    files = [file for file in FILES if file != "result.json" or record.result is not None]
    links = "".join(
        f'<li><a href="{as_html(f"{_path(info)}/{file}")}" download>{file}</a></li>'
        for file in files
    )
    return (
        f'<div class="run-head">{title}<span class="run-state" data-state="{info.state}" '
        f'data-testid="run-state">{info.state}</span></div>{note}<dl class="run-asked">{facts}</dl>'
        f"{_verdict(info)}"
        f'<ul class="run-files" aria-label="Files of {name}">{links}</ul>'
    )


def _verdict(info: RunInfo) -> str:
    slos = "".join(
        f'<li class="{"kept" if kept else "broken"}">{as_html(slo)} {"kept" if kept else "broken"}'
        "</li>"
        for slo, kept in info.slo.items()
    )
    kept = f'<ul class="run-slos" aria-label="SLOs">{slos}</ul>' if slos else ""
    if info.verdict is None:
        return kept
    word = "VALID" if info.verdict.valid else "INVALID"
    reasons = "".join(f"<li>{as_html(reason)}</li>" for reason in info.verdict.reasons)
    return (
        f'<div class="run-verdict" data-testid="verdict"><strong class="{word.lower()}">{word}'
        f"</strong>{kept}</div>"
        + (f'<ul class="run-reasons" aria-label="Why {word}">{reasons}</ul>' if reasons else "")
    )


def started(text: str) -> str:
    """The ISO 8601 instant `text`, UTC, as a person reads it; anything else as it is."""
    day, t, time = text.partition("T")
    return f"{day} {time[:8]} UTC" if t and text.endswith(("Z", "+00:00")) else text


def _figures(labels: Sequence[str], records: Sequence[RunRecord]) -> str:
    columns = [figures_of(record) for record in records]
    rows: list[tuple[Group, str]]
    if len(records) == 1:
        heads = ["Value", "95 % interval"]
        rows = [(figure.group, _row(figure)) for figure in columns[0]]
    else:
        heads = [*labels, "B − A"]
        rows = [(pair.group, _pair(pair)) for pair in pair_up(*columns)]
    tables = ((group, "".join(row for own, row in rows if own == group)) for group in GROUPS)
    return "".join(_table(group, heads, body) for group, body in tables if body)


def _failures(labels: Sequence[str], records: Sequence[RunRecord]) -> str:
    told = ((label, *failures_of(record)) for label, record in zip(labels, records, strict=True))
    return "".join(
        f'<div class="card failures"><h2>{f"<b>{label}</b> " if label else ""}Failures</h2>'
        '<div class="scroll" tabindex="0" role="region" '
        f'aria-label="{f"Failures of {label}" if label else "Failures"}">'
        f"{failures_table(reasons, examples)}</div></div>"
        for label, reasons, examples in told
        if reasons
    )


def _table(group: Group, heads: Sequence[str], body: str) -> str:
    # Only percentiles of latency have an interval.
    shown = heads if group == "Latency" else [head for head in heads if "interval" not in head]
    head = "".join(f'<th scope="col">{as_html(text)}</th>' for text in ("Figure", *shown))
    return (
        f'<div class="card scroll" tabindex="0" role="region" aria-label="Figures: {group}">'
        f'<table data-testid="figures-{group.lower()}"><caption>{group}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(figure: Figure) -> str:
    span = f"<td>{figure.span_shown}</td>" if figure.group == "Latency" else ""
    return f'<tr><th scope="row">{as_html(figure.label)}</th><td>{_cell(figure)}</td>{span}</tr>'


def _pair(pair: Pair) -> str:
    chance = '<small title="Their 95 % intervals overlap">may be chance</small>'
    return (
        f'<tr><th scope="row">{as_html(pair.label)}</th><td>{_cell(pair.one)}</td>'
        f"<td>{_cell(pair.other)}</td>"
        f'<td class="step">{pair.difference}{chance if pair.unproven else ""}</td></tr>'
    )


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return "–"
    return f'<b>{figure.shown}</b> <span class="unit">{figure.unit}</span>'
