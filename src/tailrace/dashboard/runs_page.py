"""The runs that were: their list, one of them whole, and two laid over each other."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from urllib.parse import quote

import msgspec
from nicegui import Client, ui
from nicegui.element import Element

from tailrace.control.interface import LoadControl
from tailrace.dashboard.frame import frame, missing
from tailrace.dashboard.run_dialogs import RunDialogs
from tailrace.dashboard.run_figures import GROUPS, Figure, Group, Pair, figures_of, pair_up
from tailrace.dashboard.run_parts import address, button, facts, heading, html, noted
from tailrace.dashboard.search_page import search_page
from tailrace.dashboard.timeline import Source, Timeline
from tailrace.errors import UsageError
from tailrace.load.judge.slo import Slo, parse_slo
from tailrace.plain import as_html
from tailrace.runs.files import FILES
from tailrace.runs.record import RunInfo, RunRecord, UnknownRunError
from tailrace.view.failures import failures_of, failures_table
from tailrace.view.words import clock, started

_REFRESH_S = 5.0
_STATES = {
    "running": "In progress: these are its intervals so far. Reload for more, or watch it live at "
    '<a href="/services">Services</a>.',
    "interrupted": "Interrupted: the process that made it ended before it could write a result. "
    "These are the intervals that it had finished.",
    "broken": "Broken: a file of it cannot be read. This is what the others say.",
}


class _RunsTable(Element, component="static/runs.js"):
    """The list in the browser, which sorts, filters and selects by itself."""

    async def show(self, control: LoadControl) -> None:
        told = {"rows": await control.runs(), "searches": await control.searches()}
        for name, rows in msgspec.to_builtins(told).items():
            if rows != self.props.get(name):
                self.props[name] = rows
                self.update()


async def runs_page(control: LoadControl, client: Client) -> None:
    """Build the page of all runs and searches, frame included; it follows what comes and ends."""
    with frame(client, "Runs", active="runs"):
        table = _RunsTable()
        await table.show(control)
    ui.timer(_REFRESH_S, partial(table.show, control), immediate=False)


async def run_page(
    control: LoadControl, client: Client, base: Path, name: str, other: str | None = None
) -> None:
    """Build the page of one run or search below `base`, or of the run `other` laid over a run,
    frame included; of one that is not there, the page that says so.
    """
    records = []
    for wanted in (name, other) if other is not None else (name,):
        try:
            records.append(await control.run(wanted))
        except UnknownRunError:
            search = next((one for one in await control.searches() if one.name == wanted), None)
            if search is None or other is not None:
                missing(client, "run", wanted, "runs")
            else:
                search_page(control, client, search, base)
            return
    infos = [record.info for record in records]
    labels = ("",) if other is None else ("A", "B")
    with frame(client, " and ".join(info.title or info.name for info in infos), active="runs"):
        with ui.element("div").classes("page-head"):
            html("div", "titles", _title(infos))
            dialogs = RunDialogs(control, client, infos[0]) if other is None else None
            with ui.element("div").classes("buttons"):
                if dialogs is not None:
                    dialogs.buttons()
                html("span", "buttons", _links(infos))
        with ui.element("div").classes("runs-side"):
            for label, record in zip(labels, records, strict=True):
                html("section", "card run-card", _about(label, record))
        html("section", "run-figures", _figures(labels, records), 'aria-label="Figures"')
        if failures := _failures(labels, records):
            html("section", "runs-side", failures, 'aria-label="Failures" data-testid="failures"')
        Timeline(client, clock="elapsed").open(
            [_source(label, info) for label, info in zip(labels, infos, strict=True)]
        )


def _source(label: str, info: RunInfo) -> Source:
    return Source(f"{label} {info.name}".strip(), f"{address(info.name)}/intervals", _slos(info))


def _slos(info: RunInfo) -> list[Slo]:
    slos = []
    for text in info.slo:
        try:
            slos.append(parse_slo(text))
        except UsageError:
            continue  # a result.json that was edited
    return slos


def _title(infos: Sequence[RunInfo]) -> str:
    if len(infos) == 1:
        return heading(infos[0].name, infos[0].title)
    about = "laid over each other by the time since their starts"
    return f'<h1>Two runs</h1><span class="hint">{about}</span>'


def _links(infos: Sequence[RunInfo]) -> str:
    one, *others = infos
    query = "".join(f"?with={quote(other.name, safe='')}" for other in others)
    report = button(f"{address(one.name)}/report{query}", "Report", "download data-testid=report")
    if not others:
        return report
    return button(f"{address(others[0].name)}?with={quote(one.name, safe='')}", "Swap") + report


def _about(label: str, record: RunRecord) -> str:
    info = record.info
    name = as_html(info.name)
    link = f'<a href="{as_html(address(info.name))}">{as_html(info.title or info.name)}</a>'
    title = f"<h2><b>{label}</b> {link}</h2>" if label else ""
    asked = {
        "Target": info.target,
        "Profile": info.profile,
        "Arrivals": info.arrivals,
        "Seed": f"{record.result.seed}" if record.result is not None else "",
        "Started": started(info.started),
        "Ran for": f"{clock(info.duration_s)}, {info.intervals:,} intervals",
    }
    note = f'<p class="note">{_STATES[info.state]}</p>' if info.state in _STATES else ""
    note += "".join(f'<p class="note">{as_html(problem)}</p>' for problem in info.problems)
    files = [file for file in FILES if file != "result.json" or record.result is not None]
    links = "".join(
        f'<li><a href="{as_html(f"{address(info.name)}/{file}")}" download>{file}</a></li>'
        for file in files
    )
    return (
        f'<div class="run-head">{title}<span class="run-state" data-state="{info.state}" '
        f'data-testid="run-state">{info.state}</span></div>{noted(info.note)}{note}'
        f"{facts(asked, code={'Target', 'Profile'})}{_verdict(info)}"
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
