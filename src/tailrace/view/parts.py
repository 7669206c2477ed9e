"""Parts that pages and reports have in common: sections, lists, tables, figures."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest

from tailrace.load.judge.answers import SloAnswer, mlperf_answer
from tailrace.load.judge.verdict import MlperfAnswer
from tailrace.load.measure.failures import MOST_REASONS
from tailrace.load.measure.point import NodeFigures
from tailrace.units import NONE, format_clock, format_lag, number
from tailrace.view.markup import Content, Markup, h, text_of

_EXAMPLE = 500
"""Characters of an answer: a run keeps fewer, a file that was edited may have more."""


def title_block(title: str, facts: Sequence[str], target: str, note: str) -> Markup:
    """The heading of a run or a search: `target` stands below it unless it is the title, and what
    a person noted line by line.
    """
    return h(
        "div",
        h("h1", title, class_="target"),
        h("p", target, class_="url") if target != title else None,
        h("p", " · ".join(filter(None, facts)), class_="hint"),
        [h("p", line) for line in note.splitlines()],
        class_="title",
    )


def section(name: str, title: str | None, *content: Content, about: str | None = None) -> Markup:
    """A section of the page; `about` is the small print beside its heading; without a title
    it has none.
    """
    return h(
        "section",
        h("h2", title, h("small", about) if about else None) if title else None,
        content,
        id=name,
        class_="chapter",
    )


def with_unit(value: float | None, unit: str) -> Content:
    """A figure as a person reads it."""
    return NONE if value is None else [number(value), small_unit(unit)]


def small_unit(text: str) -> Markup:
    """The unit behind a figure, or what the figure is of."""
    return h("span", f" {text}", class_="unit")


def listed(items: Sequence[Content], class_: str) -> Content:
    """A list; nothing where it has no items."""
    return h("ul", [h("li", item) for item in items], class_=class_) if items else None


def answers_list(
    slos: Sequence[SloAnswer], mlperf: MlperfAnswer | None, *, brief: bool = False
) -> Content:
    """What a run says of each SLO, and MLPerf's answer where somebody asked; with the reasons
    beside them, or unless `brief` on hover.
    """
    told: list[tuple[str, str, str]] = [
        (one.outcome, one.brief if brief else f"{one.expression} {one.word}", one.why)
        for one in slos
    ]
    if mlperf is not None:
        answer = mlperf_answer(mlperf)
        look = "kept" if answer.is_yes else "undecided"
        told.append((look, f"{answer.name}: {answer.word}", "; ".join(answer.reasons)))
    items: list[Content] = [
        [
            h("span", text, class_=look, title=why or None if brief else None),
            h("small", " ", why) if why and not brief else None,
        ]
        for look, text, why in told
    ]
    return listed(items, "slos")


def table(look: str, heads: Sequence[Content], rows: Iterable[Sequence[Content]]) -> Markup:
    """A table, which has no room for its `heads` on a phone: there each cell has its own. The first
    cell of a row heads it, and the last one of a row that has fewer than there are `heads` takes
    the room of the rest. Without `heads` it has no head.
    """
    head = h("thead", h("tr", [h("th", one, scope="col") for one in heads])) if heads else None
    names = [text_of(one) for one in heads[1:]]
    body = h("tbody", [_row(row, names) for row in rows])
    return h("table", head, body, class_=f"{look} stack" if heads else look)


def card(*content: Content) -> Markup:
    """Something wide on a card, in which it can be scrolled sideways."""
    return h("div", content, class_="card scroll", tabindex=0)


def failures_table(reasons: Mapping[str, int], examples: Mapping[str, str]) -> Markup:
    """Failures by reason, the most frequent first, each with an answer that shows it."""
    ordered = sorted(reasons.items(), key=lambda item: -item[1])
    rows = [
        (
            reason,
            f"{count:,}",
            h("pre", examples[reason][:_EXAMPLE]) if examples.get(reason) else NONE,
        )
        for reason, count in ordered[:MOST_REASONS]
    ]
    return table("failures-table", ("Reason", "Failed", "An answer"), rows)


def nodes_table(nodes: Mapping[str, NodeFigures], first: Content = None) -> Markup:
    """The machines of a fleet; `first` stands before the head of the first column."""
    heads = [
        h("span", name, title=about)
        for name, about in (
            ("Node", "A machine that load workers run on"),
            ("Workers", "Load workers that are at work on it"),
            ("Sent, /s", "Requests it sent, a second"),
            ("Send lag p99", "Its own lateness: sent − intended"),
            ("CPU", "Of one core, its load workers' together"),
            ("Clock within", "The most by which its idea of an instant of the run can be off"),
            ("Last seen", "Up to when it has reported, from the run's start"),
        )
    ]
    rows = [
        (
            name,
            f"{node.workers}" if node.workers else h("b", "lost", class_="lost"),
            number(node.rps),
            format_lag(node.send_lag_p99_us),
            f"{number(node.cpu_percent)} %",
            f"{number(node.clock_error_ms)} ms",
            format_clock(node.seen_s),
        )
        for name, node in nodes.items()
    ]
    return table("nodes-table", [[first, heads[0]], *heads[1:]], rows)


def _row(cells: Sequence[Content], names: Sequence[str]) -> Markup:
    first, *figures = cells
    span = len(names) - len(figures) + 1
    told = [
        h("td", cell, data_head=name or None)
        for cell, name in zip_longest(figures, names[: len(figures)], fillvalue="")
    ]
    if span > 1:
        told[-1] = h("td", figures[-1], colspan=span, class_="whole")
    return h("tr", h("th", first, scope="row"), told)
