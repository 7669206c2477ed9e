"""Inflating a compressed body piece by piece, so that a small one cannot become a huge one."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from tailrace.service.errors import RequestError

_PIECE_BYTES = 256 * 2**10
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


class Inflater:
    """Takes a body in `gzip` (RFC 1952, several members too) or `deflate`: with zlib's frame (RFC
    1950) as it must be, or without, as some clients send it."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._inner = zlib.decompressobj(_GZIP) if coding == "gzip" else None
        self._ended = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What `data` inflates to, in pieces of bounded size.

        Raises:
            RequestError: it is not compressed in this way.
        """
        while data:
            if self._ended:
                if self._coding != "gzip":
                    raise RequestError(f"the body goes on after the end of its {self._coding}")
                self._inner, self._ended = zlib.decompressobj(_GZIP), False
            if self._inner is None:
                # CMF of deflate with a window of any size.
                self._inner = zlib.decompressobj(_ZLIB if data[0] & 0x8F == 0x08 else _RAW)
            try:
                piece = self._inner.decompress(data, _PIECE_BYTES)
            except zlib.error as error:
                raise RequestError(f"the body is no {self._coding}: {error}") from error
            self._ended = self._inner.eof
            data = self._inner.unused_data if self._ended else self._inner.unconsumed_tail
            if piece:
                yield piece

    def end(self) -> None:
        """To be called when the body has ended.

        Raises:
            RequestError: its compression has not.
        """
        if not self._ended:
            raise RequestError(f"the body ends within its {self._coding}")
