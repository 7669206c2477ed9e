"""Serves a LoadControl over gRPC, with reflection and the standard health service."""

import asyncio
import contextlib
import socket
import string
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, NoReturn, TypeAlias
from urllib.parse import quote

import grpc
import grpc.aio
import msgspec
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from tailrace.control.faces.rpc import ERROR_KEY, KEEPALIVE
from tailrace.control.faces.rpc.access import TokenInterceptor
from tailrace.control.faces.rpc.codec import Codec, codec
from tailrace.control.faces.rpc.schema import SERVICE
from tailrace.control.guesses import Guesses
from tailrace.control.interface import METHODS, LoadControl, Point, RunRecord, Update
from tailrace.control.methods import Method
from tailrace.errors import TailraceError, UsageError, known_as
from tailrace.net import Certificate, is_loopback

MOST_CONNECTIONS = 1024
"""Open at once; more are refused."""
_OPTIONS = (
    *KEEPALIVE,
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.max_receive_message_length", 1 << 20),
    ("grpc.max_concurrent_streams", 1000),
    # Who connects and says nothing is let go.
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_allowed_incoming_connections", MOST_CONNECTIONS),
    # Two control rooms on one port would share its clients between them without a word.
    ("grpc.so_reuseport", 0),
)
_GRACE_S = 1.0
_POINTS_A_PART = 32
"""Of a run: translated in a few milliseconds, so that the event loop is never held for long."""
_LONGEST_LINE = 6000
"""Bytes of an error's line, as it is sent: clients refuse metadata above 8 KiB."""
_KEPT = 256

_Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"


@contextlib.asynccontextmanager
async def serving_rpc(
    control: LoadControl,
    host: str = "127.0.0.1",
    port: int = 2222,
    token: str | None = None,
    tls: Certificate | None = None,
    guesses: Guesses | None = None,
) -> AsyncIterator[int]:
    """Answer for `control` as long as the context lasts; gives the port, for 0 one that was free.

    With a `token` only those who send it are answered; `guesses` counts the wrong ones, those of
    other faces included. Streams end with the context.

    Raises:
        UsageError: the port cannot be had, a file of `tls` cannot be used, or the address is not a
            loopback one and there is no token.
    """
    if token is None and not is_loopback(host):
        raise UsageError(f"set TAILRACE_TOKEN to serve gRPC on {host}: anyone could start load")
    credentials = None
    if tls is not None:
        # Refuses what cannot be used, which gRPC does later and without a reason.
        tls.context()
        certificate, key = tls.pem()
        credentials = grpc.ssl_server_credentials([(key, certificate)])
    _require_free(host, port)
    access = [TokenInterceptor(token, guesses or Guesses())] if token is not None else []
    server = grpc.aio.server(interceptors=access, options=_OPTIONS)
    face = _Face(control)
    server.add_generic_rpc_handlers([face.handler])
    status = health.aio.HealthServicer()  # type: ignore[attr-defined]
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if credentials is None:
            bound = server.add_insecure_port(address)
        else:
            bound = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise UsageError(f"gRPC cannot be served on {address}: {error}") from None
    await server.start()
    await status.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
    try:
        yield bound
    finally:
        # Tells those who watch the health first; one who does not read may not hold this up.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(status.enter_graceful_shutdown(), _GRACE_S)
        face.end_streams()
        await server.stop(_GRACE_S)


def _require_free(host: str, port: int) -> None:
    """Say why a port cannot be had, which gRPC does not."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, address in addresses:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                probe.listen()
    except OSError as error:
        raise UsageError(
            f"gRPC cannot be served on {host} port {port}: {error.strerror}; is another control "
            "room running? Another port can be given, 0 takes any that is free"
        ) from None


class _Face:
    """What a grpc.aio server needs to answer for `control`: its `handler`."""

    def __init__(self, control: LoadControl) -> None:
        self._control = control
        self._streams: set[asyncio.Task[None]] = set()
        self._updates = PackedUpdates()
        methods = {method.rpc: self._handler(method) for method in METHODS}
        self.handler = grpc.method_handlers_generic_handler(SERVICE, methods)

    def end_streams(self) -> None:
        """Tell everyone who still reads a stream that the control room is going away."""
        for stream in self._streams:
            stream.cancel()

    def _handler(self, method: Method) -> "grpc.RpcMethodHandler[bytes, bytes]":
        # Without serializers bytes go in and out as they are.
        def ask(data: bytes) -> Any:
            request = codec(method.request).decode(data) if method.request is not None else None
            return method.call(self._control, request)

        async def answer(data: bytes, context: _Context) -> bytes:
            try:
                answered = await ask(data)
                if method.response is None:
                    return b""
                return codec(method.response).encode(method.wrap(answered))
            except TailraceError as error:
                return await _abort(context, error)

        async def stream(data: bytes, context: _Context) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._streams.add(task)
            try:
                asked = ask(data)
                parts = self._packed(method, asked) if method.streams else _parts(await asked)
                async with contextlib.aclosing(parts):
                    async for part in parts:
                        # Waits while the client does not read.
                        await context.write(part)
            except TailraceError as error:
                await _abort(context, error)
            except asyncio.CancelledError:
                if context.cancelled():
                    raise
                await context.abort(grpc.StatusCode.UNAVAILABLE, "it has stopped")
            finally:
                self._streams.discard(task)

        if method.streams or method.in_parts:
            return grpc.unary_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(answer)

    async def _packed(self, method: Method, items: AsyncGenerator[Any]) -> AsyncGenerator[bytes]:
        async with contextlib.aclosing(items):
            async for item in items:
                if isinstance(item, Update):
                    yield self._updates.bytes_of(item)
                else:
                    yield codec(method.answer).encode(item)


class PackedUpdates:
    """The bytes of updates, each translated once for all who watch it; those of the last few are
    kept.
    """

    def __init__(self) -> None:
        self._recent: OrderedDict[int, tuple[Update, bytes]] = OrderedDict()

    def bytes_of(self, update: Update) -> bytes:
        """`update` as a `tailrace.v1.Update`."""
        # The update is kept beside its bytes, so no other one can have its identity meanwhile.
        known = self._recent.get(id(update))
        if known is not None:
            return known[1]
        data = codec(Update).encode(update)
        self._recent[id(update)] = update, data
        if len(self._recent) > _KEPT:
            self._recent.popitem(last=False)
        return data


class _Points(msgspec.Struct):
    points: tuple[Point, ...]


_POINTS = Codec(_Points, RunRecord.__name__)


async def _parts(record: RunRecord) -> AsyncGenerator[bytes]:
    """All but the points, then the points; bytes of messages add up to those of the whole."""
    yield codec(RunRecord).encode(msgspec.structs.replace(record, points=()))
    for first in range(0, len(record.points), _POINTS_A_PART):
        points = record.points[first : first + _POINTS_A_PART]
        yield _POINTS.encode(_Points(points))


async def _abort(context: _Context, error: TailraceError) -> NoReturn:
    """Answer with the error's status, its line and its name."""
    line = str(error)
    if len(quote(line, safe=string.printable)) > _LONGEST_LINE:
        # What is wrong stands at its beginning or its end; between them, what was given.
        line = f"{line[:200]} … {line[-200:]}"
    code = grpc.StatusCode[error.rpc_status]
    await context.abort(code, line, ((ERROR_KEY, known_as(error).__name__),))
