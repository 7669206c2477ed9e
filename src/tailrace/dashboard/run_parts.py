"""Parts that the pages of runs and of searches have in common."""

from collections.abc import Collection, Mapping
from urllib.parse import quote

from nicegui import ui

from tailrace.plain import as_html


def html(tag: str, classes: str, content: str, props: str = "") -> None:
    """Build an element of `content`, HTML, in the current slot."""
    ui.html(content, sanitize=False, tag=tag).classes(classes).props(props)


def address(name: str) -> str:
    """Where the page of the run or search `name` is."""
    return f"/runs/{quote(name, safe='')}"


def heading(name: str, title: str) -> str:
    """The heading of a page, HTML: the title that a person gave, if any, and the name."""
    if not title:
        return f"<h1>{as_html(name)}</h1>"
    return f'<h1>{as_html(title)}</h1><span class="hint">{as_html(name)}</span>'


def noted(note: str) -> str:
    """What a person wrote, HTML, line by line; nothing where nobody did."""
    lines = "<br>".join(map(as_html, note.splitlines()))
    return f'<p class="written" data-testid="note">{lines}</p>' if note else ""


def facts(asked: Mapping[str, str], code: Collection[str] = ()) -> str:
    """A list of names and values, HTML, but those without a value; `code` names those that are
    written as code.
    """
    told = "".join(
        f"<div><dt>{name}</dt>"
        f"<dd{' class=code' if name in code else ''}>{as_html(value)}</dd></div>"
        for name, value in asked.items()
        if value
    )
    return f'<dl class="run-asked">{told}</dl>'


def button(target: str, text: str, more: str = "") -> str:
    """A link that looks like a button, HTML; `more` are further attributes."""
    return f'<a class="button" href="{as_html(target)}" {more}>{text}</a>'
