"""What drawings without a script have in common: axes, lines of a grid, paths."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tailrace.view.markup import Content, Markup, h

_MOST_TICKS = 10
"""With more of them on the 1-2-5 series, only powers of ten are told."""


class LogAxis:
    """From pixel `start` to pixel `end`, over the positive ones of `values` and a little beyond."""

    def __init__(self, values: Iterable[float], start: float, end: float) -> None:
        usable = [value for value in values if value > 0] or [1.0]
        self._low = math.log10(min(usable) / 1.3)
        self._high = math.log10(max(usable) * 1.3)
        self._start, self._end = start, end

    def place(self, value: float) -> float:
        """The pixel of `value`."""
        share = (math.log10(max(value, 1e-9)) - self._low) / (self._high - self._low)
        return round(self._start + share * (self._end - self._start), 1)

    def ticks(self) -> list[float]:
        """Round values on the axis, lowest first."""
        ladder = [
            float(f"{digit}e{power}")
            for power in range(math.floor(self._low), math.ceil(self._high) + 1)
            for digit in (1, 2, 5)
            if self._low <= math.log10(digit * 10.0**power) <= self._high
        ]
        if len(ladder) <= _MOST_TICKS:
            return ladder
        return [value for value in ladder if round(math.log10(value), 9).is_integer()]


@dataclass(frozen=True, slots=True)
class Area:
    """What is plotted on: its edges in a drawing, px."""

    left: float
    right: float
    top: float
    bottom: float

    def log_across(self, values: Iterable[float]) -> LogAxis:
        """A logarithmic axis over `values` from the left to the right."""
        return LogAxis(values, self.left, self.right)

    def log_up(self, values: Iterable[float]) -> LogAxis:
        """The same from the bottom to the top."""
        return LogAxis(values, self.bottom, self.top)

    def levels(self, ticks: Iterable[tuple[float, str]]) -> list[Content]:
        """Horizontal lines of the grid: pixel and name of each."""
        return [
            [
                h("line", class_="grid", x1=self.left, x2=self.right, y1=y, y2=y),
                h("text", name, x=self.left - 7, y=y + 4, class_="end"),
            ]
            for y, name in ticks
        ]

    def rules(self, ticks: Iterable[tuple[float, str]]) -> list[Content]:
        """Vertical lines of the grid."""
        return [
            [
                h("line", class_="grid", x1=x, x2=x, y1=self.top, y2=self.bottom),
                h("text", name, x=x, y=self.bottom + 16, class_="middle"),
            ]
            for x, name in ticks
        ]

    def bound(self, y: float, name: str) -> list[Content]:
        """The line of an SLO."""
        return [
            h("line", class_="slo", x1=self.left, x2=self.right, y1=y, y2=y),
            h("text", name, x=self.left + 6, y=y - 5, class_="slo"),
        ]

    def units(self, up: str, across: str) -> list[Content]:
        """What the axes are in."""
        middle = (self.left + self.right) / 2
        return [
            h("text", up, x=self.left - 7, y=self.bottom + 16, class_="end unit"),
            h("text", across, x=middle, y=self.bottom + 34, class_="middle unit"),
        ]


def ticks_of(axis: LogAxis) -> list[tuple[float, str]]:
    """Pixel and name of each tick."""
    return [(axis.place(value), f"{value:,g}") for value in axis.ticks()]


def drawing(size: tuple[float, float], about: str | None, *content: Content, **more: str) -> Markup:
    """An SVG of `size`, width and height, which a screen reader calls `about`."""
    view = "0 0 {:g} {:g}".format(*size)
    return h("svg", content, viewBox=view, role="img", aria_label=about, **more)


def path(corners: Iterable[tuple[float, float]]) -> str:
    """The `d` of a path along `corners`."""
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in corners)
