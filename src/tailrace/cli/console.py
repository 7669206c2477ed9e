"""How the commands print for a person: tables, a word in bold, and text of others as text."""

from rich.console import Console
from rich.text import Text

from tailrace.plain import plain


def make_console(*, stderr: bool = False, width: int | None = None) -> Console:
    """A console that acts on nothing that it is given: no markup, no `:100:` for a picture."""
    return Console(stderr=stderr, width=width, markup=False, highlight=False, emoji=False)


def literal(*parts: str | tuple[str, str]) -> Text:
    """A line to be seen as it is, whatever is in it; a part with a style is (text, style)."""
    return Text.assemble(
        *(plain(part) if isinstance(part, str) else (plain(part[0]), part[1]) for part in parts)
    )


def print_paragraph(console: Console, text: Text, hang: int = 2) -> None:
    """Print a line, in a terminal wrapped between words, all but its first row `hang` cells in."""
    if not console.is_terminal:
        console.print(text, soft_wrap=True)
        return
    start = text[:hang]
    for row in text[hang:].wrap(console, console.width - hang):
        row.rstrip()
        console.print(start.append_text(row), soft_wrap=True)
        start = Text(" " * hang)
