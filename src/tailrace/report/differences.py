"""The runs held against the first one, figure by figure, and whether chance alone explains it."""

import math
from collections.abc import Sequence

from tailrace.report.subject import Subject
from tailrace.runs.compare.compare import Comparison, Difference
from tailrace.runs.compare.words import SAME, UNTOLD, judge
from tailrace.units import NONE, format_digits, number
from tailrace.view.markup import Content, Markup, h
from tailrace.view.parts import card, listed, section, table


def differences(subjects: Sequence[Subject], comparisons: Sequence[Comparison]) -> Content:
    """A table of all figures, `comparisons` being those of each further run with the first; nothing
    for one run alone.
    """
    if not comparisons:
        return None
    base, *others = subjects
    compared = list(zip(others, comparisons, strict=True))
    heads = ["Figure", base.chip, *([other.chip, f" against {base.label}"] for other in others)]
    rows = [
        (
            [of_one[0].name.removesuffix("/s"), h("span", f", {of_one[0].unit}", class_="unit")],
            _shown(of_one[0].base),
            *map(_cell, of_one),
        )
        for of_one in zip(*(comparison.differences for comparison in comparisons), strict=True)
    ]
    findings = [[other.chip, " ", in_words(found, base.label)] for other, found in compared]
    notes = [[other.chip, " ", note] for other, found in compared for note in found.notes]
    return section(
        "differences",
        "Differences",
        listed(findings, "findings"),
        card(table("differences-table", heads, rows)),
        listed(notes, "notes"),
        about="ratio to the first run with its 95 % interval, from each run's own noise",
    )


def in_words(comparison: Comparison, base: str) -> str:
    """What a comparison finds of p50 and p99, in a sentence."""
    found = comparison.by_name
    said = [_clause(found[name], base) for name in ("p50", "p99") if name in found]
    return f"{'; '.join(said)}."


def _clause(difference: Difference, base: str) -> str:
    word = judge(difference)
    if word == UNTOLD:
        return f"whether {difference.name} differs {word}"
    figures = f"{_shown(difference.base)} → {_shown(difference.other)} {difference.unit}"
    ratio = _ratio(difference)
    if word == SAME:
        return f"{difference.name} is not distinguishable from {base}'s: {figures}"
    return f"{difference.name} is {word} than {base}'s: {figures}{ratio and f', {ratio}'}"


def _cell(difference: Difference) -> Markup:
    word = judge(difference)
    good = {"slower": "worse", "faster": "better"}.get(word, "")
    if difference.name == "failed":
        good = {"more": "worse", "fewer": "better"}.get(word, "")
    return h(
        "div",
        h("span", _shown(difference.other), class_="now"),
        h("span", word, class_=good or "neutral"),
        h("small", _ratio(difference)),
        class_="difference",
    )


def _ratio(difference: Difference) -> str:
    if difference.ratio is None or math.isinf(difference.ratio):
        return ""
    interval = difference.ratio_interval
    span = f" ({_times(interval[0])} – {_times(interval[1])})" if interval else ""
    return f"×{_times(difference.ratio)}{span}"


def _times(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:.2f}" if value < 10 else format_digits(value)


def _shown(value: float | None) -> str:
    if value is None:
        return NONE
    return "∞" if math.isinf(value) else number(value)
