"""One request and its whole answer at a time, on a keep-alive HTTP/1.1 connection.

The load generator's connections keep no bodies, on purpose: here the bodies are what is wanted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic_ns
from typing import Protocol, cast

import httptools

from tailrace.mlperf.network.answer import Answer, Failure

Buffers = Sequence[bytes | memoryview]

_MAX_HEAD = 256 * 1024
_MAX_BODY = 256 * 2**20
"""Bytes beyond which an answer cannot be one to our questions."""
_TENSORS_HEADER = b"inference-header-content-length"
_TENSORS_HEADER_LENGTH = len(_TENSORS_HEADER)


class Exchange(Protocol):
    """A request; it ends in exactly one of `answered` and `failed`. None of these may raise."""

    def encode(self) -> Buffers:
        """The request, head and body; asked for when it can leave."""

    def answered(self, answer: Answer) -> None:
        """The answer is whole, whatever its status."""

    def failed(self, failure: Failure) -> None:
        """There will be none."""


class Owner(Protocol):
    """What a connection tells the pool that it belongs to."""

    authority: str
    """host:port, as failures name the node."""
    keep_alive: bool
    """Whether a connection takes another request after its first."""

    def made(self, connection: Connection) -> None:
        """It is open."""

    def free(self, connection: Connection) -> None:
        """It has nothing to do."""

    def forget(self, connection: Connection) -> None:
        """It is gone."""


class Connection(asyncio.Protocol):
    """One connection, with at most one request on it.

    `lost` tells that it can take no more.
    """

    __slots__ = (
        "_answer",
        "_framed",
        "_head",
        "_headers_done",
        "_json_length",
        "_owner",
        "_parser",
        "_parts",
        "_size",
        "exchange",
        "lost",
        "sent_ns",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, owner: Owner) -> None:
        self.exchange: Exchange | None = None
        self.sent_ns = 0
        self.lost = False
        self._owner = owner
        self._parser = httptools.HttpResponseParser(self)
        self._answer: Answer | None = None
        self._parts: list[bytes] = []
        self._json_length: bytes | None = None
        self._size = 0
        self._head = 0
        self._headers_done = False
        self._framed = False

    def send(self, exchange: Exchange) -> None:
        """Put a request on the wire."""
        self.exchange = exchange
        self.sent_ns = monotonic_ns()
        self.transport.writelines(exchange.encode())

    def fail(self, kind: str, what: str) -> None:
        """The request in flight has failed; the connection is not used again."""
        exchange, self.exchange = self.exchange, None
        self.lost = True
        self.transport.abort()
        if exchange is not None:
            exchange.failed(Failure(kind, f"{self._owner.authority} {what}"))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self.transport = cast(asyncio.Transport, transport)
        self._owner.made(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer."""
        if self.exchange is None:
            # Nobody asked: whatever it is, it belongs to no request of ours.
            self.fail("protocol", "")
            return
        if not self._headers_done:
            self._head += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if self._answer is None:
                self.fail("protocol", "does not answer in HTTP")
                return
            self.lost = True
        # Only now: bytes behind the answer, in the same read, must not count for the next request.
        if self._answer is not None:
            self._finish(self._answer)
        elif self._size > _MAX_BODY or (self._head > _MAX_HEAD and not self._headers_done):
            self.fail("protocol", "answers without an end")

    def eof_received(self) -> bool:
        """The server closes; that ends a body that has no length of its own (RFC 9112, 6.3)."""
        self.lost = True
        if self.exchange is not None and self._headers_done and not self._framed:
            self.on_message_complete()
            if self._answer is not None:
                self._finish(self._answer)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, with or without an answer."""
        self.fail("reset", "closed the connection before its answer was whole")
        self._owner.forget(self)

    # httptools

    def on_message_begin(self) -> None:
        """An answer begins; behind a whole one that is one too many."""
        if self._answer is not None:
            self.lost = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line; three of them matter."""
        length = len(name)
        if (length == 14 and name.lower() == b"content-length") or (
            length == 17 and name.lower() == b"transfer-encoding"
        ):
            self._framed = True
        elif length == _TENSORS_HEADER_LENGTH and name.lower() == _TENSORS_HEADER:
            self._json_length = value

    def on_headers_complete(self) -> None:
        """All header lines are there."""
        self._headers_done = True

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        self._size += len(data)
        if self._size <= _MAX_BODY:
            self._parts.append(data)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        status = self._parser.get_status_code()
        if status < 200:
            # An interim response (RFC 9110, 15.2).
            self._headers_done = False
        elif self._answer is None and self._size <= _MAX_BODY:
            self._answer = Answer(status, b"".join(self._parts), self._json_length)
            if not self._parser.should_keep_alive():
                self.lost = True

    def _finish(self, answer: Answer) -> None:
        exchange = self.exchange
        self.exchange = self._answer = self._json_length = None
        self._parts = []
        self._size = self._head = 0
        self._headers_done = self._framed = False
        if self.lost or not self._owner.keep_alive:
            self.lost = True
            self.transport.close()
        else:
            # First of all: reading the answer takes time, in which the server can work.
            self._owner.free(self)
        if exchange is not None:
            exchange.answered(answer)
