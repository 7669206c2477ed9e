"""Durations and rates as people write them: `30s`, `1.5m`, `250ms`, `200`, `200/s`, `12k/min`."""

import re

from tailrace.errors import UsageError

_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"
_DURATION = re.compile(_NUMBER + r"\s*(ns|us|µs|ms|s|m|min|h)?")
_RATE = re.compile(_NUMBER + r"\s*([kM]?)\s*(?:/\s*(s|sec|min|m|h))?")
_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
}
_FACTOR = {"": 1.0, "k": 1e3, "M": 1e6}


def parse_duration_s(text: str) -> float:
    """Seconds in `text`: `30s`, `250ms`, `5m`, `1h`; a bare number is seconds.

    Raises:
        UsageError: `text` is not a duration.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is not a duration: write 30s, 250ms, 5m or 1h")
    return float(match[1]) * _SECONDS[match[2] or "s"]


def parse_rate_per_s(text: str) -> float:
    """Requests a second in `text`: `200`, `200/s`, `12k/min`; a bare number is a second's.

    Raises:
        UsageError: `text` is not a rate.
    """
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is not a rate: write 200, 200/s or 12k/min")
    per = {"sec": "s"}.get(match[3] or "s", match[3] or "s")
    return float(match[1]) * _FACTOR[match[2]] / _SECONDS[per]


_SHOWN = ((1e-3, 1e-6, "µs"), (1.0, 1e-3, "ms"), (120.0, 1.0, "s"), (7200.0, 60.0, "min"))


def format_duration(seconds: float) -> str:
    """`seconds` in the unit a person would choose, to three significant digits: `1.5 ms`."""
    rounded = float(f"{seconds:.3g}")  # before the unit is chosen: 999.9 µs are 1 ms
    length_s, unit = next(
        ((length_s, unit) for limit_s, length_s, unit in _SHOWN if rounded < limit_s),
        (3600.0, "h"),
    )
    return f"{float(f'{seconds / length_s:.3g}'):g} {unit}"


def format_lag(value_us: float | None) -> str:
    """A lateness in µs, as every face words it: `85 µs`, `1.2 ms`, a dash where there is none."""
    return "–" if value_us is None else format_duration(value_us / 1e6)
