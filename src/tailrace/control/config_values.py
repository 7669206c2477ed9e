"""The values of a configuration file's keys: each is read, and found usable, by a ValueReader."""

import json
import os
import re
import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tailrace.errors import UsageError
from tailrace.load.client.request import check_headers
from tailrace.load.client.target import parse_target
from tailrace.load.judge.ending import parse_abort_on
from tailrace.load.judge.slo import parse_slo
from tailrace.load.schedule.arrivals import parse_arrivals
from tailrace.load.schedule.profile_toml import profile_from_toml
from tailrace.units import MAX_RATE_PER_S, parse_duration_s, parse_rate_per_s

ValueReader = Callable[[object, Path], Any]
"""What is meant by a TOML value, relative paths starting at the given folder; raises UsageError."""

_TRACE = re.compile(r'(\btrace\s*\(\s*)("(?:[^"\\]|\\.)*"|[^,()"]+)', re.IGNORECASE)
"""In a profile's expression: a trace and the name of its file."""


def read_text(value: object, _: Path) -> str:
    """A string that is not empty."""
    if not isinstance(value, str) or not value:
        raise UsageError(f"expected a string, not {_shown(value)}")
    return value


def read_texts(value: object, base: Path) -> tuple[str, ...]:
    """A string, or an array of them."""
    return tuple(read_text(item, base) for item in (value if isinstance(value, list) else [value]))


def read_bool(value: object, _: Path) -> bool:
    """`true` or `false`."""
    if not isinstance(value, bool):
        raise UsageError(f"expected true or false, not {_shown(value)}")
    return value


def read_count(least: int, most: int) -> ValueReader:
    """A reader of whole numbers from `least` to `most`."""

    def read(value: object, _: Path) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise UsageError(f"expected a whole number from {least} to {most}, not {_shown(value)}")
        return value

    return read


read_port = read_count(0, 65535)


def read_duration_s(least_s: float) -> ValueReader:
    """A reader of durations of at least `least_s`, as seconds: `"10s"`, `"5m"` or a number."""

    def read(value: object, _: Path) -> float:
        seconds = parse_duration_s(value) if isinstance(value, str) else _number(value, "duration")
        if not least_s <= seconds <= 1e9:
            raise UsageError(
                f"expected a duration from {least_s:g} s to 1e9 s, not {_shown(value)}"
            )
        return seconds

    return read


def read_rate(value: object, _: Path) -> float:
    """Requests a second, more than 0: `"50k/s"` or a number."""
    rate = parse_rate_per_s(value) if isinstance(value, str) else _number(value, "rate")
    if not 0 < rate <= MAX_RATE_PER_S:
        raise UsageError(f"expected a rate above 0 and at most 1e12, not {_shown(value)}")
    return rate


def read_path(value: object, base: Path) -> Path:
    """A path."""
    text = read_text(value, base)
    if "\0" in text:
        raise UsageError("a path has no zero byte")
    return base / text


def read_present(value: object, base: Path) -> Path:
    """A path of something that is there."""
    path = read_path(value, base)
    try:
        path.stat()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    return path


def read_url(value: object, base: Path) -> str:
    """A URL that can be put under load."""
    url = read_text(value, base)
    parse_target(url)
    return url


def read_headers(value: object, base: Path) -> dict[str, str]:
    """A table of strings."""
    if not isinstance(value, dict):
        raise UsageError(f"expected a table such as {{Accept = 'image/jpeg'}}, not {_shown(value)}")
    headers = {name: read_text(text, base) for name, text in value.items()}
    check_headers(list(headers.items()))
    return headers


def read_slos(value: object, base: Path) -> tuple[str, ...]:
    """An SLO, or an array of them."""
    return tuple(parse_slo(text).expression for text in read_texts(value, base))


def read_aborts(value: object, base: Path) -> tuple[str, ...]:
    """When to give a run up, or an array of such."""
    return tuple(parse_abort_on(text).expression for text in read_texts(value, base))


def read_arrivals(value: object, base: Path) -> str:
    """Arrivals, as `tailrace load --arrivals` takes them."""
    text = read_text(value, base)
    kind, colon, file = text.partition(":")
    if colon and kind.strip().lower() == "trace" and file.strip():
        text = f"trace:{os.path.join(base, file.strip())}"  # noqa: PTH118 (keeps a query's slashes)
    parse_arrivals(text)
    return text


def read_profile(value: object, base: Path) -> str:
    """A profile, as an expression: a string, a number, or tables as profile_toml.py has them."""
    match value:
        case str():
            value = _TRACE.sub(lambda match: match[1] + _traced(match[2], base), value)
        case dict():
            value = _part(value, base)
        case list():
            value = [_part(part, base) for part in value]
    profile = profile_from_toml(value)
    return value if isinstance(value, str) else profile.expression


def _part(part: object, base: Path) -> object:
    if isinstance(part, dict) and isinstance(part.get("file"), str):
        return {**part, "file": str(base / part["file"])}
    return part


def _traced(name: str, base: Path) -> str:
    try:
        file = json.loads(name) if name.startswith('"') else name.strip()
    except ValueError:
        return name
    return json.dumps(str(base / file))


def _number(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"expected a {what}, not {_shown(value)}")
    try:
        return float(value)
    except OverflowError:
        raise UsageError(f"{what} is too large a number") from None


def _shown(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return "a table"
        case list():
            return "an array"
        case int() if abs(value) >= 2**63:
            return "a number beyond 64 bits"
        case _:
            return reprlib.repr(value) if isinstance(value, str) else str(value)
