"""What a server says of a request's time: the durations of a Server-Timing header (W3C)."""

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from tailrace.load.measure.histogram import IntArray
from tailrace.plain import plain

ABSENT = -1
"""Stands for a stage of which a header says nothing."""

_LONGEST_NAME = 64
_LONGEST_MS = 3_600_000.0
"""A histogram of times ends at an hour; a duration above it is no duration."""
MOST_ENTRIES = 128
"""Of one header: reading ever more of them would make the generator late."""

_DIGITS = b"0123456789."
_BESIDE_NUMBERS = bytes(set(range(256)) - set(_DIGITS + b",="))
_PLAIN = re.compile(
    rb"[A-Za-z_-]{1,%d};dur=(?:, ?[A-Za-z_-]{1,%d};dur=)*" % (_LONGEST_NAME, _LONGEST_NAME)
)
"""A header without its digits, if it is nothing but names and durations."""

_ENTRY = re.compile(
    rb"""
    ([^,;"]*+)                                                           # its name
    (?: ; (?! \s*+ dur \s*+ (?:[=;,]|$)) (?:[^,;"]++|QUOTED)*+ )*+       # what is before its dur
    (?: ; \s*+ dur \s*+ (?: = \s*+ (QUOTED|[^,;"\s]*+) )? )?+
    (?:[^,"]++|QUOTED)*+                                                 # what is behind it
    (?:,|$)
    """.replace(b"QUOTED", rb'"(?:[^"\\]|\\.)*+(?:"|\\?$)'),
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
"""An entry with all its parameters (W3C Server Timing, section 3), and the comma behind it."""
_OF_A_NUMBER = b"0123456789.eE+-"

MOST_STAGES = 64
"""As many are counted apart in a run."""
OTHER = f"(others, beyond {MOST_STAGES})"
"""The name under which further stages are counted together."""


class StageNames:
    """The stages that are counted apart in a run: the first so many that are named.

    A server that names ever new ones must not fill the memory of whoever measures it.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: set[str] = set()

    def known(self, name: str) -> str:
        """`name`, or OTHER if it comes too late."""
        if name in self._known:
            return name
        if len(self._known) == MOST_STAGES or name == OTHER:
            return OTHER
        self._known.add(name)
        return name


def read_header(header: bytes, names: StageNames) -> dict[str, int]:
    """Each stage's duration in ns, from `dur`, which is in ms; one that is named twice adds up.

    Several lines of the header are one, joined by commas (RFC 9110, 5.3). Of a parameter that is
    there twice the first one counts, even if it cannot be read. Entries without a duration are
    passed over, and those beyond MOST_ENTRIES: the header is the server's own word. Stages beyond
    those in `names` add up as OTHER.
    """
    found: dict[str, int] = {}
    for name, said in _ENTRY.findall(header)[:MOST_ENTRIES]:
        if said and (duration_ms := _read_ms(said)) is not None and (key := _read_name(name)):
            key = names.known(key)
            found[key] = found.get(key, 0) + int(duration_ms * 1e6)
    return found


def _read_ms(said: bytes) -> float | None:
    if said.startswith(b'"'):
        # A backslash only says that what follows stands for itself (RFC 9110, 5.6.4).
        said = said.strip(b'"').replace(b"\\", b"").strip()
    if said.translate(None, _OF_A_NUMBER):
        return None
    try:
        duration_ms = float(said)
    except ValueError:
        return None
    return duration_ms if 0 <= duration_ms <= _LONGEST_MS else None


@lru_cache(1024)
def _read_name(name: bytes) -> str:
    return plain(name.strip().decode(errors="replace"), _LONGEST_NAME)


def read_headers(headers: Sequence[bytes], names: StageNames) -> dict[str, IntArray]:
    """What `read_header` finds in each: int64 [headers] in ns by stage, ABSENT where it is not
    named.

    Headers of one shape are read together, which takes a fifth of the time.
    """
    count = len(headers)
    shapes = [header.translate(None, _DIGITS) for header in headers]
    found: dict[str, IntArray] = {}
    if shapes and shapes.count(shapes[0]) == count:
        groups = {shapes[0]: list(range(count))}
    else:
        groups = {}
        for row, shape in enumerate(shapes):
            groups.setdefault(shape, []).append(row)
    for shape, rows in groups.items():
        alike = headers if len(rows) == count else [headers[row] for row in rows]
        columns = _read_alike(shape, alike, names)
        if columns is None:
            for row, header in zip(rows, alike, strict=True):
                for name, span_ns in read_header(header, names).items():
                    _column(found, name, count)[row] = span_ns
        else:
            for name, spans_ns in columns.items():
                _column(found, name, count)[rows] = spans_ns
    return found


def _column(found: dict[str, IntArray], name: str, count: int) -> IntArray:
    if name not in found:
        found[name] = np.full(count, ABSENT, dtype=np.int64)
    return found[name]


def _read_alike(
    shape: bytes, headers: Sequence[bytes], names: StageNames
) -> dict[str, IntArray] | None:
    # None for what must be read one by one.
    if not _PLAIN.fullmatch(shape) or shape.count(b",") >= MOST_ENTRIES:
        return None
    said = [entry.partition(b";")[0].strip().decode() for entry in shape.split(b",")]
    numbers = b",".join(headers).translate(None, _BESIDE_NUMBERS).replace(b",=", b",")
    # A digit that does not follow the sign belongs to a name.
    if numbers.rfind(b"=") != 0:
        return None
    try:
        flat_ms = np.fromstring(numbers[1:], sep=",")
    except ValueError:
        return None
    if len(flat_ms) != len(headers) * len(said) or flat_ms.max() > _LONGEST_MS:
        return None
    spans_ns = (flat_ms.reshape(len(headers), len(said)) * 1e6).astype(np.int64)
    found: dict[str, IntArray] = {}
    for number, name in enumerate(map(names.known, said)):
        column = spans_ns[:, number]
        found[name] = found[name] + column if name in found else column
    return found
