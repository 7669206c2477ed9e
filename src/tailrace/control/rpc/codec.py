"""The interface's structs as Protocol Buffers messages and back, by the names of their fields.

One way to do it is worked out for each type, once; after that nothing is looked up. The rules:

- a Literal is an enum, whose values' names are its strings in capitals after the enum's own name;
- a path is a string, a tuple or list a repeated field, a dict a map;
- None is an absent field, and an absent field is the struct's default, or None if it has none;
- what a map cannot hold, a None or a tuple of fixed length, is a message whose fields are the
  tuple's items in order; all of them are absent for None. A tuple of any length is a message with
  one repeated field.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from msgspec import inspect

from tailrace.errors import TailraceError, UsageError

StructT = TypeVar("StructT", bound=msgspec.Struct)
MessageT = TypeVar("MessageT", bound=Message)
Put = Callable[[Any, Any], None]
"""Writes a value into a message."""
Get = Callable[[Any], Any]
"""Reads a value out of a message."""


class Codec(Generic[StructT, MessageT]):
    """Translates one type of struct to one type of message, and back.

    Raises:
        KeyError: a field of the struct is missing in the message.
    """

    def __init__(self, struct: type[StructT], message: type[MessageT]) -> None:
        self.struct = struct
        self.message = message
        self._value = _struct(struct, message.DESCRIPTOR)

    def pack(self, struct: StructT) -> MessageT:
        """The message that says the same.

        Raises:
            UsageError: a field's value is of another type, or too large for the message's.
        """
        message = self.message()
        try:
            self._value.put(message, struct)
        except (TypeError, ValueError) as error:
            raise UsageError(f"{type(struct).__name__} cannot be sent: {error}") from None
        return message

    def unpack(self, message: MessageT) -> StructT:
        """The struct that says the same; its values are not checked beyond their types.

        Raises:
            TailraceError: an enum's value is unknown, as a newer version may send it.
            UsageError: a path is none.
        """
        try:
            struct: StructT = self._value.get(message)
        except KeyError as error:
            name = message.DESCRIPTOR.full_name
            raise TailraceError(
                f"{name} holds a value that this version does not know: {error}"
            ) from None
        return struct


def parse(message: type[MessageT], data: bytes) -> MessageT:
    """The message that these bytes hold.

    Raises:
        UsageError: they hold none.
    """
    try:
        return message.FromString(data)
    except DecodeError as error:
        raise UsageError(f"this is no {message.DESCRIPTOR.full_name}: {error}") from None


@dataclass(frozen=True, slots=True)
class _Scalar:
    """A value that stands in a field as it is, or, if they are given, through these two."""

    to: Get | None = None
    of: Get | None = None


@dataclass(frozen=True, slots=True)
class _Nested:
    """A value that is a message of its own."""

    put: Put
    get: Get


@cache
def _struct(struct: type[msgspec.Struct], descriptor: Descriptor) -> _Nested:
    kind = inspect.type_info(struct)
    assert isinstance(kind, inspect.StructType)
    puts: list[tuple[str, Put]] = []
    always: list[tuple[str, Get]] = []
    present: list[tuple[str, Get]] = []
    absent: dict[str, None] = {}
    for field in kind.fields:
        described = descriptor.fields_by_name[field.name]
        inner, nullable = _strip_none(field.type)
        put, get = _field(inner, described)
        puts.append((field.name, put))
        if described.has_presence and (nullable or not field.required):
            present.append((field.name, get))
            if field.required:
                absent[field.name] = None
        else:
            always.append((field.name, get))

    def fill(message: Any, value: Any) -> None:
        for name, put in puts:
            item = getattr(value, name)
            if item is not None:
                put(message, item)

    def read(message: Any) -> Any:
        values: dict[str, Any] = {**absent, **{name: get(message) for name, get in always}}
        values |= {name: get(message) for name, get in present if message.HasField(name)}
        return struct(**values)

    return _Nested(fill, read)


def _field(kind: inspect.Type, field: FieldDescriptor) -> tuple[Put, Get]:
    """How a value that is not None is written to its field of a message, and read from it."""
    if isinstance(kind, inspect.DictType):
        return _map(kind, field)
    if isinstance(kind, (inspect.VarTupleType, inspect.ListType)):
        return _repeated(kind, field)
    name, value = field.name, _value(kind, field)
    if isinstance(value, _Nested):
        fill, read = value.put, value.get

        def put_nested(message: Any, item: Any) -> None:
            inner = getattr(message, name)
            inner.SetInParent()
            fill(inner, item)

        return put_nested, lambda message: read(getattr(message, name))
    to, of = value.to, value.of
    if to is None or of is None:
        return lambda message, item: setattr(message, name, item), lambda m: getattr(m, name)
    return (
        lambda message, item: setattr(message, name, to(item)),
        lambda message: of(getattr(message, name)),
    )


def _repeated(
    kind: inspect.VarTupleType | inspect.ListType, field: FieldDescriptor
) -> tuple[Put, Get]:
    name, value = field.name, _value(kind.item_type, field)
    whole = tuple if isinstance(kind, inspect.VarTupleType) else list
    if isinstance(value, _Scalar):
        return (
            lambda message, items: getattr(message, name).extend(items),
            lambda message: whole(getattr(message, name)),
        )
    fill, read = value.put, value.get

    def put(message: Any, items: Any) -> None:
        add = getattr(message, name).add
        for item in items:
            fill(add(), item)

    return put, lambda message: whole(read(item) for item in getattr(message, name))


def _map(kind: inspect.DictType, field: FieldDescriptor) -> tuple[Put, Get]:
    name, entry = field.name, field.message_type
    assert entry is not None
    value = _value(kind.value_type, entry.fields_by_name["value"])
    if isinstance(value, _Scalar):
        return (
            lambda message, items: getattr(message, name).update(items),
            lambda message: dict(getattr(message, name)),
        )
    fill, read = value.put, value.get

    def put(message: Any, items: Any) -> None:
        entries = getattr(message, name)
        for key, item in items.items():
            fill(entries[key], item)

    return put, lambda message: {key: read(item) for key, item in getattr(message, name).items()}


def _value(kind: inspect.Type, field: FieldDescriptor) -> _Scalar | _Nested:
    if isinstance(kind, inspect.StructType):
        return _struct(kind.cls, field.message_type)
    if field.message_type is not None:
        if isinstance(kind, inspect.VarTupleType):
            return _Nested(*_repeated(kind, field.message_type.fields[0]))
        return _box(kind, [inner.name for inner in field.message_type.fields])
    if isinstance(kind, inspect.LiteralType):
        assert field.enum_type is not None
        values = field.enum_type.values_by_name
        prefix = field.enum_type.values[0].name.removesuffix("UNSPECIFIED")
        numbers = {text: values[f"{prefix}{str(text).upper()}"].number for text in kind.values}
        texts = {number: text for text, number in numbers.items()}
        return _Scalar(numbers.__getitem__, texts.__getitem__)
    if isinstance(kind, inspect.CustomType):
        assert kind.cls is Path
        return _Scalar(str, _path)
    return _Scalar()


def _box(kind: inspect.Type, names: list[str]) -> _Nested:
    """A value that is None, or a scalar, or a tuple, as a message of its own."""
    is_tuple = isinstance(_strip_none(kind)[0], inspect.TupleType)

    def put(message: Any, value: Any) -> None:
        message.SetInParent()
        if value is not None:
            for name, item in zip(names, value if is_tuple else (value,), strict=True):
                setattr(message, name, item)

    def get(message: Any) -> Any:
        if not message.HasField(names[0]):
            return None
        items = tuple(getattr(message, name) for name in names)
        return items if is_tuple else items[0]

    return _Nested(put, get)


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise UsageError("a path must not be empty, nor hold a zero byte")
    return Path(text)


def _strip_none(kind: inspect.Type) -> tuple[inspect.Type, bool]:
    """The type apart from its None, and whether it has one."""
    if not isinstance(kind, inspect.UnionType):
        return kind, False
    (inner,) = (option for option in kind.types if not isinstance(option, inspect.NoneType))
    return inner, True
