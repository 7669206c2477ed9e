"""What drawings without a script have in common: a logarithmic axis."""

import math
from collections.abc import Iterable

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
