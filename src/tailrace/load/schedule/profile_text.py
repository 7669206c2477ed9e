"""The language of profiles, as text.

    profile   = part { "," part }
    part      = shape [ "@" LENGTH ]       every part but the last needs a length; a ramp has one
    shape     = RATE                       200  200/s  12k/min
              | RATE ".." RATE "/" LENGTH  a ramp: 100..1000/60s
              | KIND "(" KEY "=" VALUE { "," KEY "=" VALUE } ")"
              | "trace(" FILE { "," KEY "=" VALUE } ")"

A FILE whose name holds a comma, a parenthesis or a quote is written as a JSON string. A length
given to the last part changes nothing: that part goes on for as long as the run does.
"""

import difflib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tailrace.errors import UsageError
from tailrace.load.schedule.segments import (
    MAX_LENGTH_S,
    Burst,
    ConstantRate,
    Ramp,
    Segment,
    Sine,
)
from tailrace.load.schedule.trace import RateTrace, check_factors
from tailrace.load.schedule.trace_file import ANY_FILE, Files, read_trace
from tailrace.units import format_exact, parse_duration_s, parse_rate_per_s

MAX_PARTS = 1000
"""A live change makes each worker read them between two requests."""
_MAX_LENGTH = 100_000
_SHOWN = 200
"""Of an expression's characters, in an error."""
_CALL = re.compile(r"\s*([A-Za-z_]*)\s*\((.*)\)\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TimedSegment:
    """A segment and how long it lasts, in seconds; None: as long as the run."""

    segment: Segment
    length_s: float | None


def parse_parts(text: str, files: Files = ANY_FILE) -> list[TimedSegment]:
    """The parts of a profile expression, in order; only the last may have no length.

    Raises:
        UsageError: the expression cannot be read; the message says which part and where.
    """
    if len(text) > _MAX_LENGTH:
        raise UsageError(
            f"a profile of {len(text):,} characters is too long, at most {_MAX_LENGTH:,}: "
            "many rates are a trace(FILE)"
        )
    pieces = list(_split(text, ",", text, 0))
    if len(pieces) > MAX_PARTS:
        raise UsageError(
            f"a profile of {len(pieces):,} parts is too long, at most {MAX_PARTS:,}: many rates "
            "are a trace(FILE)"
        )
    parts: list[TimedSegment] = []
    for number, (offset, piece) in enumerate(pieces, start=1):
        at = offset + len(piece) - len(piece.lstrip())
        try:
            if not piece.strip():
                raise UsageError("a rate is missing here, as in 200")
            part = _parse_part(piece.strip(), text, at, files)
        except UsageError as error:
            if isinstance(error, _PlacedError):
                raise
            raise _PlacedError(text, str(error), at) from None
        if part.length_s is None and number < len(pieces):
            name = " ".join(piece.split())
            raise _PlacedError(text, f"{name!r} needs a length, as in {name}@30s", at)
        parts.append(part)
    return parts


def join_parts(parts: Sequence[TimedSegment]) -> str:
    """The expression that `parse_parts` reads as these very parts."""
    return ",".join(_join(part) for part in parts)


def _make_segment(kind: str, values: dict[str, str], files: Files) -> Segment:
    known = KINDS[kind]
    for key in values:
        if key not in (*known.needed, *known.optional):
            takes = ", ".join((*known.needed, *known.optional))
            raise UsageError(f"{kind} has no {key!r}: it takes {takes}")
    missing = [key for key in known.needed if key not in values]
    if missing:
        raise UsageError(f"{kind} needs {', '.join(missing)} as well, as in {known.example}")
    return known.make(values, files)


def _parse_length_s(text: str) -> float:
    return parse_duration_s(text, most_s=MAX_LENGTH_S)


class _PlacedError(UsageError):
    """An error that names its place in the expression."""

    def __init__(self, text: str, reason: str, offset: int) -> None:
        around = text
        if len(text) > _SHOWN:
            begin = max(offset - _SHOWN // 2, 0)
            around = f"{'…' * (begin > 0)}{text[begin : begin + _SHOWN]}…"
        super().__init__(f"profile {around!r}: {reason} (at character {offset + 1})")


def _split(
    piece: str, separator: str, text: str, offset: int, in_call: bool = False
) -> Iterator[tuple[int, str]]:
    """(offset in `text`, part) of what `separator` parts outside parentheses and strings."""
    depth, start, quoted, escaped = 0, 0, False, False
    opened = 0
    for place, letter in enumerate(piece):
        if escaped or quoted:
            quoted = escaped or letter != '"'
            escaped = not escaped and letter == "\\"
        elif letter == '"' and (depth or in_call):
            quoted, opened = True, place
        elif letter == "(":
            depth, opened = depth + 1, place
        elif letter == ")":
            depth -= 1
            if depth < 0:
                raise _PlacedError(text, "this parenthesis closes nothing", offset + place)
        elif letter == separator and depth == 0:
            yield offset + start, piece[start:place]
            start = place + 1
    if quoted:
        raise _PlacedError(text, "this quote is not closed", offset + opened)
    if depth:
        raise _PlacedError(text, "this parenthesis is not closed", offset + opened)
    yield offset + start, piece[start:]


def _parse_part(part: str, text: str, at: int, files: Files) -> TimedSegment:
    (_, shape), *lengths = _split(part, "@", text, at)
    if len(lengths) > 1:
        raise _PlacedError(text, f"{part!r} has two lengths", lengths[1][0] - 1)
    segment = _parse_shape(shape.rstrip(), text, at, files)
    if lengths:
        offset, length = lengths[0]
        try:
            return TimedSegment(segment, _parse_length_s(length))
        except UsageError as error:
            raise _PlacedError(text, str(error), offset) from None
    return TimedSegment(segment, segment.over_s if isinstance(segment, Ramp) else None)


def _parse_shape(shape: str, text: str, at: int, files: Files) -> Segment:
    call = _CALL.fullmatch(shape)
    if call is not None:
        kind = call[1].lower()
        _check_kind(kind)
        return _make_segment(kind, dict(_values(kind, call[2], text, at + call.start(2))), files)
    if ".." in shape:
        return _parse_ramp(shape, text, at)
    return ConstantRate(parse_rate_per_s(shape))


def _parse_ramp(shape: str, text: str, at: int) -> Ramp:
    start, _, rest = shape.partition("..")
    dots = at + len(start)
    if not rest.strip():
        reason = "the ramp needs an end and a duration, as in 100..1000/60s"
        raise _PlacedError(text, reason, dots)
    end, slash, over = rest.rpartition("/")
    try:
        over_s = _parse_length_s(over)
    except UsageError:
        slash = ""
    if not slash or not end.strip():
        shown = " ".join(f"{start}..{rest}".split())
        reason = f"the ramp needs a duration, as in {shown}/60s"
        raise _PlacedError(text, reason, dots + 2)
    return Ramp(parse_rate_per_s(start), parse_rate_per_s(end), over_s)


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(KINDS)}"
        raise UsageError(f"there is no profile {kind!r}: {hint}")


def _values(kind: str, inside: str, text: str, at: int) -> Iterator[tuple[str, str]]:
    seen = set()
    for number, (offset, piece) in enumerate(_split(inside, ",", text, at, in_call=True)):
        key, equals, value = piece.partition("=")
        key, value = key.strip(), value.strip()
        if kind == "trace" and number == 0:
            key, value = "file", _file_name(piece.strip(), text, offset)
        elif not equals or not value:
            reason = f"{piece.strip()!r} is not key=value, as in {KINDS[kind].example}"
            raise _PlacedError(text, reason, offset)
        if key in seen:
            raise _PlacedError(text, f"{key!r} is given twice", offset)
        seen.add(key)
        yield key, value


def _file_name(name: str, text: str, at: int) -> str:
    if not name.startswith('"'):
        return name
    try:
        return str(json.loads(name))
    except ValueError:
        raise _PlacedError(text, f"{name!r} is not a JSON string", at) from None


def _join(part: TimedSegment) -> str:
    segment, length_s = part.segment, part.length_s
    own = segment.over_s if isinstance(segment, Ramp) else None
    if length_s is None or length_s == own:
        return segment.expression
    return f"{segment.expression}@{format_exact(length_s)}s"


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{what} is a number, not {text!r}") from None


def _sine(values: dict[str, str], _: Files) -> Segment:
    return Sine(
        parse_rate_per_s(values["mean"]),
        parse_rate_per_s(values["amp"]),
        _parse_length_s(values["period"]),
        _number(values.get("phase", "0"), "phase"),
    )


def _burst(values: dict[str, str], _: Files) -> Segment:
    return Burst(
        parse_rate_per_s(values["base"]),
        parse_rate_per_s(values["peak"]),
        _parse_length_s(values["every"]),
        _parse_length_s(values["for"]),
    )


def _ramp(values: dict[str, str], _: Files) -> Segment:
    return Ramp(
        parse_rate_per_s(values["from"]),
        parse_rate_per_s(values["to"]),
        _parse_length_s(values["over"]),
    )


def _trace(values: dict[str, str], files: Files) -> Segment:
    (path, name), unit = files.find(values["file"]), values.get("unit")
    scale = _number(values.get("scale", "1"), "scale")
    speed = _number(values.get("speed", "1"), "speed")
    check_factors(scale, speed)
    return RateTrace.of(read_trace(path, unit=unit), name, unit, scale, speed)


@dataclass(frozen=True, slots=True)
class Kind:
    """A function of a profile, `KIND(KEY=VALUE,…)`."""

    example: str
    make: Callable[[dict[str, str], Files], Segment]
    """Of the values, by key."""
    needed: tuple[str, ...]
    optional: tuple[str, ...] = ()


KINDS = {
    "constant": Kind(
        "constant(rate=200)",
        lambda values, _: ConstantRate(parse_rate_per_s(values["rate"])),
        ("rate",),
    ),
    "ramp": Kind("ramp(from=100,to=1000,over=60s)", _ramp, ("from", "to", "over")),
    "sine": Kind(
        "sine(mean=300,amp=200,period=120s)", _sine, ("mean", "amp", "period"), ("phase",)
    ),
    "burst": Kind(
        "burst(base=100,peak=1000,every=30s,for=2s)", _burst, ("base", "peak", "every", "for")
    ),
    "trace": Kind("trace(rates.csv)", _trace, ("file",), ("scale", "speed", "unit")),
}
"""All functions that a profile knows, by name."""
