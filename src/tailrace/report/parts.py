"""Parts that sections have in common: a section, a table, a run's name in its colour, figures."""

from collections.abc import Sequence

from tailrace.report.subject import Subject
from tailrace.view import tables
from tailrace.view.markup import Content, Markup, h
from tailrace.view.words import NONE, number


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


def table(name: str, heads: Sequence[Content], rows: Sequence[tuple[Content, ...]]) -> Markup:
    """A table, as `tables.table` makes it, on a card."""
    return carded(tables.table(name, heads, rows))


def carded(table: Markup) -> Markup:
    """`table` on a card, in which it can be scrolled sideways."""
    return h("div", table, class_="card scroll", tabindex=0)


def chip(subjects: Sequence[Subject], subject: Subject) -> Content:
    """A run's letter in its colour; nothing for one alone."""
    if len(subjects) == 1:
        return None
    return h("b", subject.label, class_=f"chip run-{subjects.index(subject)}")


def heads(subjects: Sequence[Subject]) -> list[Content]:
    """Heads of a table that has a column for each run; none where there is but one."""
    if len(subjects) == 1:
        return []
    columns = [h("span", chip(subjects, one), title=one.info.name) for one in subjects]
    return ["", *columns]


def with_unit(value: float | None, unit: str) -> Content:
    """A figure as a person reads it."""
    if value is None:
        return NONE
    shown = f"{value:,}" if isinstance(value, int) else number(value)
    return [shown, h("span", f" {unit}", class_="unit") if unit else None]


def listed(items: Sequence[Content], class_: str) -> Content:
    """A list; nothing where it has no items."""
    return h("ul", [h("li", item) for item in items], class_=class_) if items else None
