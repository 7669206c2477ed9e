"""What a method of LoadControl is to the faces: its name, what it takes, what it answers.

Each is read from the method's own signature, which LoadControl alone says; `method` adds what a
signature cannot.
"""

import inspect
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

METHODS: "list[Method]" = []
"""Those of LoadControl, in its order."""


class ServiceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One service, by its id."""

    service_id: str


@dataclass(frozen=True, slots=True)
class Method:
    """One method of LoadControl."""

    name: str
    rpc: str
    """What gRPC calls it."""
    about: str
    """Its docstring."""
    signature: inspect.Signature
    request: type[msgspec.Struct] | None
    """Its parameters; a parameter that is a struct itself stands for all."""
    answer: Any
    """The type of what it returns, or of each thing that it yields."""
    response: type[msgspec.Struct] | None
    """`answer` as a struct: a list or a None is the one field of it."""
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
        (first, *_) = arguments.values() or (None,)
        if isinstance(first, self.request):
            return first
        return self.request(**arguments)

    def call(self, control: Any, request: msgspec.Struct | None) -> Any:
        """What the method of `control` returns for that request."""
        function = getattr(control, self.name)
        if request is None:
            return function()
        parameters = list(self.signature.parameters.values())[1:]
        if parameters[0].annotation is self.request:
            return function(request)
        return function(**msgspec.structs.asdict(request))

    def wrap(self, answer: Any) -> msgspec.Struct:
        """`answer` as a `response`."""
        if self.response is None or isinstance(answer, self.response):
            return answer  # type: ignore[no-any-return]
        return self.response(answer)

    def unwrap(self, response: msgspec.Struct) -> Any:
        """The answer that `response` holds."""
        if self.response is self.answer or self.response is None:
            return response
        (value,) = msgspec.structs.astuple(response)
        return value


def method(
    rpc: str, *, field: str | None = None, in_parts: bool = False
) -> Callable[[FunctionT], FunctionT]:
    """Enter a function of LoadControl into METHODS.

    `field` names the answer where gRPC has to wrap it, since it is no struct.
    """

    def enter(function: FunctionT) -> FunctionT:
        signature = inspect.signature(function)
        hints = get_type_hints(function)
        answer = hints.pop("return")
        streams = get_origin(answer) is AsyncIterator
        if streams:
            (answer,) = get_args(answer)
        METHODS.append(
            Method(
                name=function.__name__,
                rpc=rpc,
                about=inspect.getdoc(function) or "",
                signature=signature,
                request=_request(rpc, signature, hints),
                answer=answer,
                response=_response(rpc, answer, field),
                streams=streams,
                in_parts=in_parts,
            )
        )
        return function

    return enter


def _request(
    rpc: str, signature: inspect.Signature, hints: dict[str, Any]
) -> type[msgspec.Struct] | None:
    if not hints:
        return None
    if hints == {"service_id": str} and not _defaults(signature):
        return ServiceRequest
    (first, *_) = hints.values()
    if isinstance(first, type) and issubclass(first, msgspec.Struct):
        return first
    defaults = _defaults(signature)
    fields = [(n, k, defaults[n]) if n in defaults else (n, k) for n, k in hints.items()]
    return msgspec.defstruct(f"{rpc}Request", fields, frozen=True, kw_only=True)


def _defaults(signature: inspect.Signature) -> dict[str, Any]:
    parameters = signature.parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def _response(rpc: str, answer: Any, field: str | None) -> type[msgspec.Struct] | None:
    if field is not None:
        return msgspec.defstruct(f"{rpc}Response", [(field, answer)], frozen=True)
    return answer if issubclass(answer, msgspec.Struct) else None
