"""Who may call: those who know the token, whatever they call."""

import hmac
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, TypeAlias
from urllib.parse import unquote

import grpc
import grpc.aio

from tailrace.control.guesses import Guesses, network_of, too_many

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
"""Of handlers, each with an attribute and a maker of that name."""


class TokenInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Answers UNAUTHENTICATED to calls without `authorization: Bearer TOKEN` in their metadata, and
    RESOURCE_EXHAUSTED to an address that has sent too many wrong tokens: see Guesses.

    Reflection, health and calls that do not exist are no exception.
    """

    def __init__(self, token: str, guesses: Guesses) -> None:
        self._expected = f"Bearer {token}".encode()
        self._guesses = guesses

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler:
        """The call's own handler, for an address that need not wait, or one that refuses."""
        given = [
            value if isinstance(value, bytes) else value.encode()
            for key, value in handler_call_details.invocation_metadata or ()
            if key == "authorization"
        ]
        if len(given) == 1 and hmac.compare_digest(given[0], self._expected):
            handler = await continuation(handler_call_details)
            # None for a call that does not exist, which is told to those alone who may know.
            return self._unless_too_many(
                handler or grpc.stream_stream_rpc_method_handler(_refuse_unknown)
            )
        reason = "this token is not the control room's" if given else "a token is needed"
        line = f"{reason}: send the metadata 'authorization: Bearer TOKEN'"

        async def refuse(requests: object, context: _Context) -> None:
            if given:
                address = await self._wait(context)
                self._guesses.count_wrong(address, b"\0".join(given))
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, line)

        # Of the kind that reads nothing first, so nobody can hold it open by sending nothing.
        return grpc.stream_stream_rpc_method_handler(refuse)

    def _unless_too_many(self, handler: _Handler) -> _Handler:
        # A right one is refused too while its address waits: else it could be guessed meanwhile.
        kind = next(kind for kind in _KINDS if getattr(handler, kind) is not None)
        answer: Callable[[Any, Any], Any] = getattr(handler, kind)

        async def waited(request: Any, context: _Context) -> Any:
            await self._wait(context)
            answered = answer(request, context)
            if not isinstance(answered, AsyncIterable):
                return await answered
            async for item in answered:
                await context.write(item)
            return None

        make: Callable[..., _Handler] = getattr(grpc, f"{kind}_rpc_method_handler")
        return make(waited, handler.request_deserializer, handler.response_serializer)

    async def _wait(self, context: _Context) -> str:
        """The address that calls; ends the call where it has to wait."""
        # `ipv4:127.0.0.1:5000`, `ipv6:[::1]:5000`, its brackets percent-encoded.
        host = unquote(context.peer()).partition(":")[2].rpartition(":")[0].strip("[]")
        address = network_of(host)
        if wait_s := self._guesses.wait_s(address):
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, too_many(wait_s))
        return address


async def _refuse_unknown(requests: object, context: _Context) -> None:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "there is no such call")
