"""A profile drawn before it runs: λ(t) as an SVG, with what it amounts to."""

from dataclasses import dataclass

import numpy as np
from nicegui import ui

from tailrace.dashboard.frame import pair
from tailrace.errors import UsageError
from tailrace.load.schedule.profile import Profile
from tailrace.load.schedule.profile_text import TimedSegment, parse_parts
from tailrace.load.schedule.segments import Floats
from tailrace.load.schedule.trace_file import NoFiles
from tailrace.units import format_clock, number
from tailrace.view.markup import h
from tailrace.view.svg import drawing, path

MAX_LETTERS = 4000
"""Of an expression."""
WIDTH, HEIGHT = 480, 64

_COLUMNS = 240
_PERIODS = 3
"""So many are drawn of what repeats for as long as the run goes on."""
_ALONE_S = 60.0
_TAIL = 0.25
"""Of what comes before it is drawn of a last part without an end."""
_NO_FILES = NoFiles(UsageError("A trace's rates are read from its file only when it is used"))


@dataclass(frozen=True, slots=True)
class Sketch:
    """`svg` is HTML; the rest are figures for a person, each with its unit."""

    svg: str
    peak: str
    mean: str
    over: str
    requests: str


class Drawing:
    """A profile's sketch with its figures, or the line that says why there is none."""

    def __init__(self) -> None:
        with ui.element("figure").classes("sketch").props("data-testid=sketch"):
            self._error = ui.label().classes("sketch-error").props("role=status data-testid=unread")
            self._svg = ui.html(sanitize=False).classes("sketch-line")
            with ui.element("dl").classes("sketch-figures") as self._figures:
                self._texts = {
                    name: pair(name, f"sketch-{name}")
                    for name in ("peak", "mean", "over", "requests")
                }
        self._show(None)

    def draw(self, expression: str, duration_s: float | None) -> None:
        """Show `expression` over `duration_s`, or over its own parts where that is None."""
        try:
            drawn = sketch(expression, duration_s)
        except UsageError as error:
            self._error.set_text(str(error))
            self._show(None)
        else:
            self._show(drawn)

    def _show(self, drawn: Sketch | None) -> None:
        self._error.set_visibility(drawn is None)
        self._figures.set_visibility(drawn is not None)
        self._svg.set_visibility(drawn is not None)
        if drawn is not None:
            self._svg.set_content(drawn.svg)
            for name, label in self._texts.items():
                label.set_text(getattr(drawn, name))


def sketch(expression: str, duration_s: float | None = None) -> Sketch:
    """The profile `expression` over `duration_s`, or where that is None over its own parts.

    Files are left alone: what a person types here is drawn before anyone checked that it may be
    read.

    Raises:
        UsageError: the expression cannot be read, is too long, or reads a file.
    """
    if len(expression) > MAX_LETTERS:
        raise UsageError(f"a profile of more than {MAX_LETTERS:,} letters is not drawn")
    parts = parse_parts(expression, _NO_FILES)
    profile = Profile.of_parts(parts)
    span_s = duration_s if duration_s is not None else _own_span_s(parts)
    total = profile.integral(span_s)
    peak = profile.peak_per_s
    return Sketch(
        svg=_svg(_means(profile, span_s), peak, span_s),
        peak=f"{number(peak)}/s",
        mean=f"{number(total / span_s)}/s",
        over=format_clock(span_s) if duration_s is not None else f"{format_clock(span_s)}, and on",
        requests=f"{total:,.0f}",
    )


def _own_span_s(parts: list[TimedSegment]) -> float:
    before_s = sum(part.length_s or 0.0 for part in parts[:-1])
    period_s = parts[-1].segment.period_s
    endless_s = _TAIL * before_s or _ALONE_S if period_s is None else _PERIODS * period_s
    return before_s + (parts[-1].length_s or endless_s)


def _means(profile: Profile, span_s: float) -> Floats:
    # Means of columns, not samples: no burst falls between two, and areas are requests.
    ends = np.linspace(0, span_s, _COLUMNS + 1).tolist()
    areas = np.array([profile.integral(t) for t in ends])
    means: Floats = np.diff(areas) * (_COLUMNS / span_s)
    return means


def _svg(rates: Floats, peak_per_s: float, span_s: float) -> str:
    heights = (HEIGHT - 2 - rates / (peak_per_s or 1.0) * (HEIGHT - 6)).round(2).tolist()
    middles = ((np.arange(_COLUMNS) + 0.5) * (WIDTH / _COLUMNS)).tolist()
    inner = zip(middles, heights, strict=True)
    line = path([(0, heights[0]), *inner, (WIDTH, heights[-1])])
    label = (
        f"Rate over {format_clock(span_s)}: begins at {number(float(rates[0]))}, "
        f"ends at {number(float(rates[-1]))}, at most {number(peak_per_s)} requests a second"
    )
    area = h("path", class_="area", d=f"{line}V{HEIGHT}H0Z")
    return drawing(
        (WIDTH, HEIGHT), label, area, h("path", class_="line", d=line), preserveAspectRatio="none"
    )
