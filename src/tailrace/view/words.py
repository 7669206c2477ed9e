"""How numbers and times read, on every page; static/timeline/format.js says the same."""

NONE = "–"
"""In place of a number that there is none of."""


def number(value: float | None) -> str:
    """`value` to three figures, but never fewer than all digits before the point."""
    if value is None:
        return NONE
    digits = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    return f"{value:,.{digits}f}"


def started(text: str) -> str:
    """The ISO 8601 instant `text`, UTC, as a person reads it; anything else as it is."""
    day, t, time = text.partition("T")
    return f"{day} {time[:8]} UTC" if t and text.endswith(("Z", "+00:00")) else text
