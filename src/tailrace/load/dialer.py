"""Opens connections to one endpoint: addresses taken in turn, TLS, Unix sockets."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable
from time import monotonic

from tailrace.errors import TailraceError
from tailrace.load.target import Endpoint

_RESOLVE_EVERY_S = 10.0


class DialError(TailraceError):
    """The endpoint's settings cannot be used at all."""


class Dialer:
    """Connects to an endpoint, to each of its addresses in turn; a name is looked up anew every
    ten seconds, so that load follows it.

    Raises:
        DialError: the file of trusted authorities cannot be used.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._context = _tls_context(endpoint) if endpoint.tls else None
        self._addresses: list[str] = []
        self._resolved_s = float("-inf")
        self._next = 0

    async def dial(self, factory: Callable[[], asyncio.Protocol]) -> None:
        """One connection, its protocol made by `factory`.

        Raises:
            OSError: it cannot be opened: refused, unreachable, no such name, TLS fails.
        """
        loop = asyncio.get_running_loop()
        endpoint = self._endpoint
        server_name = endpoint.host if self._context is not None else None
        if endpoint.unix_socket is not None:
            await loop.create_unix_connection(
                factory, endpoint.unix_socket, ssl=self._context, server_hostname=server_name
            )
            return
        address = await self._address()
        await loop.create_connection(
            factory, address, endpoint.port, ssl=self._context, server_hostname=server_name
        )

    async def _address(self) -> str:
        if monotonic() - self._resolved_s > _RESOLVE_EVERY_S:
            # Before the first wait: one look-up is enough for all who come meanwhile.
            self._resolved_s = monotonic()
            try:
                self._addresses = await _resolve(self._endpoint.host, self._endpoint.port)
            except OSError:
                self._resolved_s = float("-inf")
                if not self._addresses:
                    raise
        elif not self._addresses:
            return self._endpoint.host
        self._next = (self._next + 1) % len(self._addresses)
        return self._addresses[self._next]


async def _resolve(host: str, port: int) -> list[str]:
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _tls_context(endpoint: Endpoint) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=endpoint.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise DialError(f"cannot use the CA file {endpoint.ca_file}: {error}") from None
    if not endpoint.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context
