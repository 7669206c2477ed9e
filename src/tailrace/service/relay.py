"""What a worker process writes to stderr: passed on, but for what picture decoders say of broken
pictures, which is counted. Clients choose the pictures, and could fill the disk with a line each.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable

SUMMARY_S = 60.0
"""How often it is said that there were any, if there were."""

# All warnings of libjpeg (jerror.h), of which it says one a picture, and libpng's.
_OF_PICTURES = re.compile(
    rb"libpng (?:error|warning): |Corrupt JPEG data: |Premature end of JPEG file"
    rb"|Invalid SOS parameters for sequential JPEG|Inconsistent progression sequence for"
    rb"|Warning: unknown JFIF revision|Unknown Adobe color transform code"
    rb"|Application transferred too many scanlines"
)
_AT_ONCE_BYTES = 64 * 2**10


class Relay:
    """Counts the lines about pictures of all workers."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._new = 0
        self._last = b""

    async def pass_on(self, stream: asyncio.StreamReader, count: Callable[[int], None]) -> None:
        """Reads to the end what one worker writes; `count` is told how many lines more were about
        pictures."""
        begun = b""
        while data := await stream.read(_AT_ONCE_BYTES):
            *lines, begun = (begun + data).splitlines(keepends=True) or [b""]
            if begun.endswith(b"\n") or len(begun) > _AT_ONCE_BYTES:
                lines, begun = [*lines, begun], b""
            await self._sort(lines, count)
        await self._sort([begun], count)

    async def sum_up(self) -> None:
        """Says from time to time how many lines were about pictures, until it is cancelled."""
        while True:
            await asyncio.sleep(SUMMARY_S)
            self.say_sum()

    def say_sum(self) -> None:
        """Says how many lines were about pictures since it was last said, if there were any."""
        if self._new:
            last = self._last.decode(errors="replace").strip()
            self._say(f"{self._new:,} broken pictures, the last: {last}")
            self._new = 0

    async def _sort(self, lines: list[bytes], count: Callable[[int], None]) -> None:
        of_pictures = [line for line in lines if _OF_PICTURES.match(line)]
        if of_pictures:
            self._new += len(of_pictures)
            self._last = of_pictures[-1]
            count(len(of_pictures))
        if others := b"".join(line for line in lines if not _OF_PICTURES.match(line)):
            # Whoever reads slowly holds up this worker's words alone.
            await asyncio.to_thread(_write, others)


def _write(data: bytes) -> None:
    sys.stderr.buffer.write(data)
    sys.stderr.flush()
