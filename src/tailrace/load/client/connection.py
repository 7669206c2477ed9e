"""One HTTP/1.1 connection of a load worker, with at most one request on it."""

import asyncio
from array import array
from collections.abc import Callable
from time import monotonic_ns
from typing import TYPE_CHECKING, cast

import httptools

from tailrace.load.client.lenient import LenientParser
from tailrace.load.client.request import AGAIN, LAST, NO_BODY
from tailrace.load.measure.failures import answer_reason, protocol_reason
from tailrace.load.measure.recorder import LAST_ROW, PART

if TYPE_CHECKING:
    from tailrace.load.client.pool import Pool

_PART_MASK = PART - 1
_MAX_STAGES_HEADER = 4096
_SPECIAL = NO_BODY | LAST
_SHOWN = 2048
"""Bytes of an answer that are kept, to show them where it is a failure."""
_CUT = 1 << 62
"""Stands for the number of an answer's bytes from where they are not kept any more."""
_MAX_HEAD = 256 * 1024
"""Bytes of status line and headers beyond which an answer is not HTTP any more."""


class Connection(asyncio.Protocol):
    """One connection.

    `intended` is the intended time of the request on it, or 0; `sent_ns` is when that was sent;
    `lost` tells that the connection can take no more; `sent` counts its requests, to `address`;
    `rest` is where it is put while it has nothing to do.
    """

    __slots__ = (
        "_answer",
        "_asked_ns",
        "_framed",
        "_good",
        "_head",
        "_headers_done",
        "_manner",
        "_owner",
        "_parser",
        "_recorder",
        "_request",
        "_stages",
        "_waits",
        "address",
        "intended",
        "lost",
        "rest",
        "sent",
        "sent_ns",
        "transport",
    )

    transport: asyncio.Transport
    rest: "Callable[[Connection], None]"

    def __init__(self, owner: "Pool", address: str) -> None:
        self.address = address
        self.sent = 0
        self._owner = owner
        self._recorder = owner.recorder
        self._good = owner.good
        self.sent_ns = 0
        self._asked_ns = 0
        self._waits = owner.recorder.connects
        self._framed = False
        self._head = 0
        self._answer = b""
        self._headers_done = False
        self._manner = 0
        self._request = b""
        self._stages: bytes | None = None
        self._parser: httptools.HttpResponseParser | LenientParser = httptools.HttpResponseParser(
            self
        )
        self.intended = 0
        self.lost = False

    @property
    def answering(self) -> bool:
        """Whether the first byte of an answer has come."""
        return self._head > 0

    def send(
        self,
        intended_ns: int,
        request: bytes,
        manner: int,
        asked_ns: int = 0,
        waits: "array[int] | None" = None,
    ) -> None:
        """Put a request on the wire whose intended time was `intended_ns` (CLOCK_MONOTONIC).

        One that waited for a connection did so since `asked_ns`; how long stands in `waits`, of the
        recorder, once it is answered. How late it was asked for is noted already.
        """
        self.intended = intended_ns
        self._request = request
        self._manner = manner
        now = monotonic_ns()
        self.sent_ns = now
        self.transport.write(request)
        self.sent += 1
        if waits is not None:
            self._asked_ns = asked_ns
            self._waits = waits
            return
        recorder = self._recorder
        row = recorder.lag_row
        recorder.send_lags[row] = now - intended_ns
        recorder.lag_row = row + 1
        if row == LAST_ROW:
            recorder.fold()

    def fail(self, reason: str) -> None:
        """The request in flight has failed; the connection is not used again."""
        intended, self.intended = self.intended, 0
        self.lost = True
        self._failed(intended, reason, self._answer if self._head else b"")
        self.transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._owner.made(self)

    def data_received(self, data: bytes) -> None:
        if not self.intended:
            # Nobody asked: whatever it is, it belongs to no request of ours.
            self._discard()
            return
        if not self._headers_done:
            self._answer = self._answer + data if self._head else data
            self._head += len(data)
        elif len(self._answer) < _SHOWN:
            self._answer += data
        else:
            self._head = _CUT
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._read_again(error):
                return
        # Only now: bytes behind the answer, in the same read, must not count for the next request.
        if not self.intended:
            if self.lost:
                if self.transport.get_write_buffer_size():
                    # The server does not read the rest of the request: it would never be gone.
                    self.transport.abort()
                else:
                    self.transport.close()
                return
            if self._manner & NO_BODY:
                # The parser would wait for the body that the headers speak of.
                self._parser = httptools.HttpResponseParser(self)
            self._owner.free(self)
        elif not self._headers_done and self._head > _MAX_HEAD:
            self.fail("protocol: status line and headers are too long")

    def eof_received(self) -> bool:
        """The server closes; that ends a body that has no length of its own (RFC 9112, 6.3)."""
        self.lost = True
        if self.intended and self._headers_done and not self._framed:
            self.on_message_complete()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        intended, self.intended = self.intended, 0
        connects = self._recorder.connects
        if intended and not self._head and self.sent > 1 and self._manner & AGAIN:
            # The server was closing it as the request came: it has not been looked at.
            self.sent -= 1
            since = (self._asked_ns, self._waits) if self._asked_ns else (self.sent_ns, connects)
            self._owner.again(intended, self._request, self._manner & ~AGAIN, *since)
        elif intended:
            kept = ", on a connection that was kept" if self.sent > 1 else ""
            self._failed(
                intended,
                "reset: within the answer" if self._head else f"reset: before an answer{kept}",
            )
        self._owner.forget(self)

    # httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line; three of them matter."""
        length = len(name)
        if length == 13:
            if name.lower() == b"server-timing":
                # Lines of one name are one list (RFC 9110, 5.3).
                said = value if self._stages is None else b"%b, %b" % (self._stages, value)
                if len(said) > _MAX_STAGES_HEADER:
                    said = said[:_MAX_STAGES_HEADER].rpartition(b",")[0]
                self._stages = said
        elif (length == 14 and name.lower() == b"content-length") or (
            # Any other coding has no end but the connection's (RFC 9112, 6.3).
            length == 17 and name.lower() == b"transfer-encoding" and b"chunked" in value.lower()
        ):
            self._framed = True

    def on_headers_complete(self) -> None:
        self._headers_done = True
        if self._manner & _SPECIAL:
            self.lost = self.lost or self._manner & LAST != 0
            if self._manner & NO_BODY and self._parser.get_status_code() >= 200:
                self.on_message_complete()

    def on_message_complete(self) -> None:
        """The answer is whole: note it down."""
        now = monotonic_ns()
        status = self._parser.get_status_code()
        intended = self.intended
        if status < 200 or not intended:
            self._headers_done = self._framed = False
            self._stages = None
            if not intended:
                # A second answer to one request; or the end of one that was told to have no body.
                self.lost = self.lost or not self._manner & NO_BODY
            elif status == 101:
                self.fail("protocol: switches to another protocol (101)")
            elif status < 100:
                self.fail(f"protocol: answers with the status {status:03}")
            # Else an interim response (RFC 9110, 15.2).
            return
        recorder = self._recorder
        self.intended = 0
        if self._good[status]:
            row = recorder.row
            recorder.intended[row] = intended
            recorder.sent[row] = self.sent_ns
            recorder.done[row] = now
            recorder.row = row + 1
            self._owner.completed += 1
            if self._asked_ns:
                self._waits[row] = self.sent_ns - self._asked_ns
                self._asked_ns = 0
            if self._stages is not None:
                recorder.timings[row] = self._stages
                self._stages = None
            if row & _PART_MASK == _PART_MASK:
                recorder.part()
        else:
            self._stages = None
            self._asked_ns = 0
            self._failed(intended, self._reason(status), self._answer)
        self._head = 0
        self._answer = b""
        self._headers_done = self._framed = False
        if not self._parser.should_keep_alive():
            self.lost = True

    def _read_again(self, error: Exception) -> bool:
        """Read what the parser has stumbled over with a more patient one; whether that takes it."""
        if not self.intended:
            self._discard()
            return False
        if self._head < _CUT and not isinstance(self._parser, LenientParser):
            self._headers_done = self._framed = False
            self._stages = None
            self._parser = LenientParser(self, lambda: not self._manner & NO_BODY)
            try:
                self._parser.feed_data(self._answer)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade):
                pass
            else:
                return True
        if self.intended:
            self.fail(protocol_reason(self._answer, error))
        return False

    def _failed(self, intended_ns: int, reason: str, answer: bytes = b"") -> None:
        self._recorder.fail(reason, answer)

    def _reason(self, status: int) -> str:
        return answer_reason(status)

    def _discard(self) -> None:
        self.lost = True
        self.transport.abort()
