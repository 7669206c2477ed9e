"""Instants as recordings write them, as whole nanoseconds."""

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal, InvalidOperation

UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
"""Nanoseconds of each unit of numbers."""
LIMIT_NS = 2**63 - 1
"""1970 to 2262 in 64 bits."""
_BEYOND_S = 10**10
"""Seconds since 1970 until 2286: a larger number is of a smaller unit."""
_DATE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9})\d*)?)?)?"
    r"\s*(?:[Zz]|(?:([+-])(\d\d):?(\d\d)?))?"
)
_SECOND = len("2024-05-10 13:00:01")

Read = Callable[[str], int]
"""Nanoseconds of a text; raises ValueError where it is none, OverflowError beyond LIMIT_NS."""


def is_number(text: str) -> bool:
    """Whether `text` is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_date(text: str) -> bool:
    """Whether `text` is a date, or a date and time."""
    return _DATE.fullmatch(text.strip()) is not None


def meant_unit(text: str) -> str | None:
    """The unit that a number can only have, if it is an instant and not of seconds."""
    value = abs(float(text))
    beyond = (unit for unit, ns in UNITS.items() if _BEYOND_S <= value < _BEYOND_S * 10**9 // ns)
    return next(beyond, None)


def reader(unit: str) -> Read:
    """Reads numbers of that unit, exactly."""
    factor = UNITS[unit]
    zeros = str(factor)[1:]

    def read(text: str) -> int:
        whole, _, part = text.partition(".")
        if whole.isdecimal() and (not part or part.isdecimal()):
            value = int(whole) * factor + int((part + zeros)[: len(zeros)] or 0)
        else:
            value = _exact(text, factor)
        if abs(value) > LIMIT_NS:
            raise OverflowError
        return value

    return read


def date_reader() -> Read:
    """Reads dates and times, to a nanosecond; one without a zone is of UTC."""
    known, known_ns, known_zone = "", 0, ""

    def read(text: str) -> int:
        nonlocal known, known_ns, known_zone
        text = text.strip()
        rest = text[_SECOND:]
        part = rest[1 : len(rest) - len(known_zone)]
        # Most are of the same second as the one before.
        same = text[:_SECOND] == known and rest.endswith(known_zone)
        if same and rest[:1] in (".", ",") and part.isdecimal():
            return known_ns + int((part + "000000000")[:9])
        value = _instant(text)
        match = _DATE.fullmatch(text)
        if match is not None and match[7] is not None:
            known, known_zone = text[:_SECOND], text[match.end(7) :]
            known_ns = value - int((match[7] + "000000000")[:9])
        return value

    return read


def _exact(text: str, factor: int) -> int:
    try:
        value = Decimal(text.strip().replace("_", "x"))
        # Before it is written out: 1e999999 has a million digits.
        if not value.is_finite() or value.adjusted() > 30:
            raise OverflowError if value.is_finite() else ValueError(text)
        return int((value * factor).to_integral_value())
    except InvalidOperation:
        raise ValueError(text) from None


def _instant(text: str) -> int:
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    hour, minute, second = (int(part or 0) for part in match.group(4, 5, 6))
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError(text)
    days = date(*map(int, match.group(1, 2, 3))).toordinal() - date(1970, 1, 1).toordinal()
    away_min = int(match[9] or 0) * 60 + int(match[10] or 0)
    if match[8] == "-":
        away_min = -away_min
    seconds = ((days * 24 + hour) * 60 + minute - away_min) * 60 + second
    value = seconds * 10**9 + int(((match[7] or "") + "000000000")[:9])
    if abs(value) > LIMIT_NS:
        raise OverflowError
    return value
