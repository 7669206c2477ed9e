"""What a server says of a request's time: the durations of a Server-Timing header (W3C)."""

import re
from collections.abc import Sequence

import numpy as np

from tailrace.load.histogram import IntArray

ABSENT = -1
"""Stands for a stage of which a header says nothing."""

_LONGEST_MS = 1e9
"""No request takes eleven days; a duration above it is no duration."""

_DIGITS = b"0123456789."
_BESIDE_NUMBERS = bytes(set(range(256)) - set(_DIGITS + b",="))
_PLAIN = re.compile(rb"[A-Za-z_-]+;dur=(?:, ?[A-Za-z_-]+;dur=)*")
"""A header without its digits, if it is nothing but names and durations."""


def read_header(header: bytes) -> dict[str, int]:
    """Each stage's duration in ns, from `dur`, which is in ms; one that is named twice adds up.

    Entries that cannot be read are passed over: the header is the server's own word.
    """
    found: dict[str, int] = {}
    for entry in header.split(b","):
        name, _, parameters = entry.partition(b";")
        _, said, duration = parameters.partition(b"dur=")
        if not said:
            continue
        try:
            duration_ms = float(duration.partition(b";")[0])
            key = name.strip().decode("ascii")
        except ValueError:
            continue
        if 0 <= duration_ms <= _LONGEST_MS:
            found[key] = found.get(key, 0) + int(duration_ms * 1e6)
    return found


def read_headers(headers: Sequence[bytes]) -> dict[str, IntArray]:
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
        columns = _read_alike(shape, alike)
        if columns is None:
            for row, header in zip(rows, alike, strict=True):
                for name, span_ns in read_header(header).items():
                    _column(found, name, count)[row] = span_ns
        else:
            for name, spans_ns in columns.items():
                _column(found, name, count)[rows] = spans_ns
    return found


def _column(found: dict[str, IntArray], name: str, count: int) -> IntArray:
    if name not in found:
        found[name] = np.full(count, ABSENT, dtype=np.int64)
    return found[name]


def _read_alike(shape: bytes, headers: Sequence[bytes]) -> dict[str, IntArray] | None:
    # None for what must be read one by one.
    if not _PLAIN.fullmatch(shape):
        return None
    names = [entry.partition(b";")[0].strip().decode() for entry in shape.split(b",")]
    numbers = b",".join(headers).translate(None, _BESIDE_NUMBERS).replace(b",=", b",")
    # A digit that does not follow the sign belongs to a name.
    if numbers.rfind(b"=") != 0:
        return None
    try:
        flat_ms = np.fromstring(numbers[1:], sep=",")
    except ValueError:
        return None
    if len(flat_ms) != len(headers) * len(names) or flat_ms.max() > _LONGEST_MS:
        return None
    spans_ns = (flat_ms.reshape(len(headers), len(names)) * 1e6).astype(np.int64)
    found: dict[str, IntArray] = {}
    for number, name in enumerate(names):
        column = spans_ns[:, number]
        found[name] = found[name] + column if name in found else column
    return found
