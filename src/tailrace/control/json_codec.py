"""The interface's types as JSON, the same for server and client: files' paths are strings."""

from typing import Any, TypeVar

import msgspec

from tailrace.load.config import of_path, to_path

T = TypeVar("T")


class ErrorAnswer(msgspec.Struct, frozen=True):
    """What is answered where something went wrong: a line for a person, a class for a program."""

    error: str
    type: str


def encode(value: object) -> bytes:
    """`value`, made of the interface's types, as JSON."""
    return msgspec.json.encode(value, enc_hook=of_path)


def decode(data: bytes, kind: type[T]) -> T:
    """The `kind` that `data` is.

    Raises:
        msgspec.DecodeError: it is not JSON, or not of that kind.
    """
    return msgspec.json.decode(data, type=kind, dec_hook=to_path)


def fields_of(value: msgspec.Struct) -> dict[str, Any]:
    """The fields of `value` as `encode` would have them."""
    fields: dict[str, Any] = msgspec.to_builtins(value, enc_hook=of_path)
    return fields


def convert(fields: object, kind: type[T]) -> T:
    """The `kind` that `fields`, decoded JSON, describes.

    Raises:
        msgspec.ValidationError: it describes none.
    """
    return msgspec.convert(fields, kind, dec_hook=to_path, str_keys=True)
