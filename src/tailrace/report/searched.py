"""A search for the highest rate within an SLO, by `tailrace find`: its curve and its steps."""

import base64
from pathlib import Path

from tailrace.load.session.found import Found, Step
from tailrace.runs.directory import read_label
from tailrace.units import format_clock, format_figure, number
from tailrace.view.markup import Content, Markup, h
from tailrace.view.parts import card, listed, section, table, title_block
from tailrace.view.search_curve import draw_search

_HEADS = ("Rate, /s", "Bound", "Percentile, ms", "Over the bound", "Answered", "Failed", "Lasted")
_CLASSES = {"holds": "kept", "breaks": "broken"}


def search(path: Path, found: Found) -> Content:
    """The head and the section of the search in the directory `path`."""
    word = "valid" if found.confirmed else "invalid"
    rate = "none" if found.rate_per_s is None else f"{format_figure(found.rate_per_s)}/s"
    badge = h("strong", rate, class_=f"badge {word}")
    name, label = path.resolve().name, read_label(path)
    return [
        title_block(label.title or found.target, [name], found.target, label.note),
        section(
            f"search-{name}",
            "Highest rate within the SLO",
            h(
                "div",
                h("div", badge, ", ".join(found.slos or (found.slo,)), class_="judged"),
                h("p", f"{found.reason}; {'confirmed' if found.confirmed else 'not confirmed'}."),
                h("p", found.certainty) if found.certainty else None,
                listed(found.findings, "notes"),
                class_=f"card judgement {word}",
            ),
            h("figure", picture(found), class_="card searched"),
            card(table("steps-table", _HEADS, map(_step, found.steps))),
        ),
    ]


def picture(found: Found) -> Markup:
    """The curve, as a picture of its own, so that its style sheet stays within it."""
    drawing = base64.b64encode(draw_search(found).encode()).decode()
    statistic = found.slo.partition("<")[0]
    return h(
        "img",
        src=f"data:image/svg+xml;base64,{drawing}",
        alt=f"{statistic} and the share over the bound against the rate, all on log scales",
    )


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
