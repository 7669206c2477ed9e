"""The interface's types as JSON, the same for server and client: files' paths are strings."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class ErrorAnswer(msgspec.Struct, frozen=True):
    """What is answered where something went wrong: a line for a person, a class for a program."""

    error: str
    type: str


def encode(value: object) -> bytes:
    """`value`, made of the interface's types, as JSON."""
    return msgspec.json.encode(value, enc_hook=_plain)


def decode(data: bytes, kind: type[T]) -> T:
    """The `kind` that `data` is.

    Raises:
        msgspec.DecodeError: it is not JSON, or not of that kind.
    """
    return msgspec.json.decode(data, type=kind, dec_hook=_restored)


def fields_of(value: msgspec.Struct) -> dict[str, Any]:
    """The fields of `value` as `encode` would have them."""
    fields: dict[str, Any] = msgspec.to_builtins(value, enc_hook=_plain)
    return fields


def convert(fields: object, kind: type[T]) -> T:
    """The `kind` that `fields`, decoded JSON, describes.

    Raises:
        msgspec.ValidationError: it describes none.
    """
    return msgspec.convert(fields, kind, dec_hook=_restored, str_keys=True)


def _plain(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} is no type of the interface")


def _restored(kind: type[Any], value: object) -> Path:
    if kind is not Path:
        raise NotImplementedError(f"{kind.__name__} is no type of the interface")
    if not isinstance(value, str):
        raise TypeError("a path is a string")
    if not value or "\0" in value:
        raise ValueError("a path must not be empty, nor hold a zero byte")
    return Path(value)
