"""The interface's types as JSON, the same for server and client: files' paths are strings."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def encode(value: object) -> bytes:
    """`value`, made of the interface's types, as JSON."""
    return msgspec.json.encode(value, enc_hook=_plain)


def decode(data: bytes, kind: type[T]) -> T:
    """The `kind` that `data` is.

    Raises:
        msgspec.DecodeError: it is not JSON, or not of that kind.
    """
    return msgspec.json.decode(data, type=kind, dec_hook=_restored)


def convert(fields: object, kind: type[T]) -> T:
    """The `kind` that `fields`, decoded JSON, describes.

    Raises:
        msgspec.ValidationError: it describes none.
    """
    return msgspec.convert(fields, kind, dec_hook=_restored, str_keys=True)


def schema(kind: Any) -> dict[str, Any]:
    """The JSON schema of `kind`, with every definition in its place."""
    (outer,), components = msgspec.json.schema_components(
        [kind], schema_hook=_described, ref_template="{name}"
    )

    def inline(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return inline(components[node["$ref"]])
            return {key: inline(value) for key, value in node.items()}
        return [inline(value) for value in node] if isinstance(node, list) else node

    described: dict[str, Any] = inline(outer)
    return described


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


def _described(kind: type[Any]) -> dict[str, Any]:
    if kind is not Path:
        raise NotImplementedError
    return {"type": "string", "format": "path"}
