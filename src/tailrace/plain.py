"""Text that comes from outside, made fit to be shown: in a terminal, a page, a file for others."""

import html

MOST = 1000
"""Characters of a text that are shown."""


def plain(text: str, most: int | None = MOST) -> str:
    """`text` as one line of at most `most` characters: of a longer one, beginning and end.

    What a terminal, a page or XML would act on instead of showing it is escaped as in `\\x1b`:
    control codes, marks of direction and all else without a shape. White space becomes a space.
    Markup stays: whoever writes HTML, Markdown or for rich has to escape it.
    """
    text = _shortened(text, most)
    return text if text.isprintable() else _shortened("".join(map(_shown, text)), most)


def plain_lines(text: str) -> str:
    """`text` as `plain` makes it, line by line and of any length."""
    return text if text.isprintable() else "\n".join(plain(line, None) for line in text.split("\n"))


def as_html(text: str) -> str:
    """`text` as `plain_lines` makes it, as HTML for an element or an attribute."""
    return html.escape(plain_lines(text))


def _shortened(text: str, most: int | None) -> str:
    if most is None or len(text) <= most:
        return text
    # The end often says what is wrong.
    end = (most - 1) // 3
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"


def _shown(letter: str) -> str:
    if letter.isprintable():
        return letter
    return " " if letter.isspace() else letter.encode("unicode_escape").decode()
