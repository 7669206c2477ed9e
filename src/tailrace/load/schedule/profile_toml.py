"""Profiles in a TOML file: an expression, or a table a part.

    profile = "100..1000/60s,1000"

    profile = [
      {kind = "ramp", from = 100, to = "1000/s", over = "60s"},
      {kind = "burst", base = 1000, peak = 5000, every = "30s", peak_for = "2s", for = "10m"},
      {kind = "constant", rate = 1000},
    ]

The keys are those of the expression language, and `for` is a part's length: its `@`. So that the
two don't meet, the length of a burst is `peak_for` here.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from tailrace.errors import UsageError
from tailrace.load.schedule.profile import Profile, parse_profile
from tailrace.load.schedule.profile_text import (
    MAX_PARTS,
    TimedSegment,
    make_segment,
    parse_length_s,
)
from tailrace.load.schedule.segments import Ramp, format_number
from tailrace.untrusted import UnreadableError, open_file

_MAX_BYTES = 1 << 20


def read_profile(path: Path) -> Profile:
    """The profile under the key `profile` of a TOML file.

    Raises:
        UsageError: the file cannot be read, is not TOML, or has no profile.
    """
    try:
        with open_file(path.resolve(), _MAX_BYTES) as file:
            document = tomllib.loads(file.read(_MAX_BYTES).decode())
    except (OSError, ValueError, RecursionError, UnreadableError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read the profile {path}: {reason}") from None
    if "profile" not in document:
        raise UsageError(f"{path} has no key 'profile'")
    return profile_from_toml(document["profile"])


def profile_from_toml(value: object) -> Profile:
    """The profile that a TOML value describes: a string, a number, a table or an array of tables.

    Raises:
        UsageError: it describes none; the message names the part and the key.
    """
    if isinstance(value, str):
        return parse_profile(value)
    if isinstance(value, int | float):
        return parse_profile(_text(value, "profile"))
    tables = value if isinstance(value, list) else [value]
    if len(tables) > MAX_PARTS:
        raise UsageError(
            f"profile: {len(tables):,} parts are too many, at most {MAX_PARTS:,}: many rates are "
            "a trace"
        )
    if not tables:
        raise UsageError("profile: an array of no parts describes no rate")
    parts = []
    for number, table in enumerate(tables, start=1):
        where = f"profile, part {number}" if len(tables) > 1 else "profile"
        if not isinstance(table, Mapping):
            raise UsageError(f"{where}: expected a table such as {{kind = 'constant', rate = 100}}")
        try:
            part = _part({str(key): entry for key, entry in table.items()})
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None
        if part.length_s is None and number < len(tables):
            raise UsageError(f"{where} needs a length, as in for = '30s'")
        parts.append(part)
    return Profile.of_parts(parts)


def _part(table: dict[str, object]) -> TimedSegment:
    texts = {key: _text(entry, key) for key, entry in table.items()}
    kind = texts.pop("kind", None)
    if kind is None:
        raise UsageError("kind is missing: constant, ramp, sine, burst or trace")
    length = texts.pop("for", None)
    if kind == "burst":
        if "peak_for" not in texts:
            raise UsageError("burst needs peak_for, the length of a burst, as in '2s'")
        texts["for"] = texts.pop("peak_for")
    segment = make_segment(kind, texts)
    if length is not None:
        return TimedSegment(segment, parse_length_s(length))
    return TimedSegment(segment, segment.over_s if isinstance(segment, Ramp) else None)


def _text(entry: object, key: str) -> str:
    if isinstance(entry, str):
        return entry
    if isinstance(entry, int | float) and not isinstance(entry, bool):
        try:
            return format_number(float(entry))
        except OverflowError:
            raise UsageError(f"{key} is too large a number") from None
    raise UsageError(f"{key} must be a string or a number, not {entry!r}")
