"""The messages of `tailrace.v1`, made from the interface's structs and methods. The rules:

- a struct is a message of its name and its fields; a method's parameters are one too;
- a path is a string, a tuple or list a repeated field, a dict a map;
- a Literal is a string, but for the few that are enums: their values' names are its strings in
  capitals after the enum's own name;
- what can be None, or has a default that Protocol Buffers do not have, is `optional`;
- what a map cannot hold stands in a message of its own, one of BOXES.

Numbers and types, once given, stay: `field_numbers.txt` holds them, as `Message.field = number
type`. A field that it does not hold gets the next number; `make proto` writes it down, and
tailrace.proto for other languages. What a struct no longer has stays reserved.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import msgspec
from google.protobuf import descriptor_pool, empty_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from msgspec import inspect

from tailrace.control.interface import METHODS, State
from tailrace.load.measure.point import EventKind
from tailrace.runs.listing import RunState

PACKAGE = "tailrace.v1"
SERVICE = f"{PACKAGE}.LoadControl"
NUMBERS = Path(__file__).with_name("field_numbers.txt")
EMPTY = empty_pb2.DESCRIPTOR.message_types_by_name["Empty"].full_name
ENUMS = {
    frozenset(get_args(kind)): (name, get_args(kind))
    for name, kind in (("State", State), ("EventKind", EventKind), ("RunState", RunState))
}
"""By a Literal's strings: what its enum is called, and the strings in order."""


class Number(msgspec.Struct):
    """Absent where a number cannot be said."""

    value: float | None


class Bounds(msgspec.Struct):
    """A confidence interval; both absent where too few requests were answered to give one."""

    low: float | None
    high: float | None


class Sums(msgspec.Struct):
    """One a bin."""

    us: tuple[int, ...]


BOXES: dict[str, type[msgspec.Struct]] = {
    "float|none": Number,
    "(float, float)|none": Bounds,
    "(float, float)": Bounds,
    "(int, ...)": Sums,
}
"""By the shape of the value."""
_INTEGER = re.compile(r"\bu?int(32|64)\b")
_SCALARS: dict[type[inspect.Type], str] = {
    inspect.BoolType: "bool",
    inspect.FloatType: "double",
    inspect.IntType: "int64",
    inspect.StrType: "string",
    inspect.CustomType: "string",
}
_ZEROS: tuple[object, ...] = (msgspec.NODEFAULT, 0, "", (), {})
_LINE = re.compile(r"(\w+)\.(\w+) = (\d+)(?: (.+))?")
_TYPE = re.compile(r"(?:(optional|repeated) )?(?:map<(\w+), (\w+)>|(\w+))")

Held = dict[str, dict[str, tuple[int, str]]]
"""By message and field: its number and type; by enum and value: its number."""


class Schema:
    """All messages, as a file of Protocol Buffers.

    Args:
        held: the numbers and types that stay.

    Raises:
        TypeError: a field is of another type than the one held, or of one with no message.
    """

    def __init__(self, held: Held) -> None:
        self.file = FileDescriptorProto(
            name="tailrace/control/faces/rpc/tailrace.proto",
            package=PACKAGE,
            dependency=[empty_pb2.DESCRIPTOR.name],
            syntax="proto3",
        )
        self.structs: dict[str, type[msgspec.Struct]] = {}
        """By the message's name."""
        self.held: Held = {name: dict(fields) for name, fields in held.items()}
        """With what has been added."""
        self._enums: set[str] = set()
        sent = (struct for method in METHODS for struct in (method.request, method.response))
        self.add(*filter(None, sent))
        service = self.file.service.add(name=SERVICE.rpartition(".")[2])
        for method in METHODS:
            service.method.add(
                name=method.rpc,
                input_type=_full_name(method.request),
                output_type=_full_name(method.response),
                server_streaming=(method.streams or method.in_parts) or None,
            )

    def add(self, *structs: type[msgspec.Struct]) -> None:
        """Make the messages for these structs, and for those that they hold."""
        # All at once, lest what several of them hold be looked at for each.
        for kind in inspect.multi_type_info(structs):
            assert isinstance(kind, inspect.StructType)
            self._add(kind)

    def reserved(self, message: str) -> Iterator[tuple[str, int]]:
        """What the message had once: names and numbers."""
        names = self.structs[message].__struct_fields__
        for name, (number, _) in self.held[message].items():
            if name not in names:
                yield name, number

    def _add(self, kind: inspect.StructType) -> str:
        name = kind.cls.__name__
        known = self.structs.setdefault(name, kind.cls)
        if known is not kind.cls:
            raise TypeError(f"two structs are called {name}")
        if any(message.name == name for message in self.file.message_type):
            return name
        message = self.file.message_type.add(name=name)
        said = sorted(self._said(name, field) for field in kind.fields)
        for number, text, type_ in said:
            _describe(message.field.add(name=text, number=number), type_, message)
        for text, number in self.reserved(name):
            message.reserved_name.append(text)
            message.reserved_range.add(start=number, end=number + 1)
        return name

    def _said(self, owner: str, field: inspect.Field) -> tuple[int, str, str]:
        """Number, name and type of a message's field."""
        try:
            kind = self._type(field)
        except TypeError as error:
            raise TypeError(f"{owner}.{field.name} {error}") from None
        number, kept = self._number(owner, field.name, kind)
        if _on_the_wire(kept) != _on_the_wire(kind):
            raise TypeError(
                f"{owner}.{field.name} was `{kept}` and cannot be `{kind}`: give it another name"
            )
        if kind.startswith("optional ") and not kept.startswith("optional "):
            kept = f"optional {kept}"
        self.held[owner][field.name] = number, kept
        return number, field.name, kept

    def _number(self, owner: str, name: str, kind: str = "") -> tuple[int, str]:
        held = self.held.setdefault(owner, {})
        return held.setdefault(name, (max((n for n, _ in held.values()), default=0) + 1, kind))

    def _type(self, field: inspect.Field) -> str:
        kind, nullable = strip_none(field.type)
        if isinstance(kind, inspect.DictType):
            return f"map<{self._name(kind.key_type)}, {self._name(kind.value_type)}>"
        if isinstance(kind, (inspect.VarTupleType, inspect.ListType)):
            return f"repeated {self._name(kind.item_type)}"
        default = field.default if field.default_factory is msgspec.NODEFAULT else ()
        return "optional " * (nullable or default not in _ZEROS) + self._name(kind)

    def _name(self, kind: inspect.Type) -> str:
        """What a value of a field, of a repeated field or of a map is called."""
        kind = bare(kind)
        if isinstance(kind, inspect.StructType):
            return self._add(kind)
        if isinstance(kind, inspect.LiteralType):
            return self._enum(kind)
        if type(kind) in _SCALARS:
            return _SCALARS[type(kind)]
        if box := BOXES.get(_shape(kind)):
            self.add(box)
            return box.__name__
        raise TypeError(f"has a type that no message holds: {kind}")

    def _enum(self, kind: inspect.LiteralType) -> str:
        known = ENUMS.get(frozenset(kind.values))
        if known is None:
            return "string"
        name, texts = known
        if name not in self._enums:
            self._enums.add(name)
            enum = self.file.enum_type.add(name=name)
            enum.value.add(name=value_name(name, "unspecified"), number=0)
            for text in texts:
                value = value_name(name, text)
                enum.value.add(name=value, number=self._number(name, value)[0])
        return name


