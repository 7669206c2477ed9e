"""On which line of a TOML file a key stands; the standard library's parser does not tell."""

import tomllib
from bisect import bisect_left
from collections.abc import Sequence


def line_of(text: str, keys: Sequence[str | int]) -> int:
    """Number, from 1, of the line on which the statement begins that brings the value at `keys`
    into the document: names of tables, and numbers, from 0, into arrays.

    `text` is good TOML that has such a value. A beginning of it that ends with a statement is good
    TOML as well, and one that ends within a statement is not: so the line is the first one from
    which on every longer beginning has the value.
    """
    lines = text.replace("\r\n", "\n").split("\n")

    def is_there(count: int) -> bool:
        while True:
            try:
                return _has(tomllib.loads("\n".join(lines[:count])), keys)
            except tomllib.TOMLDecodeError:
                count += 1

    return bisect_left(range(len(lines)), True, key=is_there)


def _has(value: object, keys: Sequence[str | int]) -> bool:
    for key in keys:
        match value, key:
            case dict(), str() if key in value:
                value = value[key]
            case list(), int() if key < len(value):
                value = value[key]
            case _:
                return False
    return True
