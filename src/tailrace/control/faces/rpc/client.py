"""LoadControl over gRPC: each method one call, as tailrace.proto says it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import grpc
import grpc.aio
import msgspec

from tailrace.control.client import TokenError, UnreachableError
from tailrace.control.faces.rpc import ERROR_KEY, KEEPALIVE
from tailrace.control.faces.rpc.codec import codec
from tailrace.control.faces.rpc.schema import SERVICE
from tailrace.control.methods import Method
from tailrace.errors import TailraceError, known

_OPTIONS = (
    *KEEPALIVE,
    # A window of an hour of intervals is one message.
    ("grpc.max_receive_message_length", 256 << 20),
    # A control room that comes back is found again within seconds.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.enable_http_proxy", 0),
)


class RpcTransport:
    """Reaches a control room at `address`, `host:port`.

    With `tls` it trusts the certificates `roots` (PEM), or the usual ones.
    """

    def __init__(
        self, address: str, token: str | None, *, tls: bool = False, roots: bytes | None = None
    ) -> None:
        self._address = address
        self._metadata = (("authorization", f"Bearer {token}"),) if token is not None else ()
        self._credentials = grpc.ssl_channel_credentials(roots) if tls else None
        self._opened: grpc.aio.Channel | None = None

    async def close(self) -> None:
        """Hang up; streams end."""
        if self._opened is not None:
            await self._opened.close(None)

    async def ask(self, method: Method, request: msgspec.Struct | None) -> Any:
        """See Transport."""
        data = b"".join([part async for part in self._parts(method, request)])
        if method.response is not None:
            return method.unwrap(codec(method.response).decode(data))
        return None

    async def stream(
        self, method: Method, request: msgspec.Struct | None
    ) -> AsyncGenerator[Any, None]:
        """See Transport."""
        assert method.response is not None
        async with aclosing(self._parts(method, request)) as parts:
            async for part in parts:
                yield codec(method.response).decode(part)

    async def _parts(
        self, method: Method, request: msgspec.Struct | None
    ) -> AsyncGenerator[bytes, None]:
        """Each message that comes back."""
        data = codec(type(request)).encode(request) if request is not None else b""
        path = f"/{SERVICE}/{method.rpc}"
        try:
            if not (method.streams or method.in_parts):
                yield await self._channel.unary_unary(path, bytes, bytes)(
                    data, metadata=self._metadata
                )
                return
            call = self._channel.unary_stream(path, bytes, bytes)(data, metadata=self._metadata)
            try:
                async for part in call:
                    yield part
            finally:
                call.cancel()
        except grpc.aio.AioRpcError as error:
            raise self._translate(error) from None

    @property
    def _channel(self) -> grpc.aio.Channel:
        # Not before there is an event loop for it to belong to.
        if self._opened is None:
            if self._credentials is None:
                self._opened = grpc.aio.insecure_channel(self._address, _OPTIONS)
            else:
                self._opened = grpc.aio.secure_channel(self._address, self._credentials, _OPTIONS)
        return self._opened

    def _translate(self, error: grpc.aio.AioRpcError) -> TailraceError:
        code, line = error.code(), error.details() or ""
        # The stubs take it for the synchronous kind.
        metadata: Any = error.trailing_metadata()
        if ERROR_KEY in metadata:
            return known(metadata[ERROR_KEY])(line)
        match code:
            case grpc.StatusCode.UNAUTHENTICATED:
                return TokenError(self._address, given=bool(self._metadata))
            case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
                return UnreachableError(self._address, line.rpartition("last error: ")[2])
            case _:
                return TailraceError(f"the control room at {self._address}: {code.name}, {line}")