def _full_name(struct: type[msgspec.Struct] | None) -> str:
    return f".{PACKAGE}.{struct.__name__}" if struct is not None else f".{EMPTY}"


def read_numbers(text: str) -> Held:
    """What the text of `field_numbers.txt` holds."""
    held: Held = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        assert match is not None, line
        owner, name, number, kind = match.groups()
        held.setdefault(owner, {})[name] = int(number), kind or ""
    return held


def write_numbers(held: Held) -> str:
    """The text of `field_numbers.txt` that holds this."""
    return "".join(
        f"{owner}.{name} = {number} {kind}".rstrip() + "\n"
        for owner, fields in sorted(held.items())
        for name, (number, kind) in sorted(fields.items(), key=lambda item: item[1][0])
    )


def value_name(enum: str, text: str) -> str:
    """What the value of an enum is called that a Literal has as `text`."""
    return f"{re.sub('(?<!^)(?=[A-Z])', '_', enum)}_{text}".upper()


def bare(kind: inspect.Type) -> inspect.Type:
    """The type without what is said about it."""
    return bare(kind.type) if isinstance(kind, inspect.Metadata) else kind


def strip_none(kind: inspect.Type) -> tuple[inspect.Type, bool]:
    """The type apart from its None, and whether it has one."""
    kind = bare(kind)
    if not isinstance(kind, inspect.UnionType):
        return kind, False
    (inner,) = (option for option in kind.types if not isinstance(option, inspect.NoneType))
    return bare(inner), True


def _shape(kind: inspect.Type) -> str:
    """The type in a few words, whatever its bounds."""
    inner, nullable = strip_none(kind)
    match inner:
        case inspect.VarTupleType(item_type=item):
            said = f"({_shape(item)}, ...)"
        case inspect.TupleType(item_types=items):
            said = f"({', '.join(map(_shape, items))})"
        case _:
            said = type(inner).__name__.removesuffix("Type").lower()
    return said + "|none" * nullable


@cache
def message_class(name: str) -> type[Message]:
    """The class of the messages of that name."""
    return GetMessageClass(_pool().FindMessageTypeByName(f"{PACKAGE}.{name}"))


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    # The default one, which the server's reflection tells of.
    pool = descriptor_pool.Default()
    schema = Schema(read_numbers(NUMBERS.read_text()))
    pool.AddSerializedFile(schema.file.SerializeToString())
    return pool


def _on_the_wire(said: str) -> str:
    """The type apart from what makes no difference to an old client."""
    return _INTEGER.sub("int64", said).removeprefix("optional ")


def _describe(field: FieldDescriptorProto, said: str, message: DescriptorProto) -> None:
    """Give the field the type that is said in .proto, as `protoc` does."""
    match = _TYPE.fullmatch(said)
    assert match is not None, said
    label, key, value, single = match.groups()
    field.label = field.LABEL_OPTIONAL
    if key is not None:
        camel = "".join(part.capitalize() for part in field.name.split("_"))
        entry = message.nested_type.add(name=f"{camel}Entry")
        entry.options.map_entry = True
        for number, (name, kind) in enumerate((("key", key), ("value", value)), 1):
            _describe(entry.field.add(name=name, number=number), kind, entry)
        field.label, field.type = field.LABEL_REPEATED, field.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{message.name}.{entry.name}"
        return
    if single in _SCALARS.values() or _INTEGER.fullmatch(single):
        field.type = FieldDescriptorProto.Type.Value(f"TYPE_{single.upper()}")
    else:
        is_enum = single in (name for name, _ in ENUMS.values())
        field.type = field.TYPE_ENUM if is_enum else field.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{single}"
    if label == "repeated":
        field.label = field.LABEL_REPEATED
    elif label == "optional":
        field.proto3_optional = True
        field.oneof_index = len(message.oneof_decl)
        message.oneof_decl.add(name=f"_{field.name}")
