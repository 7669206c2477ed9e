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
from dataclasses import dataclass, field
from functools import partial

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
from tailrace.units import format_exact, parse_duration_s, parse_number, parse_rate_per_s

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
    return list(_Reader(text, files).parts())


def join_parts(parts: Sequence[TimedSegment]) -> str:
    """The expression that `parse_parts` reads as these very parts."""
    return ",".join(map(_join, parts))


def _join(part: TimedSegment) -> str:
    segment, length_s = part.segment, part.length_s
    own = segment.over_s if isinstance(segment, Ramp) else None
    if length_s is None or length_s == own:
        return segment.expression
    return f"{segment.expression}@{format_exact(length_s)}s"


class _PlacedError(UsageError):
    """An error that names its place in the expression."""


class _Reader:
    """Reads one expression; `at` is always where in it a piece begins."""

    def __init__(self, text: str, files: Files) -> None:
        self._text = text
        self._files = files

    def parts(self) -> Iterator[TimedSegment]:
        pieces = list(self._split(self._text, ",", 0))
        if len(pieces) > MAX_PARTS:
            raise UsageError(
                f"a profile of {len(pieces):,} parts is too long, at most {MAX_PARTS:,}: many "
                "rates are a trace(FILE)"
            )
        for number, (offset, piece) in enumerate(pieces, start=1):
            at = offset + len(piece) - len(piece.lstrip())
            try:
                if not piece.strip():
                    raise UsageError("a rate is missing here, as in 200")
                part = self._part(piece.strip(), at)
            except _PlacedError:
                raise
            except UsageError as error:
                raise self._error(str(error), at) from None
            if part.length_s is None and number < len(pieces):
                name = " ".join(piece.split())
                raise self._error(f"{name!r} needs a length, as in {name}@30s", at)
            yield part

    def _error(self, reason: str, at: int) -> _PlacedError:
        around = self._text
        if len(around) > _SHOWN:
            begin = max(at - _SHOWN // 2, 0)
            around = f"{'…' * (begin > 0)}{around[begin : begin + _SHOWN]}…"
        return _PlacedError(f"profile {around!r}: {reason} (at character {at + 1})")

    def _split(
        self, piece: str, separator: str, at: int, in_call: bool = False
    ) -> Iterator[tuple[int, str]]:
        """(where it begins, part) of what `separator` parts outside parentheses and strings."""
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
                    raise self._error("this parenthesis closes nothing", at + place)
            elif letter == separator and depth == 0:
                yield at + start, piece[start:place]
                start = place + 1
        if quoted:
            raise self._error("this quote is not closed", at + opened)
        if depth:
            raise self._error("this parenthesis is not closed", at + opened)
        yield at + start, piece[start:]

    def _part(self, part: str, at: int) -> TimedSegment:
        (_, shape), *lengths = self._split(part, "@", at)
        if len(lengths) > 1:
            raise self._error(f"{part!r} has two lengths", lengths[1][0] - 1)
        segment = self._shape(shape.rstrip(), at)
        for offset, length in lengths:
            try:
                return TimedSegment(segment, _parse_length_s(length))
            except UsageError as error:
                raise self._error(str(error), offset) from None
        return TimedSegment(segment, segment.over_s if isinstance(segment, Ramp) else None)

    def _shape(self, shape: str, at: int) -> Segment:
        if call := _CALL.fullmatch(shape):
            return self._called(call[1].lower(), call[2], at + call.start(2))
        if ".." in shape:
            return self._ramp(shape, at)
        return ConstantRate(parse_rate_per_s(shape))

    def _ramp(self, shape: str, at: int) -> Ramp:
        start, _, rest = shape.partition("..")
        dots = at + len(start)
        if not rest.strip():
            reason = "the ramp needs an end and a duration, as in 100..1000/60s"
            raise self._error(reason, dots)
        end, slash, over = rest.rpartition("/")
        try:
            over_s = _parse_length_s(over)
        except UsageError:
            slash = ""
        if not slash or not end.strip():
            shown = " ".join(f"{start}..{rest}".split())
            raise self._error(f"the ramp needs a duration, as in {shown}/60s", dots + 2)
        return Ramp(parse_rate_per_s(start), parse_rate_per_s(end), over_s)

    def _called(self, name: str, inside: str, at: int) -> Segment:
        if name not in KINDS:
            near = difflib.get_close_matches(name, KINDS, 1)
            hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(KINDS)}"
            raise UsageError(f"there is no profile {name!r}: {hint}")
        kind = KINDS[name]
        values: dict[str, str] = {}
        for offset, piece in self._split(inside, ",", at, in_call=True):
            key, equals, value = (each.strip() for each in piece.partition("="))
            if name == "trace" and not values:
                key, value = "file", self._file_name(piece.strip(), offset)
            elif not equals or not value:
                reason = f"{piece.strip()!r} is not key=value, as in {kind.example}"
                raise self._error(reason, offset)
            if key in values:
                raise self._error(f"{key!r} is given twice", offset)
            if key not in kind.takes:
                raise UsageError(f"{name} has no {key!r}: it takes {', '.join(kind.takes)}")
            values[key] = value
        missing = [key for key in kind.takes if key not in values | kind.usual]
        if missing:
            raise UsageError(f"{name} needs {', '.join(missing)} as well, as in {kind.example}")
        read = [parse((kind.usual | values)[key]) for key, parse in kind.takes.items()]
        return kind.make(self._files, *read) if name == "trace" else kind.make(*read)

    def _file_name(self, name: str, at: int) -> str:
        if not name.startswith('"'):
            return name
        try:
            return str(json.loads(name))
        except ValueError:
            raise self._error(f"{name!r} is not a JSON string", at) from None


