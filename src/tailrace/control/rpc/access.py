"""Who may call: those who know the token, whatever they call."""

import hmac
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc
import grpc.aio

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class TokenInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Answers UNAUTHENTICATED to calls without `authorization: Bearer TOKEN` in their metadata.

    Reflection, health and calls that do not exist are no exception.
    """

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler:
        """The call's own handler, or one that refuses."""
        given = [
            value if isinstance(value, bytes) else value.encode()
            for key, value in handler_call_details.invocation_metadata or ()
            if key == "authorization"
        ]
        if len(given) == 1 and hmac.compare_digest(given[0], self._expected):
            return await continuation(handler_call_details)
        reason = "this token is not the control room's" if given else "a token is needed"
        return _refusal(f"{reason}: send the metadata 'authorization: Bearer TOKEN'")


def _refusal(line: str) -> _Handler:
    async def refuse(requests: object, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, line)

    # Of the kind that reads nothing first, so nobody can hold it open by sending nothing.
    return grpc.stream_stream_rpc_method_handler(refuse)
