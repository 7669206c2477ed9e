"""A client's TLS handshake, which counts as a connection from its first moment on.

A server that is given the context itself tells of a connection after its handshake: who begins none
would be nobody's for a minute, and hold a file.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from tailrace.http.guard import Guard


class Handshake(asyncio.Protocol):
    """Until it is done; then a Connection takes its place."""

    is_spare = True
    """It can be closed for another one."""

    def __init__(self, guard: Guard, context: ssl.SSLContext) -> None:
        self.transport: asyncio.Transport
        self.looks = 0
        """How often it was looked at."""
        self._guard = guard
        self._context = context
        self._early = b""
        self._is_lost = False
        self._task: asyncio.Task[None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by descent
        if not self._guard.admit():
            self.transport.abort()
            return
        self._guard.connections.add(self)
        self._task = asyncio.get_running_loop().create_task(self._shake())

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol: of the handshake, what comes before that is under way, which no
        pause keeps back (uvloop reads as soon as a connection is made); then of a request that
        is sent along with its end.
        """
        self._early += data

    def _hand_over(self) -> None:
        """Give the handshake what came before it."""
        early, self._early = self._early, b""
        # A buffered protocol, though uvloop's is none by descent.
        protocol = cast(asyncio.BufferedProtocol, self.transport.get_protocol())
        while early:
            buffer = memoryview(protocol.get_buffer(len(early)))
            count = min(len(buffer), len(early))
            buffer[:count] = early[:count]
            protocol.buffer_updated(count)
            early = early[count:]

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._is_lost = True

    def look(self) -> None:
        """Counts how long it takes; its end is the event loop's to see to."""
        self.looks += 1

    def shutdown(self) -> None:
        """See uvicorn's protocols."""
        self.transport.abort()

    async def _shake(self) -> None:
        loop = asyncio.get_running_loop()
        handshake = loop.create_task(
            loop.start_tls(
                self.transport,
                self,
                self._context,
                server_side=True,
                ssl_handshake_timeout=self._guard.limits.head_s,
            )
        )
        try:
            # Now it has taken the transport, and reads no more before it is told of it.
            await asyncio.sleep(0)
            if self._early:
                loop.call_soon(self._hand_over)
            transport = await handshake
        except OSError:
            # No TLS, not in time, or gone.
            self._guard.refused += 1
            self.transport.abort()
            return
        finally:
            self._guard.connections.discard(self)
        if transport is None or self._is_lost:
            return
        connection = self._guard.connection()
        transport.set_protocol(connection)
        connection.connection_made(transport)
        if self._early:
            connection.data_received(self._early)
