"""What a method of LoadControl is to faces and clients: how it is asked for, what it answers, and
the JSON of both.

All of it is read from the method itself, its signature and its docstring; `method` adds what these
cannot say.
"""

import functools
import inspect
import re
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from tailrace.errors import TailraceError, known
from tailrace.load.config import of_path, to_path

P = ParamSpec("P")
T = TypeVar("T")
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_SAID = "_method"
_JSON_NAMES = {"service_id": "id", "rate_per_s": "rate"}
"""What REST calls parameters, in addresses and bodies."""
_RAISED = re.compile(r"^    ([\w, ]+Error): (.*(?:\n {8}.*)*)", re.MULTILINE)


class ServiceRequest(msgspec.Struct, frozen=True, kw_only=True, rename=_JSON_NAMES):
    """One service, by its id."""

    service_id: str


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """One method of LoadControl."""

    name: str
    verb: str
    paths: tuple[str, ...]
    """REST's, with parameters as `{id}`; a second one is without the parameter that has a default.
    """
    status: int
    """What REST answers where all went well."""
    rpc: str
    """What gRPC calls it."""
    about: str
    """What it does, without its errors."""
    errors: dict[type[TailraceError], str]
    """When it raises which."""
    signature: inspect.Signature
    request: type[msgspec.Struct] | None
    """Its parameters, if it has any."""
    takes_request: bool
    """Whether its parameter is itself the request."""
    answer: Any
    """The type of what it returns, or of each thing that it yields; NoneType for nothing."""
    response: type[msgspec.Struct] | None
    """`answer` as a struct, for gRPC: what is none itself is the one field of it."""
    streams: bool
    """Whether it yields."""
    in_parts: bool
    """Whether its answer is too long for one message."""

    def bind(self, *given: Any, **named: Any) -> msgspec.Struct | None:
        """The request that a call with these arguments makes."""
        arguments = self.signature.bind(None, *given, **named).arguments
        del arguments["self"]
        if self.request is None:
            return None
        if self.takes_request:
            (request,) = arguments.values()
            return request  # type: ignore[no-any-return]
        return self.request(**arguments)

    def call(self, control: Any, request: msgspec.Struct | None) -> Any:
        """What the method of `control` returns for that request."""
        function = getattr(control, self.name)
        if request is None:
            return function()
        if self.takes_request:
            return function(request)
        return function(**msgspec.structs.asdict(request))

    def wrap(self, answer: Any) -> msgspec.Struct:
        """`answer` as a `response`."""
        if self.response is None or self.response is self.answer:
            return answer  # type: ignore[no-any-return]
        return self.response(answer)

    def unwrap(self, response: msgspec.Struct) -> Any:
        """The answer that `response` holds."""
        if self.response is None or self.response is self.answer:
            return response
        (answer,) = msgspec.structs.astuple(response)
        return answer


def method(
    verb: str,
    *paths: str,
    status: int | None = None,
    rpc: str | None = None,
    field: str | None = None,
    in_parts: bool = False,
) -> Callable[[FunctionT], FunctionT]:
    """Say of a function of LoadControl how it is asked for.

    `rpc` is the function's name in camel case where it is not given. `field` names the answer where
    gRPC has to wrap it, since it is no struct.
    """

    def say(function: FunctionT) -> FunctionT:
        name = function.__name__
        called = rpc or name.title().replace("_", "")
        signature = inspect.signature(function)
        hints = get_type_hints(function)
        answer = hints.pop("return")
        streams = get_origin(answer) is AsyncGenerator
        if streams:
            answer = get_args(answer)[0]
        request, takes_request = _request(called, signature, hints)
        about, _, raised = (inspect.getdoc(function) or "").partition("\n\nRaises:\n")
        setattr(
            function,
            _SAID,
            Method(
                name=name,
                verb=verb,
                paths=paths,
                status=status or (204 if answer is type(None) else 200),
                rpc=called,
                about=about,
                errors=_errors(raised),
                signature=signature,
                request=request,
                takes_request=takes_request,
                answer=answer,
                response=_response(called, answer, field),
                streams=streams,
                in_parts=in_parts,
            ),
        )
        return function

    return say


def waits(
    function: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Any, P], T]:
    """A function of an interface as one that waits for the answer."""

    @functools.wraps(function)
    def wait(self: Any, /, *given: P.args, **named: P.kwargs) -> T:
        answer: T = self._ask(function.__name__, *given, **named)
        return answer

    return wait


def methods_of(interface: type) -> tuple[Method, ...]:
    """What `method` said of the functions of `interface`, in their order."""
    functions = vars(interface).values()
    return tuple(getattr(function, _SAID) for function in functions if hasattr(function, _SAID))


def _request(
    rpc: str, signature: inspect.Signature, hints: dict[str, Any]
) -> tuple[type[msgspec.Struct] | None, bool]:
    if not hints:
        return None, False
    defaults = {
        p.name: p.default for p in signature.parameters.values() if p.default is not p.empty
    }
    if hints == {"service_id": str} and not defaults:
        return ServiceRequest, False
    (first, *_) = hints.values()
    if isinstance(first, type) and issubclass(first, msgspec.Struct):
        return first, True
    fields = [(n, k, defaults[n]) if n in defaults else (n, k) for n, k in hints.items()]
    struct = msgspec.defstruct(
        f"{rpc}Request",
        fields,
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        rename=_JSON_NAMES,
    )
    return struct, False


def _response(rpc: str, answer: Any, field: str | None) -> type[msgspec.Struct] | None:
    if field is not None:
        return msgspec.defstruct(f"{rpc}Response", [(field, answer)], frozen=True)
    return answer if issubclass(answer, msgspec.Struct) else None


def _errors(raised: str) -> dict[type[TailraceError], str]:
    errors = {}
    for names, text in _RAISED.findall(raised):
        for name in names.split(", "):
            kind = known(name)
            assert kind is not TailraceError, f"{name} does not say how it is answered"
            errors[kind] = " ".join(text.split()).removesuffix(".")
    return errors


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
