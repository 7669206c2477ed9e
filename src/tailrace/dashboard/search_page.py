"""The page of a search by `tailrace find`: the rate it found, its curve and its steps."""

import base64
from collections.abc import Iterable
from pathlib import Path

from nicegui import Client, ui

from tailrace.control.interface import LoadControl, SearchInfo
from tailrace.dashboard.frame import frame
from tailrace.dashboard.run_dialogs import RunDialogs
from tailrace.dashboard.run_parts import address, button, facts, heading, html, noted
from tailrace.load.session.search import Step
from tailrace.plain import as_html
from tailrace.report.searched import draw_search
from tailrace.runs.record import BROKEN
from tailrace.runs.search_report import read_search
from tailrace.units import format_figure
from tailrace.view.words import clock, number, started

_HEADS = ("Rate, /s", "Bound", "Percentile, ms", "Over the bound", "Answered", "Failed", "Lasted")


def search_page(control: LoadControl, client: Client, info: SearchInfo, base: Path) -> None:
    """Build the page of a search below `base`, frame included.

    Raises:
        UsageError: its outcome cannot be read any more.
    """
    found = read_search(base / info.name) if info.ended_by != BROKEN else None
    with frame(client, info.title or info.name, active="runs"):
        dialogs = RunDialogs(control, client, info)
        with ui.element("div").classes("page-head"):
            html("div", "titles", heading(info.name, info.title))
            with ui.element("div").classes("buttons"):
                dialogs.buttons()
                report = button(f"{address(info.name)}/report", "Report", "download")
                html("span", "buttons", report)
        html("section", "card run-card", _about(info), 'data-testid="search"')
        if found is None:
            return
        picture = base64.b64encode(draw_search(found).encode()).decode()
        about = f"{found.slo.partition('<')[0]} against the rate, both on log scales"
        html(
            "figure",
            "card searched",
            f'<img src="data:image/svg+xml;base64,{picture}" alt="{as_html(about)}">',
        )
        html("section", "run-figures", _steps(found.steps), 'aria-label="Steps"')


def _about(info: SearchInfo) -> str:
    rate = "none" if info.rate_per_s is None else f"{format_figure(info.rate_per_s)}/s"
    word = "valid" if info.confirmed else "invalid"
    said = "confirmed by a longer run" if info.confirmed else "not confirmed"
    said = BROKEN if info.ended_by == BROKEN else said
    asked = {"Target": info.target, "SLO": info.slo, "Ended": started(info.ended)}
    return (
        f'<div class="run-verdict"><strong class="{word}">{rate}</strong>{said}'
        f"</div><p>{as_html(info.reason)}</p>{noted(info.note)}"
        f"{facts(asked, code={'Target', 'SLO'})}"
    )


def _steps(steps: Iterable[Step]) -> str:
    heads = "".join(f'<th scope="col">{name}</th>' for name in _HEADS)
    rows = "".join(_row(step) for step in steps)
    return (
        '<div class="card scroll" tabindex="0" role="region" aria-label="Steps">'
        f'<table class="stack" data-testid="steps"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _row(step: Step) -> str:
    cells = (
        step.decision,
        number(step.percentile_ms),
        f"{step.over:,}",
        f"{step.completed:,}",
        f"{step.failed:,}",
        clock(step.duration_s),
    )
    told = "".join(
        f'<td data-head="{name}">{as_html(cell)}</td>'
        for name, cell in zip(_HEADS[1:], cells, strict=True)
    )
    return f'<tr><th scope="row">{format_figure(step.rate_per_s)}</th>{told}</tr>'
