"""A search for the highest rate within an SLO, by `tailrace find`: its curve and its steps."""

import base64
from pathlib import Path
from textwrap import shorten, wrap

from tailrace.load.judge.slo import parse_slo
from tailrace.load.session.search import Found, Step
from tailrace.runs.directory import read_label
from tailrace.units import format_clock, format_digits, format_figure, number
from tailrace.view.markup import Content, Markup, h
from tailrace.view.parts import card, section, table, title_block
from tailrace.view.svg import Area, drawing, ticks_of

_TITLE, _TARGET = 80, 98
"""Characters of a line that have room in the picture."""
_WIDTH, _HEIGHT = 720, 400
_AREA = Area(left=70, right=_WIDTH - 20, top=70, bottom=_HEIGHT - 50)
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #5b6672 } .title { font-size: 15px; fill: #1b222a }
.end { text-anchor: end } .middle { text-anchor: middle }
.grid { stroke: #dde2e8 } line.slo { stroke: #c2410c; stroke-dasharray: 5 4 }
.holds { fill: #0b6e8f } .breaks { fill: #fff; stroke: #c2410c; stroke-width: 2 }
.late { fill: #fff; stroke: #5b6672; stroke-dasharray: 2 2 }
.found { stroke: #0b6e8f } svg { background: #fff }
"""
_LEGEND = [
    [
        h("circle", class_=decision, cx=x, cy=_HEIGHT - 14, r=5),
        h("text", decision, x=x + 10, y=_HEIGHT - 10),
    ]
    for x, decision in ((_WIDTH - 200, "holds"), (_WIDTH - 130, "breaks"), (_WIDTH - 60, "late"))
]

_HEADS = ("Rate, /s", "Bound", "Percentile, ms", "Over the bound", "Answered", "Failed", "Lasted")
_CLASSES = {"holds": "kept", "breaks": "broken"}


def search(path: Path, found: Found) -> Content:
    """The head and the section of the search in the directory `path`."""
    word = "valid" if found.confirmed else "invalid"
    rate = "none" if found.rate_per_s is None else f"{format_figure(found.rate_per_s)}/s"
    badge = h("strong", rate, class_=f"badge {word}")
    said = "confirmed by a longer run" if found.confirmed else "not confirmed"
    # A picture of its own, so that its style sheet stays within it.
    drawing = base64.b64encode(draw_search(found).encode()).decode()
    picture = h(
        "img",
        src=f"data:image/svg+xml;base64,{drawing}",
        alt=f"{found.slo.partition('<')[0]} against the rate, both on log scales",
    )
    name, label = path.resolve().name, read_label(path)
    return [
        title_block(label.title or found.target, [name], found.target, label.note),
        section(
            f"search-{name}",
            "Highest rate within the SLO",
            h(
                "div",
                h("div", badge, found.slo, class_="judged"),
                h("p", f"{found.reason}; {said}."),
                class_=f"card judgement {word}",
            ),
            h("figure", picture, class_="card searched"),
            card(table("steps-table", _HEADS, map(_step, found.steps))),
        ),
    ]


def _step(step: Step) -> tuple[Content, ...]:
    return (
        format_figure(step.rate_per_s),
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
    across = _AREA.log_across(rate for rate, _, _ in points)
    up = _AREA.log_up([ms for _, ms, _ in points] + [bound_ms])
    return drawing(
        (_WIDTH, _HEIGHT),
        None,
        h("style", Markup(_STYLE)),
        _titles(found),
        _LEGEND,
        _AREA.rules(ticks_of(across)),
        _AREA.levels(ticks_of(up)),
        _AREA.units("ms", "requests/s"),
        _AREA.bound(up.place(bound_ms), found.slo),
        _found(across.place(found.rate_per_s), found.rate_per_s) if found.rate_per_s else None,
        [_dot(across.place(rate), up.place(ms), step) for rate, ms, step in points],
        xmlns="http://www.w3.org/2000/svg",
        width=str(_WIDTH),
        height=str(_HEIGHT),
    )


def _titles(found: Found) -> list[Content]:
    # SVG breaks no lines, and cuts what has no room.
    lines = shorten(found.reason, 2 * _TITLE, placeholder=" …")
    said = [("title", line) for line in wrap(lines, _TITLE)]
    half = _TARGET // 2
    target = found.target
    said.append(("", target if len(target) <= _TARGET else f"{target[:half]}…{target[-half:]}"))
    return [
        h("text", line, class_=look or None, x=_AREA.left, y=18 * (place + 1))
        for place, (look, line) in enumerate(said)
    ]


def _found(x: float, rate_per_s: float) -> list[Content]:
    side, anchor = (-5, "end") if x > _WIDTH - 90 else (5, None)
    name = f"{format_figure(rate_per_s)}/s"
    return [
        h("line", class_="found", x1=x, x2=x, y1=_AREA.top, y2=_AREA.bottom),
        h("text", name, x=x + side, y=_AREA.top + 12, class_=anchor),
    ]


def _dot(x: float, y: float, step: Step) -> Markup:
    note = (
        f"{format_figure(step.rate_per_s)}/s: {format_digits(step.percentile_ms or 0.0)} ms, "
        f"{step.decision} ({step.over} of {step.completed + step.failed} over)"
    )
    return h("circle", h("title", note), class_=step.decision, cx=x, cy=y, r=5)
