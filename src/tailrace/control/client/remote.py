"""What `tailrace.connect` gives: LoadControl, and an end."""

import contextlib
import functools
from collections.abc import AsyncGenerator, Callable
from typing import Any, Protocol, Self, cast

import msgspec

from tailrace.control.interface import METHODS, LoadControl, Update
from tailrace.control.methods import Method
from tailrace.errors import TailraceError


class UnreachableError(TailraceError):
    """No control room answers, or it has gone away."""


class TokenError(TailraceError):
    """The control room asks for a token, or for another one."""


class RemoteControl(LoadControl, Protocol):
    """A control room elsewhere, as an asynchronous context manager; use it on one event loop.

    Besides what LoadControl says every method raises UnreachableError where no control room
    answers, `watch` also when it goes away; and TokenError where it asks for another token.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def close(self) -> None:
        """Hang up; streams end."""

    def watch(self, service_id: str | None = None) -> AsyncGenerator[Update, None]:
        """See LoadControl; `aclose` ends it."""


class Transport(Protocol):
    """Carries a request of a method to a control room, and what comes of it back."""

    async def ask(self, method: Method, request: msgspec.Struct | None) -> Any:
        """The answer."""

    def stream(self, method: Method, request: msgspec.Struct | None) -> AsyncGenerator[Any, None]:
        """Each thing that a method yields."""

    async def close(self) -> None:
        """Hang up; streams end."""


def unreachable(address: str, reason: str) -> UnreachableError:
    """The error for a control room that did not answer, for this reason."""
    return UnreachableError(f"no control room answers at {address}: {reason}")


def token_error(address: str, *, given: bool) -> TokenError:
    """The error for a refused token, or for none."""
    if given:
        return TokenError(f"the control room at {address} does not accept this token")
    return TokenError(f"the control room at {address} asks for a token: set TAILRACE_TOKEN")


def remote(transport: Transport) -> RemoteControl:
    """The control room that `transport` reaches."""
    return cast(RemoteControl, _Remote(transport))


class _Remote:
    """Has besides these every method of LoadControl."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._transport.close()


def _ask(method: Method) -> Callable[..., Any]:
    async def ask(self: _Remote, *given: Any, **named: Any) -> Any:
        return await self._transport.ask(method, method.bind(*given, **named))

    async def stream(self: _Remote, *given: Any, **named: Any) -> AsyncGenerator[Any, None]:
        request = method.bind(*given, **named)
        async with contextlib.aclosing(self._transport.stream(method, request)) as items:
            async for item in items:
                yield item

    return stream if method.streams else ask


for _method in METHODS:
    _function = functools.wraps(getattr(LoadControl, _method.name))(_ask(_method))
    setattr(_Remote, _method.name, _function)
