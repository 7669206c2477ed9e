"""A search for the highest rate within an SLO, by `tailrace find`: its curve and its steps."""

import base64
from pathlib import Path
from textwrap import shorten, wrap

from tailrace.load.judge.slo import parse_slo
from tailrace.load.session.search import Found, Step
from tailrace.plain import as_html
from tailrace.report.parts import section, table, title_block
from tailrace.runs.label import read_label
from tailrace.units import format_clock, format_digits, format_figure
from tailrace.view.markup import Content, h
from tailrace.view.svg import LogAxis
from tailrace.view.words import number

_TITLE, _TARGET = 80, 98
"""Characters of a line that have room in the picture."""
_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 70, 50
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #5b6672 } .title { font-size: 15px; fill: #1b222a }
.grid { stroke: #dde2e8 } .slo { stroke: #c2410c; stroke-dasharray: 5 4 }
.holds { fill: #0b6e8f } .breaks { fill: #fff; stroke: #c2410c; stroke-width: 2 }
.late { fill: #fff; stroke: #5b6672; stroke-dasharray: 2 2 }
.found { stroke: #0b6e8f } svg { background: #fff }
"""
_LEGEND = "".join(
    f'<circle class="{decision}" cx="{x}" cy="{_HEIGHT - 14}" r="5"/>'
    f'<text x="{x + 10}" y="{_HEIGHT - 10}">{decision}</text>'
    for x, decision in ((_WIDTH - 200, "holds"), (_WIDTH - 130, "breaks"), (_WIDTH - 60, "late"))
)

_HEADS = ("Rate, /s", "Bound", "Percentile, ms", "Over the bound", "Answered", "Failed", "Lasted")
_CLASSES = {"holds": "kept", "breaks": "broken"}


def search(path: Path, found: Found) -> Content:
    """The head and the section of the search in the directory `path`."""
    drawing = base64.b64encode(draw_search(found).encode()).decode()
    word = "VALID" if found.confirmed else "INVALID"
    rate = "none" if found.rate_per_s is None else f"{format_figure(found.rate_per_s)}/s"
    said = "confirmed by a longer run" if found.confirmed else "not confirmed"
    name, label = path.resolve().name, read_label(path)
    return [
        title_block(label.title or found.target, [name], found.target, label.note),
        section(
            f"search-{name}",
            "Highest rate within the SLO",
            h(
                "div",
                h(
                    "div",
                    h("strong", rate, class_=f"badge {word.lower()}"),
                    found.slo,
                    class_="judged",
                ),
                h("p", f"{found.reason}; {said}."),
                class_=f"card judgement {word.lower()}",
            ),
            # A picture of its own, so that its style sheet stays within it.
            h(
                "figure",
                h(
                    "img",
                    src=f"data:image/svg+xml;base64,{drawing}",
                    alt=f"{found.slo.partition('<')[0]} against the rate, both on log scales",
                ),
                class_="card searched",
            ),
            table(
                "steps-table",
                _HEADS,
                [_step(step) for step in found.steps],
            ),
        ),
    ]


def _step(step: Step) -> tuple[Content, ...]:
    return (
        f"{format_figure(step.rate_per_s)}",
        h("span", step.decision, class_=_CLASSES.get(step.decision)),
        number(step.percentile_ms),
        f"{step.over:,}",
        f"{step.completed:,}",
        f"{step.failed:,}",
        format_clock(step.duration_s),
    )


def draw_search(found: Found) -> str:
    """The steps of a search as an SVG: percentile (ms) against rate (per second), both log."""
    bound_ms = parse_slo(found.slo).bound_s * 1000
    points = [
        (step.rate_per_s, step.percentile_ms, step)
        for step in found.steps
        if step.percentile_ms is not None
    ]
    across = LogAxis([rate for rate, _, _ in points] or [1.0], _LEFT, _WIDTH - _RIGHT)
    up = LogAxis([ms for _, ms, _ in points] + [bound_ms], _HEIGHT - _BOTTOM, _TOP)
    parts = [_grid(across, up)]
    y = up.place(bound_ms)
    parts.append(f'<line class="slo" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
    parts.append(f'<text x="{_LEFT + 6}" y="{y - 5}">{as_html(found.slo)}</text>')
    if found.rate_per_s is not None:
        x = across.place(found.rate_per_s)
        parts.append(
            f'<line class="found" x1="{x}" x2="{x}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
        )
        side, anchor = (-5, "end") if x > _WIDTH - 90 else (5, "start")
        parts.append(
            f'<text x="{x + side}" y="{_TOP + 12}" text-anchor="{anchor}">'
            f"{format_figure(found.rate_per_s)}/s</text>"
        )
    parts += [_dot(across.place(rate), up.place(ms), step) for rate, ms, step in points]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" role="img"><style>{_STYLE}</style>'
        f"{_titles(found)}{_LEGEND}{''.join(parts)}</svg>\n"
    )


def _titles(found: Found) -> str:
    # SVG breaks no lines, and cuts what has no room.
    lines = shorten(found.reason, 2 * _TITLE, placeholder=" …")
    said = [("title", line) for line in wrap(lines, _TITLE)]
    half = _TARGET // 2
    target = found.target
    said.append(("", target if len(target) <= _TARGET else f"{target[:half]}…{target[-half:]}"))
    return "".join(
        f'<text class="{look}" x="{_LEFT}" y="{18 * (place + 1)}">{as_html(line)}</text>'
        for place, (look, line) in enumerate(said)
    )


def _dot(x: float, y: float, step: Step) -> str:
    note = (
        f"{format_figure(step.rate_per_s)}/s: {format_digits(step.percentile_ms or 0.0)} ms, "
        f"{step.decision} ({step.over} of {step.completed + step.failed} over)"
    )
    return f'<circle class="{step.decision}" cx="{x}" cy="{y}" r="5"><title>{note}</title></circle>'


def _grid(across: LogAxis, up: LogAxis) -> str:
    lines = []
    for value in across.ticks():
        x = across.place(value)
        lines.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>')
        lines.append(f'<text x="{x}" y="{_HEIGHT - 32}" text-anchor="middle">{value:,g}</text>')
    for value in up.ticks():
        y = up.place(value)
        lines.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        lines.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{value:,g}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    lines.append(f'<text x="{middle}" y="{_HEIGHT - 10}" text-anchor="middle">requests/s</text>')
    lines.append(f'<text x="{_LEFT - 8}" y="{_TOP - 8}" text-anchor="end">ms</text>')
    return "".join(lines)
