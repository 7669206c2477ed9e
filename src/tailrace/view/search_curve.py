"""The curve of a search for the highest rate within an SLO, as a drawing without a script."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import shorten, wrap

from tailrace.load.judge.slo import Slo, parse_slo
from tailrace.load.session.found import Found
from tailrace.units import format_digits, format_figure
from tailrace.view.markup import Content, Markup, h
from tailrace.view.svg import Area, LogAxis, drawing, path, ticks_of

_TITLE, _TARGET = 80, 98
"""Characters of a line that have room in the picture."""
_WIDTH, _TOP, _UPPER, _LOWER = 720, 70, 280, 150
"""Of the picture: its width, its head, and the heights of what is plotted, px."""
_GAP, _FOOT = 60, 50
_LEFT, _RIGHT = 70, _WIDTH - 20
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #5b6672 } .title { font-size: 15px; fill: #1b222a }
.end { text-anchor: end } .middle { text-anchor: middle }
.grid { stroke: #dde2e8 } line.slo { stroke: #c2410c; stroke-dasharray: 5 4 }
.holds { fill: #0b6e8f } .breaks { fill: #fff; stroke: #c2410c; stroke-width: 2 }
.late { fill: #fff; stroke: #5b6672; stroke-dasharray: 2 2 }
.found { stroke: #0b6e8f } .line { fill: none; stroke: #0b6e8f; opacity: .6 }
.band { fill: #0b6e8f; opacity: .14 } svg { background: #fff }
"""


@dataclass(frozen=True, slots=True)
class _Dot:
    rate_per_s: float
    decision: str
    ms: float | None
    note: str
    share: float | None = None
    """Over the bound, or the mean as a share of it; with its interval."""
    low: float = 0.0
    high: float = 0.0


def draw_search(found: Found) -> str:
    """What a search has measured, as an SVG: the SLO's statistic (ms) against the rate (per
    second), and below it the share over the bound with its 95 % interval; all axes are logarithmic.
    """
    slo = parse_slo(found.slo)
    dots = _dots(found, slo)
    rates = [dot.rate_per_s for dot in dots] + [*(found.interval_per_s or ())]
    shares = any(dot.share is not None for dot in dots)
    upper = Area(left=_LEFT, right=_RIGHT, top=_TOP, bottom=_TOP + _UPPER)
    across = upper.log_across(rates)
    lower = Area(
        left=_LEFT, right=_RIGHT, top=upper.bottom + _GAP, bottom=upper.bottom + _GAP + _LOWER
    )
    bottom = lower.bottom if shares else upper.bottom
    height = bottom + _FOOT
    return drawing(
        (_WIDTH, height),
        None,
        h("style", Markup(_STYLE)),
        _titles(found),
        _legend(dots, height),
        _latency(upper, across, dots, slo),
        _shares(lower, across, dots, slo) if shares else None,
        _found(across, found, bottom),
        xmlns="http://www.w3.org/2000/svg",
        width=str(_WIDTH),
        height=str(height),
    )


def _dots(found: Found, slo: Slo) -> list[_Dot]:
    if not found.curve:
        return [
            _Dot(
                step.rate_per_s,
                step.decision,
                step.percentile_ms,
                f"{step.over} of {step.completed + step.failed} over",
            )
            for step in found.steps
        ]
    allowed = _allowed(slo)
    return [
        _Dot(
            point.rate_per_s,
            "holds" if point.share <= allowed else "breaks",
            point.statistic_ms,
            f"{format_digits(100 * point.share)} % {_scale(slo)}, of {point.requests:,} requests",
            point.share,
            point.low,
            point.high,
        )
        for point in found.curve
    ]


def _allowed(slo: Slo) -> float:
    return 1.0 if slo.percent is None else 1 - slo.percent / 100


def _scale(slo: Slo) -> str:
    return "of the bound" if slo.percent is None else "over the bound"


