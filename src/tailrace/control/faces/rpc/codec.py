"""The interface's structs as bytes of messages and back, by the names of their fields.

One way to do it is worked out for each type, once; after that nothing is looked up. None is an
absent field, and an absent field is the struct's default, or None if it has none.
"""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError
from msgspec import inspect

from tailrace.control.faces.rpc.schema import bare, message_class, strip_none, value_name
from tailrace.errors import TailraceError, UsageError
from tailrace.load.config import to_path

StructT = TypeVar("StructT", bound=msgspec.Struct)
_Turn = Callable[[Any], Any]
_Ways = tuple[_Turn | None, _Turn | None]
"""From a value to what a message is made of, and from what it holds to a value; None is as is."""


class Codec(Generic[StructT]):
    """Translates one type of struct to the message called `name`, or as the struct is, and back.

    Bytes of several messages of a name, one after another, are those of one that has the fields of
    all: so a struct with some of the fields is a part.
    """

    def __init__(self, struct: type[StructT], name: str | None = None) -> None:
        self._message: Any = message_class(name or struct.__name__)
        self._name = self._message.DESCRIPTOR.full_name
        self._fill, self._read = _struct(struct, self._message.DESCRIPTOR)

    def encode(self, struct: StructT) -> bytes:
        """The message that says the same.

        Raises:
            UsageError: a field's value is of another type, or too large for the message's.
        """
        try:
            data: bytes = self._message(**self._fill(struct)).SerializeToString()
        except (TypeError, ValueError) as error:
            raise UsageError(f"{type(struct).__name__} cannot be sent: {error}") from None
        return data

    def decode(self, data: bytes) -> StructT:
        """The struct that says the same; its values are not checked beyond their types.

        Raises:
            UsageError: the bytes are no such message, one that must say something does not, or a
                path is none.
            TailraceError: an enum's value is unknown, as a newer version may send it.
        """
        try:
            struct: StructT = self._read(self._message.FromString(data))
        except (DecodeError, ValueError) as error:
            raise UsageError(f"this is no {self._name}: {error}") from None
        except KeyError as error:
            raise TailraceError(
                f"{self._name} holds a value that this version does not know: {error}"
            ) from None
        return struct


@cache
def codec(struct: type[StructT]) -> Codec[StructT]:
    """The codec of that struct."""
    return Codec(struct)


@cache
def _struct(struct: type[msgspec.Struct], descriptor: Descriptor) -> tuple[_Turn, _Turn]:
    kind = inspect.type_info(struct)
    assert isinstance(kind, inspect.StructType)
    fills: list[tuple[str, _Turn | None]] = []
    reads: list[tuple[str, _Turn, bool]] = []
    """The last: whether it can be absent."""
    absent: dict[str, None] = {}
    needed: list[str] = []
    for field in kind.fields:
        described = descriptor.fields_by_name[field.name]
        inner, nullable = strip_none(field.type)
        fill, read = _field(inner, described)
        fills.append((field.name, fill))
        optional = described.has_presence and (nullable or not field.required)
        reads.append((field.name, read or _identity, optional))
        if optional and field.required:
            absent[field.name] = None
        elif not optional and described.has_presence and described.message_type is None:
            needed.append(field.name)

    def to_fields(value: Any) -> dict[str, Any]:
        fields = {}
        for name, fill in fills:
            item = getattr(value, name)
            if item is not None:
                fields[name] = item if fill is None else fill(item)
        return fields

    def to_struct(message: Any) -> Any:
        for name in needed:
            if not message.HasField(name):
                raise UsageError(f"{name} is missing")
        values = {
            name: read(getattr(message, name))
            for name, read, optional in reads
            if not optional or message.HasField(name)
        }
        return struct(**(absent | values))

    return to_fields, to_struct


def _field(kind: inspect.Type, field: FieldDescriptor) -> _Ways:
    """The ways of a value that is not None, and its field."""
    if isinstance(kind, inspect.DictType):
        assert field.message_type is not None
        return _map(*_value(kind.value_type, field.message_type.fields_by_name["value"]))
    if isinstance(kind, (inspect.VarTupleType, inspect.ListType)):
        whole = tuple if isinstance(kind, inspect.VarTupleType) else list
        return _repeated(whole, *_value(kind.item_type, field))
    return _value(kind, field)


def _map(fill: _Turn | None, read: _Turn | None) -> _Ways:
    return (
        fill and (lambda items: {key: fill(item) for key, item in items.items()}),
        dict if read is None else (lambda held: {key: read(item) for key, item in held.items()}),
    )


def _repeated(whole: _Turn, fill: _Turn | None, read: _Turn | None) -> _Ways:
    return (
        fill and (lambda items: [fill(item) for item in items]),
        whole if read is None else (lambda held: whole(map(read, held))),
    )


def _value(kind: inspect.Type, field: FieldDescriptor) -> _Ways:
    kind = bare(kind)
    if isinstance(kind, inspect.StructType):
        assert field.message_type is not None
        return _struct(kind.cls, field.message_type)
    if field.message_type is not None:
        return _box(kind, [inner.name for inner in field.message_type.fields])
    if field.enum_type is not None:
        assert isinstance(kind, inspect.LiteralType)
        enum = field.enum_type
        numbers = {
            text: enum.values_by_name[value_name(enum.name, str(text))].number
            for text in kind.values
        }
        return numbers.__getitem__, {n: text for text, n in numbers.items()}.__getitem__
    if isinstance(kind, inspect.CustomType):
        return str, partial(to_path, Path)
    return None, None


def _box(kind: inspect.Type, names: list[str]) -> _Ways:
    """The ways of a value that a map cannot hold: a None, a tuple."""
    inner, _ = strip_none(kind)
    if isinstance(inner, inspect.VarTupleType):
        (name,) = names
        return lambda items: {name: items}, lambda message: tuple(getattr(message, name))
    is_tuple = isinstance(inner, inspect.TupleType)

    def fill(value: Any) -> dict[str, Any]:
        if value is None:
            return {}
        return dict(zip(names, value if is_tuple else (value,), strict=True))

    def read(message: Any) -> Any:
        if not message.HasField(names[0]):
            return None
        items = tuple(getattr(message, name) for name in names)
        return items if is_tuple else items[0]

    return fill, read


def _identity(value: Any) -> Any:
    return value
