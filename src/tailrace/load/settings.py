"""What a field of a configuration says of itself, and how its value is read, shown and checked.

A setting is declared once, as a field of a struct:

    workers: Annotated[int, setting("Load workers", "Load processes.", ge=1, le=256)] = 1

The command line, the configuration file, the form of the page and the report's table are made from
`settings_of` such a struct; what a person or a program gives becomes one by `make`.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import inspect

from tailrace.errors import UsageError
from tailrace.load.client.request import parse_header
from tailrace.units import format_duration, format_exact, parse_duration_s, parse_rate_per_s

Kind = Literal[
    "text", "lines", "count", "seconds", "rate", "flag", "file", "list", "texts", "headers"
]
"""How a value is written: `text` in one line, `lines` in several, `seconds` as `30s`; a `list` with
commas, `texts` and `headers` one a line."""
Guard = Literal["targets", "address", "file", "socket", "schedule"]
"""What a setting leads to that a control room may forbid: where load goes, or a file that is read,
by the setting itself or by the expression in it."""

T = TypeVar("T", bound=msgspec.Struct)


class SettingError(UsageError):
    """A setting, or several together, cannot be used."""

    def __init__(self, reason: str, *names: str, is_sentence: bool = False) -> None:
        self.names = names
        """Of the fields."""
        self.reason = reason
        self._colon = "" if is_sentence or len(names) > 1 else ":"
        super().__init__(self.worded(str))

    def worded(self, name: Callable[[str], str]) -> str:
        """The line, with each field called as `name` has it where the user met it."""
        names = list(map(name, self.names))
        return f"{' and '.join(names)}{self._colon} {self.reason}"


@contextmanager
def concerning(name: str) -> Iterator[None]:
    """Errors within are about the setting of this name, unless they say of which one themselves."""
    try:
        yield
    except SettingError:
        raise
    except UsageError as error:
        raise SettingError(str(error), name) from None


_OF_NAME = "="


def setting(label: str, about: str, **words: Any) -> msgspec.Meta:
    """What a field says of itself beyond its name, type and default: a label, a line for a person,
    and any other of Setting's words.
    """
    declared = Setting(label=label, help=about, **words)
    bounds = {
        "minimum": declared.ge,
        "exclusiveMinimum": declared.gt,
        "maximum": declared.le,
        "enum": list(declared.choices) or None,
    }
    return msgspec.Meta(
        title=label,
        description=about,
        extra={"setting": declared},
        # Not msgspec's own bounds: `check` holds these, so that every face words them alike.
        extra_json_schema={name: value for name, value in bounds.items() if value is not None},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting, as its field declares it."""

    name: str = ""
    """Of the field; so are `required` and `default`."""
    required: bool = False
    default: Any = None
    label: str
    """Names it in the form and in reports."""
    help: str
    """Says in a line what it does, on the command line and in the form."""
    group: str = ""
    """Of settings that belong together; see `config`."""
    main: bool = False
    """It is one that most runs need."""
    option: str = _OF_NAME
    """`--connections`; "" for one that the command line has otherwise. That of a flag which is on
    by default turns it off, and `off` says what that does."""
    off: str = ""
    key: str = _OF_NAME
    """In tailrace.toml: its name without its unit, as a rule."""
    unset: str = ""
    """What holds where it is None, in words."""
    metavar: str = ""
    choices: tuple[str, ...] = ()
    guard: Guard | None = None
    """What it may lead to."""
    quiet: bool = False
    """Not worth a line in a report where it is what it is by default."""
    secret: bool = False
    """It may be, and is not written down with a run."""
    kind: Kind = "text"
    """How it is written; follows from its type where that is no text."""
    ge: float | None = None
    gt: float | None = None
    le: float | None = None

    def read(self, given: object) -> Any:
        """The value that is given: itself, a text that says it, or a plain number.

        Raises:
            SettingError: it is none.
        """
        with concerning(self.name):
            value = self._read(given)
        self.check(value)
        return value

    def show(self, value: Any) -> str:
        """The text that `read` reads as `value`."""
        match self.kind:
            case _ if value is None:
                return ""
            case "seconds":
                whole = value > 0 and value % 60 == 0
                return f"{value / 60:.0f}m" if whole else f"{format_exact(value)}s"
            case "flag":
                return "yes" if value else "no"
            case "list":
                return ", ".join(value)
            case "texts":
                return "\n".join(value)
            case "headers":
                return "\n".join(
                    f"{name}: {line}" for name, lines in value.items() for line in lines.split("\n")
                )
            case _:
                return str(value)

    def say(self, value: Any) -> str:
        """`value` as a report words it; "" where it is not worth a word."""
        if value is None or value in ((), {}) or (self.quiet and value == self.default):
            return ""
        match self.kind:
            case "seconds":
                return format_duration(value)
            case "count":
                return f"{value:,}"
            case "texts":
                return "; ".join(value)
            case _:
                return self.show(value)

    def _read(self, given: object) -> Any:
        match self.kind, given:
            case "text", str():
                return given.strip()
            case "text", int() | float() if not isinstance(given, bool):
                return format_exact(_float(given))
            case "lines", str():
                return given
            case "count", int() if not isinstance(given, bool):
                return given
            case "count", str():
                try:
                    return int(given)
                except ValueError:
                    raise UsageError(f"{given!r} is not a whole number") from None
            case "seconds", str():
                return parse_duration_s(given)
            case "seconds" | "rate", int() | float() if not isinstance(given, bool):
                return _float(given)
            case "rate", str():
                return parse_rate_per_s(given)
            case "flag", bool():
                return given
            case "flag", "yes" | "no":
                return given == "yes"
            case "file", Path():
                return given
            case "file", str() if given.strip() and "\0" not in given:
                return Path(given.strip())
            case "list" | "texts", str():
                parts = re.split("[,\n]" if self.kind == "list" else "\n", given)
                return tuple(part.strip() for part in parts if part.strip())
            case "list" | "texts", list() | tuple() if all(isinstance(each, str) for each in given):
                return tuple(given)
            case "headers", str():
                return self._read([line for line in given.split("\n") if line.strip()])
            case "headers", Mapping() if all(isinstance(each, str) for each in given.values()):
                return dict(given)
            case "headers", list() | tuple() if all(isinstance(each, str) for each in given):
                return _merge([parse_header(line) for line in given])
            case _:
                raise UsageError(
                    f"expected {_EXPECTED[self.kind]}, not {shown(given)}{_odd(given)}"
                )

    def check(self, value: Any) -> None:
        """Accept a value of the field's type.

        Raises:
            SettingError: it is out of bounds, or none of the choices.
        """
        if value is None:
            return
        if self.choices and value not in self.choices:
            wanted = f"one of {', '.join(self.choices)}, not {shown(value)}"
        # What is not a number is neither less nor more.
        elif (
            (self.ge is not None and not value >= self.ge)
            or (self.gt is not None and not value > self.gt)
            or (self.le is not None and not value <= self.le)
        ):
            least = self._quoted(self.ge) if self.ge is not None else "more than 0"
            wanted = f"{least} to {self._quoted(self.le)}, not {self._quoted(value)}"
        else:
            return
        raise SettingError(f"must be {wanted}", self.name)

    def _quoted(self, value: Any) -> str:
        if self.kind == "seconds" and math.isfinite(value):
            # The unit that suits a length suits none below 0.
            return format_duration(value) if value >= 0 else f"{value:,.10g} s"
        return f"{value:,.10g}" if abs(value) < 2**63 else shown(value)