def _latency(area: Area, across: LogAxis, dots: Sequence[_Dot], slo: Slo) -> list[Content]:
    """The SLO's statistic against the rate."""
    # One on failures bounds no latency, and none of its own is measured.
    bounds_ms = [slo.bound_s * 1000] if math.isfinite(slo.bound_s) else []
    told = [
        (dot.rate_per_s, dot.ms, dot)
        for dot in dots
        if dot.ms is not None and math.isfinite(dot.ms)
    ]
    up = area.log_up([ms for _, ms, _ in told] + bounds_ms)
    return [
        area.rules(ticks_of(across)),
        area.levels(ticks_of(up)),
        area.units("ms", "requests/s"),
        [area.bound(up.place(bound_ms), slo.expression) for bound_ms in bounds_ms],
        [_dot(across.place(rate), up.place(ms), dot) for rate, ms, dot in told],
    ]


def _shares(area: Area, across: LogAxis, dots: Sequence[_Dot], slo: Slo) -> list[Content]:
    """The share over the bound against the rate, with its band."""
    allowed = _allowed(slo)
    told = [dot for dot in dots if dot.share is not None]
    # What is none, or nearly, stands at the bottom.
    least = allowed / 20
    ends = [max(value, least) for dot in told for value in (dot.low, dot.high, dot.share or 0.0)]
    up = area.log_up([*ends, allowed])

    def corners(values: Iterable[float], ones: Sequence[_Dot]) -> list[tuple[float, float]]:
        return [
            (across.place(dot.rate_per_s), up.place(max(value, least)))
            for dot, value in zip(ones, values, strict=True)
        ]

    back = told[::-1]
    band = corners((dot.low for dot in told), told) + corners((dot.high for dot in back), back)
    middle = corners((dot.share or 0.0 for dot in told), told)
    ticks = [(up.place(share), f"{100 * share:g}") for share in up.ticks()]
    return [
        area.rules(ticks_of(across)),
        area.levels(ticks),
        area.units("%", f"requests/s, against the share {_scale(slo)}"),
        area.bound(up.place(allowed), f"{100 * allowed:g} %"),
        h("path", class_="band", d=path(band) + "Z") if len(told) > 1 else None,
        h("path", class_="line", d=path(middle)) if len(told) > 1 else None,
        [_dot(x, y, dot) for (x, y), dot in zip(middle, told, strict=True)],
    ]


def _legend(dots: Sequence[_Dot], height: float) -> list[Content]:
    said = [one for one in ("holds", "breaks", "late") if any(dot.decision == one for dot in dots)]
    first = _WIDTH + 10 - 70 * len(said)
    return [
        [
            h("circle", class_=decision, cx=first + 70 * place, cy=height - 14, r=5),
            h("text", decision, x=first + 70 * place + 10, y=height - 10),
        ]
        for place, decision in enumerate(said)
    ]


def _titles(found: Found) -> list[Content]:
    # SVG breaks no lines, and cuts what has no room.
    lines = shorten(found.reason, 2 * _TITLE, placeholder=" …")
    said = [("title", line) for line in wrap(lines, _TITLE)]
    half = _TARGET // 2
    target = found.target
    said.append(("", target if len(target) <= _TARGET else f"{target[:half]}…{target[-half:]}"))
    return [
        h("text", line, class_=look or None, x=_LEFT, y=18 * (place + 1))
        for place, (look, line) in enumerate(said)
    ]


def _found(across: LogAxis, found: Found, bottom: float) -> list[Content]:
    """The rate found, and the interval above it."""
    if found.rate_per_s is None:
        return []
    x = across.place(found.rate_per_s)
    side, anchor = (5, None) if x < _LEFT + 80 else (-5, "end")
    name = f"{format_figure(found.rate_per_s)}/s"
    low, high = map(across.place, found.interval_per_s or (found.rate_per_s, found.rate_per_s))
    return [
        h(
            "rect",
            class_="band",
            x=low,
            width=max(round(high - low, 1), 0),
            y=_TOP,
            height=bottom - _TOP,
        ),
        h("line", class_="found", x1=x, x2=x, y1=_TOP, y2=bottom),
        h("text", name, x=x + side, y=_TOP + 12, class_=anchor),
    ]


def _dot(x: float, y: float, dot: _Dot) -> Markup:
    ms = "–" if dot.ms is None else f"{format_digits(dot.ms)} ms"
    note = f"{format_figure(dot.rate_per_s)}/s: {ms}, {dot.decision} ({dot.note})"
    return h("circle", h("title", note), class_=dot.decision, cx=x, cy=y, r=5)
