"""Serves a LoadControl over gRPC, with reflection and the standard health service."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from ipaddress import ip_address

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from tailrace.control.faces.rpc.access import TokenInterceptor
from tailrace.control.faces.rpc.face import Face
from tailrace.control.faces.rpc.schema import SERVICE
from tailrace.control.faces.rpc.wire import KEEPALIVE
from tailrace.control.guesses import Guesses
from tailrace.control.interface import LoadControl
from tailrace.control.tls import Tls
from tailrace.errors import UsageError

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


@contextlib.asynccontextmanager
async def serving_rpc(
    control: LoadControl,
    host: str = "127.0.0.1",
    port: int = 2222,
    token: str | None = None,
    tls: Tls | None = None,
    guesses: Guesses | None = None,
) -> AsyncIterator[int]:
    """Answer for `control` as long as the context lasts; gives the port, for 0 one that was free.

    With a `token` only those who send it are answered; `guesses` counts the wrong ones, those of
    other faces included. Streams end with the context.

    Raises:
        UsageError: the port cannot be had, a file of `tls` cannot be used, or the address is not a
            loopback one and there is no token.
    """
    if token is None and not _is_loopback(host):
        raise UsageError(f"set TAILRACE_TOKEN to serve gRPC on {host}: anyone could start load")
    credentials = _credentials(tls) if tls is not None else None
    _require_free(host, port)
    access = [TokenInterceptor(token, guesses or Guesses())] if token is not None else []
    server = grpc.aio.server(interceptors=access, options=_OPTIONS)
    face = Face(control)
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


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    tls.context()
    certificate, key = tls.pem()
    return grpc.ssl_server_credentials([(key, certificate)])


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


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