_EXPECTED: dict[Kind, str] = {
    "text": "a string",
    "lines": "a string",
    "count": "a whole number",
    "seconds": "a duration, as 30s",
    "rate": "a rate, as 50k/s",
    "flag": "true or false",
    "file": "a path",
    "list": "a string, or several",
    "texts": "a string, or several",
    "headers": "a table such as {Accept = 'image/jpeg'}, or lines 'Name: value'",
}


@cache
def settings_of(struct: type[msgspec.Struct]) -> Mapping[str, Setting]:
    """The settings of a configuration, by the names of their fields."""
    kind = inspect.type_info(struct)
    assert isinstance(kind, inspect.StructType)
    return {
        field.name: _setting(field)
        for field in kind.fields
        if isinstance(field.type, inspect.Metadata) and "setting" in (field.type.extra or {})
    }


def make(struct: type[T], given: Mapping[str, object]) -> T:
    """The configuration of what is given, by the fields' names, as texts or values of their own;
    what is None is the default.

    Raises:
        SettingError: a value cannot be used.
    """
    settings = settings_of(struct)
    values = {
        name: settings[name].read(value) for name, value in given.items() if value is not None
    }
    for each in settings.values():
        if each.required and not values.get(each.name):
            raise SettingError("is missing", each.name, is_sentence=True)
    return struct(**values)


def _setting(field: inspect.Field) -> Setting:
    assert isinstance(field.type, inspect.Metadata)
    declared: Setting = (field.type.extra or {})["setting"]
    inner = field.type.type
    if isinstance(inner, inspect.UnionType):
        (inner,) = (each for each in inner.types if not isinstance(each, inspect.NoneType))
    default = None if field.required else field.default
    if field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    unitless = field.name.removesuffix("_s")
    made: dict[str, Any] = {"option": f"--{unitless.replace('_', '-')}", "key": unitless}
    return replace(
        declared,
        name=field.name,
        required=field.required,
        default=default,
        kind=_KINDS[type(inner)] if declared.kind == "text" else declared.kind,
        **{word: text for word, text in made.items() if getattr(declared, word) == _OF_NAME},
    )


_KINDS: dict[type[inspect.Type], Kind] = {
    inspect.StrType: "text",
    inspect.IntType: "count",
    inspect.FloatType: "seconds",
    inspect.BoolType: "flag",
    inspect.CustomType: "file",
    inspect.VarTupleType: "list",
    inspect.DictType: "headers",
}


def _merge(lines: Sequence[tuple[str, str]]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for name, value in lines:
        merged[name] = f"{merged[name]}\n{value}" if name in merged else value
    return merged


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise UsageError(f"{shown(value)} is too large") from None


def _odd(given: object) -> str:
    """What of several is no string."""
    parts = given.values() if isinstance(given, Mapping) else given
    if not isinstance(parts, Iterable):
        return ""
    odd = [shown(each) for each in parts if not isinstance(each, str)]
    return f" with {odd[0]} in it" if odd else ""


def shown(value: object) -> str:
    """`value`, which is of no use, as an error quotes it."""
    match value:
        case bool():
            return str(value).lower()
        case Mapping():
            return "a table"
        case list() | tuple():
            return "an array"
        case int() if abs(value) >= 2**63:
            return "a number beyond 64 bits"
        case _:
            return repr(value) if isinstance(value, str) else str(value)
