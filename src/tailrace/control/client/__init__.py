"""A control room elsewhere, steered as if it were here: over gRPC or REST, awaited or not.

Nothing here decides anything: each method is one call, and each refusal comes back as the very
exception that the controller raised.
"""

import os
import re
from pathlib import Path

from tailrace.control.client.remote import (
    RemoteControl,
    SyncControl,
    TokenError,
    Transport,
    UnreachableError,
)
from tailrace.errors import UsageError
from tailrace.net import trusting

__all__ = [
    "RemoteControl",
    "SyncControl",
    "TokenError",
    "UnreachableError",
    "connect",
    "connect_sync",
]

_ADDRESS = re.compile(r"(?:(grpcs?|https?)://)?(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+)(?::(\d{1,5}))?/?")
_RPC_PORT = 2222


def connect(
    address: str, *, token: str | None = None, ca_file: str | Path | None = None
) -> RemoteControl:
    """The control room at `address`; nothing is sent before the first method is called.

    `host:2222` or `grpc://host:2222` speak gRPC, `http://host:8080` REST; `grpcs://` and `https://`
    do so over TLS, as `host:2222` does with a `ca_file`: certificates to trust (PEM) instead of the
    usual ones. Without a `token` it is $TAILRACE_TOKEN, if that is set.

    Raises:
        UsageError: the address, the token or the file cannot be used.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise UsageError(f"{address!r} is no address: give host:2222 or http://host:8080")
    scheme, host, port = match.groups()
    token = token or os.environ.get("TAILRACE_TOKEN") or None
    if token is not None and not (token.isascii() and token.isprintable()):
        raise UsageError("the token must be printable ASCII, as it travels in a header")
    secure = scheme in ("https", "grpcs") or (scheme is None and ca_file is not None)
    if ca_file is not None and not secure:
        raise UsageError(f"{address} is not encrypted, so a ca_file is of no use to it")
    tls = trusting(ca_file) if secure else None
    transport: Transport
    if scheme in ("http", "https"):
        from tailrace.control.client.rest import RestTransport

        transport = RestTransport(address.rstrip("/"), token, tls)
    else:
        from tailrace.control.client.rpc import RpcTransport

        roots = Path(ca_file).read_bytes() if ca_file is not None else None
        transport = RpcTransport(f"{host}:{port or _RPC_PORT}", token, tls=secure, roots=roots)
    # Its methods are made from LoadControl's, which mypy does not see.
    return RemoteControl(transport)  # type: ignore[abstract]


def connect_sync(
    address: str, *, token: str | None = None, ca_file: str | Path | None = None
) -> SyncControl:
    """As `connect`, for plain scripts: no method is awaited, and `watch` is a plain iterator."""
    return SyncControl(connect(address, token=token, ca_file=ca_file))
