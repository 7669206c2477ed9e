"""What ends a run, a bound of its own included, and what that means to who reads of it."""

import re
import signal
from collections import deque
from dataclasses import dataclass

from tailrace.errors import UsageError
from tailrace.units import format_duration, parse_duration_s

DURATION = "duration"
"""All was offered that was asked for."""
STOP = "stop"
"""Somebody stopped it, through any face of the control room."""
ABORT_ON = "abort-on"
"""It was hopeless by its own `--abort-on`."""
WORKERS = "workers"
"""Every load worker was lost."""
FAULT = "fault"
"""It could not be followed any further, by a fault of Tailrace's own."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Whose names say the rest: `SIGINT` is Ctrl-C, `SIGHUP` a terminal that is gone."""
_ABORT = re.compile(r"failed\s*(>=?)\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*%\s*@\s*(.+)")
_LONGEST_S = 3600.0


def signal_code(ended_by: str | None) -> int | None:
    """The exit code of a command that a signal cut short, as a shell has it; None for others."""
    numbers = {number.name: 128 + number for number in SIGNALS}
    return numbers.get(ended_by or "")


def describe_end(ended_by: str | None, after: str) -> str | None:
    """How a run was cut short, for a person, `after` so long; None where it was not."""
    match ended_by:
        case None | "duration":
            return None
        case "stop":
            return f"it was stopped after {after}"
        case "abort-on":
            return f"it ended itself as hopeless after {after}"
        case "fault":
            return f"it was ended after {after} by a fault of Tailrace's own"
        case "workers":
            return f"it ended after {after}, when every load worker was lost"
        case _:
            return f"it was cut short by {ended_by} after {after}"


@dataclass(frozen=True, slots=True)
class AbortOn:
    """A bound on the share of failures, of the requests that ended within a trailing time."""

    expression: str
    percent: float
    inclusive: bool
    over_s: float


def parse_abort_on(text: str) -> AbortOn:
    """A bound from its expression: `failed>50%@10s`, `failed>=100%@1m`.

    Raises:
        UsageError: it cannot be read, or can never be met.
    """
    expression = text.strip()
    match = _ABORT.fullmatch(expression)
    if match is None:
        raise UsageError(
            f"{text!r} does not say when to give up: write failed>50%@10s, the share of failures "
            "and the time over which it is measured"
        )
    operator, digits, over = match.groups()
    percent, inclusive = float(digits), operator == ">="
    if percent > 100 or (percent == 100 and not inclusive) or (percent == 0 and inclusive):
        raise UsageError(
            f"{text!r}: a share of {digits} % is {'always' if percent == 0 else 'never'} met: "
            "write failed>50%@10s, or failed>=100%@10s for all of them"
        )
    if not over[-1].isalpha():
        raise UsageError(f"{text!r}: the time has no unit: write {expression}s")
    try:
        over_s = parse_duration_s(over, 1e-3, _LONGEST_S)
    except UsageError as error:
        raise UsageError(f"the time of {text!r}: {error}") from None
    return AbortOn(expression, percent, inclusive, over_s)


class AbortWatch:
    """Watches a run's intervals for one bound."""

    def __init__(self, bound: AbortOn) -> None:
        self._bound = bound
        self._recent: deque[tuple[float, int, int]] = deque()
        """Begin (s), requests that ended, and failed ones among them, of each interval."""

    def hopeless(self, begin_s: float, end_s: float, ended: int, failed: int) -> str | None:
        """Take in an interval; why the run is hopeless, if it is.

        Nothing is said before the time has passed once. It is counted in whole intervals, the
        fewest that make it up.
        """
        bound, recent = self._bound, self._recent
        recent.append((begin_s, ended, failed))
        # Intervals are not equally long to the millisecond.
        enough_s = bound.over_s - (end_s - begin_s) / 2
        while len(recent) > 1 and end_s - recent[1][0] >= enough_s:
            recent.popleft()
        span_s = end_s - recent[0][0]
        among = sum(ended for _, ended, _ in recent)
        if span_s < enough_s or not among:
            return None
        percent = 100 * sum(failed for _, _, failed in recent) / among
        if not (percent >= bound.percent if bound.inclusive else percent > bound.percent):
            return None
        return (
            f"{bound.expression}: {percent:.3g} % of the {among:,} requests that ended within "
            f"{format_duration(span_s)} failed"
        )
