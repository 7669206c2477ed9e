"""Writes down the gRPC interface, as the interface's structs have it (`make proto`).

The numbers of new fields go into field_numbers.txt, and the whole into tailrace.proto, for other
languages, with the docstrings of structs, fields and methods as its comments.
"""

import argparse
import ast
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tailrace.control.faces.rpc import schema
from tailrace.control.interface import METHODS
from tailrace.load.settings import settings_of

_HEAD = """\
The control room over gRPC: steer the load on services, and read their tail latency back.
Written by `make proto`.

Units stand in names: _s seconds, _ms milliseconds, _us microseconds, _per_s per second.
Where a control room has a token, every call carries the metadata "authorization: Bearer TOKEN".

A refusal has a status, which each call names (all of them NOT_FOUND, of a service that is not
listed), one line that says why, and the error's name in the trailing metadata "tailrace-error".

What is called None here is an absent field. GetRun sends the record in parts: merged one after
another, as Protocol Buffers merge messages, they are the whole.
"""


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=schema.NUMBERS.parent, help="the folder")
    out = parser.parse_args().out
    made = schema.Schema(schema.read_numbers(schema.NUMBERS.read_text()))
    (out / schema.NUMBERS.name).write_text(schema.write_numbers(made.held))
    (out / "tailrace.proto").write_text(proto_text(made))


def proto_text(made: schema.Schema) -> str:
    """The schema as a .proto file."""
    return "\n".join(_lines(made)) + "\n"


def _lines(made: schema.Schema) -> Iterator[str]:
    file = made.file
    yield from _comment(_HEAD)
    yield f'syntax = "{file.syntax}";'
    yield f"\npackage {file.package};\n"
    yield from (f'import "{name}";' for name in file.dependency)
    (service,) = file.service
    yield f"\nservice {service.name} {{"
    for method, described in zip(METHODS, service.method, strict=True):
        yield from _comment(method.about, "  ")
        yield from _comment(
            "\n".join(f"{kind.rpc_status}: {when}." for kind, when in method.errors.items()), "  "
        )
        takes, gives = (_short(name) for name in (described.input_type, described.output_type))
        stream = "stream " if described.server_streaming else ""
        yield f"  rpc {method.rpc}({takes}) returns ({stream}{gives});"
    yield "}"
    for enum in file.enum_type:
        yield f"\nenum {enum.name} {{"
        yield from (f"  {value.name} = {value.number};" for value in enum.value)
        yield "}"
    for message in file.message_type:
        struct = made.structs[message.name]
        docs = _field_docs(struct)
        defaults = {f.name: f.default for f in msgspec.structs.fields(struct)}
        yield ""
        yield from _comment(inspect.cleandoc(struct.__doc__ or ""))
        yield f"message {message.name} {{"
        for name, number in made.reserved(message.name):
            yield f'  reserved {number};\n  reserved "{name}";'
        for field in message.field:
            yield from _comment(docs.get(field.name, ""), "  ")
            if field.proto3_optional and defaults[field.name] not in (None, msgspec.NODEFAULT):
                yield f"  // Default: {str(defaults[field.name]).lower()}."
            yield f"  {made.held[message.name][field.name][1]} {field.name} = {field.number};"
        yield "}"


def _field_docs(struct: type[msgspec.Struct]) -> dict[str, str]:
    """What the struct's fields say of themselves, as settings or in the strings below them; none of
    one made at run time.
    """
    docs = {
        name: "\n".join(
            textwrap.wrap(f"{each.help}" + f" Default: {each.unset}." * bool(each.unset), 94)
        )
        for name, each in settings_of(struct).items()
    }
    try:
        source = textwrap.dedent(inspect.getsource(struct))
    except (OSError, TypeError):
        return docs
    (defined,) = ast.parse(source).body
    assert isinstance(defined, ast.ClassDef)
    if struct.__base__ is not msgspec.Struct:
        docs = _field_docs(struct.__base__) | docs
    for field, after in zip(defined.body, defined.body[1:], strict=False):
        match field, after:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                docs[name] = inspect.cleandoc(text)
    return docs


def _comment(text: str, indent: str = "") -> Iterator[str]:
    for line in text.strip().splitlines():
        yield f"{indent}// {line}".rstrip()


def _short(name: str) -> str:
    return name.removeprefix(f".{schema.PACKAGE}.").removeprefix(".")


if __name__ == "__main__":
    main()