def _parse_length_s(text: str) -> float:
    return parse_duration_s(text, most_s=MAX_LENGTH_S)


def _trace(files: Files, file: str, scale: float, speed: float, unit: str) -> Segment:
    check_factors(scale, speed)
    path, name = files.find(file)
    trace = read_trace(path, unit=unit or None)
    return RateTrace.of(trace, name, unit or None, scale, speed)


@dataclass(frozen=True, slots=True)
class SegmentKind:
    """A function of a profile, `KIND(KEY=VALUE,…)`."""

    example: str
    make: Callable[..., Segment]
    """Of the values, in the order of `takes`."""
    takes: dict[str, Callable[[str], object]]
    """How the value of each key is read."""
    usual: dict[str, str] = field(default_factory=dict)
    """What holds where a key is not given."""


_RATE, _LENGTH = parse_rate_per_s, _parse_length_s
_SCALE, _SPEED = partial(parse_number, what="scale"), partial(parse_number, what="speed")
_PHASE = partial(parse_number, what="phase")

KINDS = {
    "constant": SegmentKind("constant(rate=200)", ConstantRate, {"rate": _RATE}),
    "ramp": SegmentKind(
        "ramp(from=100,to=1000,over=60s)", Ramp, {"from": _RATE, "to": _RATE, "over": _LENGTH}
    ),
    "sine": SegmentKind(
        "sine(mean=300,amp=200,period=120s)",
        Sine,
        {"mean": _RATE, "amp": _RATE, "period": _LENGTH, "phase": _PHASE},
        {"phase": "0"},
    ),
    "burst": SegmentKind(
        "burst(base=100,peak=1000,every=30s,for=2s)",
        Burst,
        {"base": _RATE, "peak": _RATE, "every": _LENGTH, "for": _LENGTH},
    ),
    "trace": SegmentKind(
        "trace(rates.csv)",
        _trace,
        {"file": str, "scale": _SCALE, "speed": _SPEED, "unit": str},
        {"scale": "1", "speed": "1", "unit": ""},
    ),
}
"""All functions that a profile knows, by name."""
