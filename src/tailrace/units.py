"""Durations, rates and sizes as people write them, `30s`, `1h30m`, `200/s`, `12k/min`, `64MiB`, and
numbers as they read them; view/static/timeline/format.js words these alike.
"""

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

from tailrace.errors import UsageError

T = TypeVar("T")

NONE = "–"
"""In place of a number that there is none of."""
MAX_DURATION_S = 1e9
"""Over 30 years: what is longer is a slip, and far below what 64 bits of nanoseconds hold."""
MAX_RATE_PER_S = 1e12
"""More than any network carries."""
MAX_BYTES = 2**50
"""More than any body has."""
MAX_SEED = 2**63 - 1
"""What every format on a seed's way holds."""

_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"
_PIECE = re.compile(_NUMBER + r"\s*(ns|us|µs|ms|s|min|m|h|d)\s*")
_BARE = re.compile(_NUMBER)
_RATE = re.compile(_NUMBER + r"\s*([kM]?)\s*(?:/\s*(s|sec|min|m|h|d))?")
_SIZE = re.compile(_NUMBER + r"\s*([KMGkmg]i?B|B|)")
_BYTES = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}
_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_FACTOR = {"": 1.0, "k": 1e3, "M": 1e6}


def parse_duration_s(text: str, least_s: float = 0.0, most_s: float = MAX_DURATION_S) -> float:
    """Seconds in `text`: `30s`, `250ms`, `5m`, `1h30m`, `1d`; a bare number is seconds.

    Raises:
        UsageError: `text` is not a duration, or not one from `least_s` to `most_s`.
    """
    seconds = _seconds(text.strip().replace("\u03bc", "µ"))
    if not least_s <= seconds <= most_s:
        most = f"{_power(most_s)} s"
        allowed = f"from {format_duration(least_s)} to {most}" if least_s else f"at most {most}"
        raise UsageError(f"{_shown(text)} must be {allowed}")
    return seconds


def _seconds(text: str) -> float:
    if _BARE.fullmatch(text):
        return float(text)
    seconds, at, unit_s = 0.0, 0, float("inf")
    while at < len(text):
        match = _PIECE.match(text, at)
        # Each unit once, the largest first: 5m1h is more likely a slip than 65 minutes.
        if match is None or _SECONDS[match[2]] >= unit_s:
            at = 0
            break
        at, unit_s = match.end(), _SECONDS[match[2]]
        seconds += float(match[1]) * unit_s
    if not at:
        raise UsageError(f"{_shown(text)} is not a duration: write 30s, 250ms, 5m or 1h30m")
    return seconds


def parse_rate_per_s(text: str) -> float:
    """Requests a second in `text`: `200`, `200/s`, `12k/min`; a bare number is a second's.

    Raises:
        UsageError: `text` is not a rate, or one above MAX_RATE_PER_S.
    """
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{_shown(text)} is not a rate: write 200, 200/s or 12k/min")
    per = {"sec": "s"}.get(match[3] or "s", match[3] or "s")
    rate_per_s = float(match[1]) * _FACTOR[match[2]] / _SECONDS[per]
    if rate_per_s > MAX_RATE_PER_S:
        raise UsageError(f"{_shown(text)} must be at most {_power(MAX_RATE_PER_S)} a second")
    return rate_per_s


def parse_option(option: str, parse: Callable[[str], T], text: str) -> T:
    """What `parse` reads in the text given to `option`.

    Raises:
        UsageError: it cannot be read; the message names the option.
    """
    try:
        return parse(text)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from None


def parse_number(text: str, what: str) -> float:
    """The number in `text`.

    Raises:
        UsageError: it is none; the message calls it `what`.
    """
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{what} is a number, not {text!r}") from None


def number(value: float | None) -> str:
    """`value` to three figures, but never fewer than all digits before the point."""
    if value is None:
        return NONE
    digits = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    return f"{value:,.{digits}f}"


def format_exact(value: float) -> str:
    """`value` in the fewest decimal digits that read back as the same float, never `1e-05`."""
    digits = repr(float(value))
    if math.isfinite(value):
        digits = format(Decimal(digits), "f")
    return digits.removesuffix(".0")


def format_digits(value: float, sign: str = "") -> str:
    """`value` in three significant digits and without an exponent: `9,410`; with `sign` "+", always
    with its sign.
    """
    return f"{float(f'{value:.3g}'):{sign},.10g}"


def parse_bytes(text: str) -> int:
    """Bytes in `text`: `64MiB`, `100MB`, `4096`; a bare number is bytes.

    Raises:
        UsageError: `text` is not a whole number of bytes.
    """
    match = _SIZE.fullmatch(text.strip())
    size = float(match[1]) * _BYTES[match[2].lower()] if match else 0.5
    if not size.is_integer() or size > MAX_BYTES:
        raise UsageError(f"{_shown(text)} is not a size: write 64MiB, 100MB or a number of bytes")
    return int(size)


_SHOWN = ((1e-3, 1e-6, "µs"), (1.0, 1e-3, "ms"), (120.0, 1.0, "s"), (7200.0, 60.0, "min"))


def format_duration(seconds: float) -> str:
    """`seconds` in the unit a person would choose, to three significant digits: `1.5 ms`."""
    rounded = float(f"{seconds:.3g}")  # before the unit is chosen: 999.9 µs are 1 ms
    length_s, unit = next(
        ((length_s, unit) for limit_s, length_s, unit in _SHOWN if rounded < limit_s),
        (3600.0, "h"),
    )
    return f"{format_digits(seconds / length_s)} {unit}"


def format_figure(value: float) -> str:
    """A rate or a time to four significant digits, without an exponent: `0.35`, `12,350`."""
    return f"{float(f'{value:.4g}'):,.12g}"


def format_clock(seconds: float) -> str:
    """`seconds` as a clock counts them down: `0:09`, `12:30`, `1:00:00`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_lag(value_us: float | None) -> str:
    """A lateness in µs, as every face words it: `85 µs`, `1.2 ms`, a dash where there is none."""
    return NONE if value_us is None else format_duration(value_us / 1e6)


def format_latency(value_ms: float | None) -> str:
    """A time in ms, worded alike: `1.2 ms`, `3 s`, a dash where there is none."""
    return NONE if value_ms is None else format_duration(value_ms / 1e3)


def _power(value: float) -> str:
    return f"{value:g}".replace("e+0", "e").replace("e+", "e")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
