"""What a comparison finds, in words: the same on the command line, in a report and on a page."""

import math
from collections.abc import Iterable

from tailrace.runs.compare.compare import Difference
from tailrace.units import format_digits, format_figure

SAME = "not distinguishable"
UNTOLD = "cannot be told"


def judge(difference: Difference) -> str:
    """The difference in a word or two: slower, faster, more, fewer, not distinguishable."""
    if difference.more_than_noise is None:
        return UNTOLD
    if not difference.more_than_noise:
        return SAME
    up = difference.ratio is not None and difference.ratio > 1
    if difference.unit == "ms":
        return "slower" if up else "faster"
    return "more" if up else "fewer"


def sentence(difference: Difference, rounds: int) -> str:
    """What so many rounds of A and B say of a figure: different or not, by how much, and how many
    rounds would find a change of 5 %.
    """
    word, interval = judge(difference), difference.change_interval
    if interval is None or difference.change is None:
        return f"{difference.name}: {word}"
    by = in_words([difference.change], difference.change_unit)
    found = word if word == SAME else f"B is {word} than A"
    spread = in_words(interval, difference.change_unit)
    found = f"{difference.name}: {found}, {by} (95 % interval {spread})"
    needed = difference.runs_for_5_percent
    if needed is None:
        return found
    more = f", {needed - rounds} more than these" if needed > rounds else ""
    return f"{found}; a change of 5 % takes about {needed} rounds{more}"


def in_words(change: Iterable[float], unit: str = "") -> str:
    """A change, or its interval, for a person: `-3 to +18 %`."""
    return f"{' to '.join(format_digits(by, '+') for by in change)} {unit}".rstrip()


def shown(value: float | None, unit: str) -> str:
    """A figure for a person, with its unit."""
    if value is None:
        return "none"
    if math.isinf(value):
        return "infinite (too many failed)"
    return f"{format_figure(value)} {unit}" if unit != "/s" else f"{format_figure(value)}/s"
