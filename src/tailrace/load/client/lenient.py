"""Answers that are not quite HTTP/1.1 but cannot be mistaken: put in order for the parser.

RFC 9112 asks of some of it, and lets a client accept the rest, as curl does. The parser refuses it,
so an answer that it stumbles over is read a second time, through here.
"""

import re
from collections.abc import Callable

import httptools

_HEAD = re.compile(rb"\s*(\S.*?)\r?\n\r?\n", re.DOTALL)
_STATUS = re.compile(rb"HTTP/1\.\d[ \t]+(\d{3})(?:[ \t]+([^\r\n]*))?", re.IGNORECASE)
_FOLD = re.compile(rb"\r?\n[ \t]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,16})[ \t]*(?:;.*)?")
_MAX_LINE = 16 * 1024
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class LenientParser:
    """Stands in for an HttpResponseParser: takes what that refuses.

    - lines that end in a bare LF; empty lines before the status line;
    - `HTTP/1.1  200	OK`, `http/1.1 200`, HTTP/1.2 and later minor versions (RFC 9110, 2.5);
    - header lines that are folded, that have space before the colon, no name, or a control
      character in their value;
    - Content-Length that says the same several times (RFC 9110, 8.6), or next to chunks, which
      override it (RFC 9112, 6.3); the transfer coding `identity`;
    - chunk extensions of any form, and space around them (RFC 9112, 7.1.1);
    - interim responses with a `Connection` of their own.

    Args:
        protocol: what an HttpResponseParser tells of what comes.
        has_body: whether the answer in hand has one, as far as the request tells.
    """

    def __init__(self, protocol: object, has_body: Callable[[], bool]) -> None:
        self._parser = httptools.HttpResponseParser(protocol)
        self._has_body = has_body
        self._rest = b""
        self._step = self._head
        self._left = 0
        """Bytes of the body, or of the chunk, still to come."""
        self._ended = False
        """Whether an answer has come to its end."""
        self.get_status_code = self._parser.get_status_code
        self.should_keep_alive = self._parser.should_keep_alive

    def feed_data(self, data: bytes) -> None:
        """Take bytes as they come.

        Raises:
            HttpParserError: this is no HTTP/1.1.
        """
        self._rest += data
        self._ended = False
        while (piece := self._step()) is not None:
            if piece:
                self._parser.feed_data(piece)
        if self._ended and self._rest.strip():
            raise httptools.HttpParserError("Data behind the answer")

    def _end(self) -> None:
        self._step = self._head
        self._ended = True

    def _take(self, count: int) -> bytes:
        piece, self._rest = self._rest[:count], self._rest[count:]
        return piece

    def _line(self) -> bytes | None:
        end = self._rest.find(b"\n")
        if end < 0 and len(self._rest) > _MAX_LINE:
            raise httptools.HttpParserError("A line without end")
        return None if end < 0 else self._take(end + 1).rstrip(b"\r\n")

    def _head(self) -> bytes | None:
        match = _HEAD.match(self._rest)
        first, end, _ = self._rest.lstrip().partition(b"\n")
        first = first.rstrip(b"\r")
        status = _STATUS.fullmatch(first)
        if (end and status is None) or not b"HTTP/".startswith(first[:5].upper()):
            raise httptools.HttpParserError("Invalid status line")
        if match is None or status is None:
            return None
        self._take(match.end())
        _, *lines = _FOLD.sub(b" ", match[1]).split(b"\n")
        code = int(status[1])
        if 100 <= code < 200 and code != 101:
            return b""
        fields = [_field(line) for line in lines]
        lengths = {length.removeprefix(b"+") for length in _listed(fields, b"content-length")}
        codings = [coding.lower() for coding in _listed(fields, b"transfer-encoding")]
        codings = [coding for coding in codings if coding != b"identity"]
        if codings:
            lengths = set()
        if len(lengths) > 1:
            raise httptools.HttpParserError("Content-Length is said twice, and not alike")
        framing = (b"content-length", b"transfer-encoding")
        kept = [(name, value) for name, value in fields if name.lower() not in framing]
        kept += [(b"Content-Length", length) for length in lengths]
        kept += [(b"Transfer-Encoding", b", ".join(codings))] * bool(codings)
        self._begin_body(code, codings, next(iter(lengths), None))
        # The minor version tells whether the connection stays: 1.0 unless it says so.
        version = first[:8].upper() if first[7:8] in b"01" else b"HTTP/1.1"
        head = [b"%b %b %b" % (version, status[1], status[2] or b"")]
        head += [b"%b: %b" % field for field in kept if _TOKEN.fullmatch(field[0])]
        return b"\r\n".join([*head, b"", b""])

    def _begin_body(self, code: int, codings: list[bytes], length: bytes | None) -> None:
        if code in (204, 304) or not self._has_body():
            self._end()
        elif codings:
            self._step = self._size if codings[-1] == b"chunked" else self._until_the_end
        elif length is None:
            self._step = self._until_the_end
        elif not length.isdigit():
            raise httptools.HttpParserError("Invalid character in Content-Length")
        else:
            self._left = int(length)
            self._step = self._body

    def _until_the_end(self) -> bytes | None:
        return self._take(len(self._rest)) or None

    def _body(self) -> bytes | None:
        piece = self._take(self._left)
        self._left -= len(piece)
        if not self._left:
            self._end()
        return piece or None

    def _size(self) -> bytes | None:
        line = self._line()
        if line is None:
            return None
        match = _SIZE.fullmatch(line)
        if match is None:
            raise httptools.HttpParserError("Invalid character in chunk size")
        self._left = int(match[1], 16)
        self._step = self._chunk if self._left else self._trailer
        return b"%x\r\n" % self._left

    def _chunk(self) -> bytes | None:
        piece = self._take(self._left)
        self._left -= len(piece)
        if not self._left:
            self._step = self._chunk_end
        return piece or None

    def _chunk_end(self) -> bytes | None:
        line = self._line()
        if line:
            raise httptools.HttpParserError("Expected LF after chunk data")
        if line is not None:
            self._step = self._size
            return b"\r\n"
        return None

    def _trailer(self) -> bytes | None:
        line = self._line()
        if line is None:
            return None
        if line:
            return b""
        self._end()
        return b"\r\n"


def _listed(fields: list[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """All that lines of that name say, which are one list (RFC 9110, 5.3)."""
    lines = [value for known, value in fields if known.lower() == name]
    return [each.strip() for line in lines for each in line.split(b",")]


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon:
        raise httptools.HttpParserError("Invalid header token")
    return name.strip(), _CONTROL.sub(b" ", value).strip()
