"""Text that comes from outside, made fit to be shown: in a terminal, a page, a file for others."""

MOST = 1000
"""Characters of a text that are shown."""


def plain(text: str, most: int = MOST) -> str:
    """`text` as one line of at most `most` characters, the last an ellipsis where it was longer.

    What a terminal, a page or XML would act on instead of showing it is escaped as in `\\x1b`:
    control codes, marks of direction and all else without a shape. White space becomes a space.
    Markup stays: whoever writes HTML, Markdown or for rich has to escape it.
    """
    if not text.isprintable():
        text = "".join(map(_shown, text[: most + 1]))
    return text if len(text) <= most else text[: most - 1] + "…"


def _shown(letter: str) -> str:
    if letter.isprintable():
        return letter
    return " " if letter.isspace() else letter.encode("unicode_escape").decode()
