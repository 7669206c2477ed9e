"""What workers write to stderr."""

from __future__ import annotations

import asyncio

import pytest

from tailrace.service.relay import Relay

PICTURES = (
    b"libpng error: IDAT: CRC error\n",
    b"libpng warning: iCCP: known incorrect sRGB profile\n",
    b"Corrupt JPEG data: 5 extraneous bytes before marker 0xd9\n",
    b"Premature end of JPEG file\n",
    b"Invalid SOS parameters for sequential JPEG\n",
    b"Warning: unknown JFIF revision number 9.99\n",
    b"Unknown Adobe color transform code 7\n",
    b"Inconsistent progression sequence for component 0 coefficient 1\n",
)


async def relayed(*pieces: bytes) -> tuple[list[int], list[str]]:
    """What is counted, and what is said at the end."""
    said: list[str] = []
    counted: list[int] = []
    relay = Relay(said.append)
    stream = asyncio.StreamReader()
    passing = asyncio.create_task(relay.pass_on(stream, counted.append))
    for piece in pieces:
        stream.feed_data(piece)
        await asyncio.sleep(0)
    stream.feed_eof()
    await passing
    relay.say_sum()
    relay.say_sum()
    return counted, said


@pytest.mark.parametrize("size", [1, 7, 99_999])
async def test_lines_about_pictures_are_counted_and_others_passed_on(
    capfdbinary: pytest.CaptureFixture[bytes], size: int
) -> None:
    others = [b"Traceback (most recent call last):\n", b"\xff\xfe\n", b"\n", b"the last, no end"]
    text = b"".join([*PICTURES, others[0], *PICTURES * 100, *others[1:]])
    pieces = [text[begin : begin + size] for begin in range(0, len(text), size)]
    counted, said = await relayed(*pieces)
    assert capfdbinary.readouterr().err == b"".join(others)
    assert sum(counted) == 101 * len(PICTURES)
    assert said == [f"808 broken pictures, the last: {PICTURES[-1].decode().strip()}"]


async def test_lines_without_an_end_are_not_kept(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    counted, said = await relayed(*[b"x" * 50_000] * 20)
    assert capfdbinary.readouterr().err == b"x" * 1_000_000
    assert (counted, said) == ([], [])
