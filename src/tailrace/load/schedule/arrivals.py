"""Arrivals by name, and each worker's share of them.

The processes themselves are in processes.py, recorded ones in replay.py.
"""

import difflib
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import TypeVar
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray

from tailrace.errors import UsageError
from tailrace.load.schedule.processes import CHUNK, Arrivals, Constant, Gamma, Mmpp, Poisson
from tailrace.load.schedule.replay import Replay

__all__ = [
    "CHUNK",
    "Arrivals",
    "Constant",
    "Gamma",
    "Mmpp",
    "Poisson",
    "Replay",
    "parse_arrivals",
    "share",
]

S = TypeVar("S", bound=np.generic)


def parse_arrivals(text: str, scale: float = 1.0, speed: float = 1.0) -> Arrivals:
    """The arrival process `text` describes.

    `constant`, `poisson`, `gamma:CV`, `mmpp:low=1,high=8,low_for=1000,high_for=100` or
    `trace:FILE[?scale=2&speed=10&column=NAME&unit=ms]`. `scale` and `speed` multiply those
    of a trace; other arrivals take none.

    Raises:
        UsageError: there is no such process, a value is missing or unusable, or a trace's file is.
    """
    kind, colon, rest = text.strip().partition(":")
    kind = kind.strip().lower()
    if kind not in _KINDS:
        near = difflib.get_close_matches(kind, _KINDS, 1)
        hint = f"did you mean {near[0]}? There are" if near else "choose from"
        raise UsageError(f"unknown arrivals {text!r}: {hint} {', '.join(_EXAMPLES)}")
    if kind == "trace":
        return _parse_trace(rest, scale, speed)
    if scale != 1 or speed != 1:
        raise UsageError(f"scale and speed belong to a trace; {kind} arrivals take the rate alone")
    if colon and kind in ("constant", "poisson"):
        raise UsageError(f"{kind} arrivals take no {rest!r}")
    try:
        return _KINDS[kind](rest)
    except UsageError as error:
        raise UsageError(f"arrivals {text!r}: {error}") from None


def share(chunks: Iterator[NDArray[S]], worker: int, workers: int) -> Iterator[NDArray[S]]:
    """Worker `worker`'s part of a sequence with a value for each arrival: that of every arrival
    whose number is ≡ worker (mod workers).

    The union over all workers is the sequence itself, whatever their number.
    """
    first = 0
    for chunk in chunks:
        yield chunk[(worker - first) % workers :: workers]
        first += len(chunk)


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{name} is a number, not {text!r}") from None


def _parse_gamma(rest: str) -> Gamma:
    if not rest.strip():
        raise UsageError("gamma needs its coefficient of variation, as in gamma:2")
    return Gamma(_number(rest, "the coefficient of variation"))


def _parse_mmpp(rest: str) -> Mmpp:
    values: dict[str, float] = {}
    for pair in rest.split(",") if rest.strip() else ():
        key, equals, value = (piece.strip() for piece in pair.partition("="))
        if not equals or key not in _MMPP_KEYS or key in values:
            trouble = "is given twice" if key in values else "is not one of its keys with a value"
            raise UsageError(f"{pair.strip()!r} {trouble}, as in {_MMPP_EXAMPLE}")
        values[key] = _number(value, key)
    missing = [key for key in _MMPP_KEYS if key not in values]
    if missing:
        raise UsageError(f"mmpp needs {', '.join(missing)} as well, as in {_MMPP_EXAMPLE}")
    return Mmpp(**values)


def _parse_trace(rest: str, scale: float, speed: float) -> Replay:
    path, question, query = rest.rpartition("?")
    if not question:
        path, query = rest, ""
    if not path.strip():
        raise UsageError("trace needs a file, as in trace:arrivals.csv")
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = options.keys() - {"scale", "speed", "column", "unit"}
    if unknown:
        raise UsageError(f"a trace has no option {min(unknown)!r}: scale, speed, column and unit")
    return Replay.read(
        path.strip(),
        options.get("column"),
        options.get("unit"),
        scale * _number(options.get("scale", "1"), "scale"),
        speed * _number(options.get("speed", "1"), "speed"),
    )


_MMPP_KEYS = tuple(field.name for field in fields(Mmpp))
_MMPP_EXAMPLE = "mmpp:low=1,high=8,low_for=1000,high_for=100"
_EXAMPLES = ("constant", "poisson", "gamma:CV", _MMPP_EXAMPLE, "trace:FILE")
_KINDS: dict[str, Callable[[str], Arrivals]] = {
    "constant": lambda _: Constant(),
    "poisson": lambda _: Poisson(),
    "gamma": _parse_gamma,
    "mmpp": _parse_mmpp,
    "trace": lambda rest: _parse_trace(rest, 1.0, 1.0),
}
