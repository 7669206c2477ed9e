"""A search for the highest rate within an SLO, by `tailrace find`: its curve and its steps."""

import base64

from tailrace.dashboard.figures import clock, number
from tailrace.load.session.search import Found, Step
from tailrace.report.markup import Content, Markup, h
from tailrace.report.parts import section, table
from tailrace.runs.search_report import draw_search
from tailrace.units import format_figure

_CLASSES = {"holds": "kept", "breaks": "broken"}


def search(name: str, found: Found) -> Markup:
    """The section on a search; `name` is that of its directory."""
    drawing = base64.b64encode(draw_search(found).encode()).decode()
    word = "VALID" if found.confirmed else "INVALID"
    rate = "none" if found.rate_per_s is None else f"{format_figure(found.rate_per_s)}/s"
    said = "confirmed by a longer run" if found.confirmed else "not confirmed"
    return section(
        f"search-{name}",
        "Highest rate within the SLO",
        h(
            "div",
            h("div", h("strong", rate, class_=f"badge {word.lower()}"), found.slo, class_="judged"),
            h("p", f"{found.reason}; {said}."),
            h("p", found.target, class_="url"),
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
            ["Rate, /s", "", "Percentile, ms", "Over the bound", "Answered", "Failed", "Lasted"],
            [_step(step) for step in found.steps],
        ),
        about=name,
    )


def _step(step: Step) -> tuple[Content, ...]:
    return (
        f"{format_figure(step.rate_per_s)}",
        h("span", step.decision, class_=_CLASSES.get(step.decision)),
        number(step.percentile_ms),
        f"{step.over:,}",
        f"{step.completed:,}",
        f"{step.failed:,}",
        clock(step.duration_s),
    )
