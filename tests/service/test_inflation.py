"""Compressed bodies, inflated piece by piece."""

from __future__ import annotations

import gzip
import itertools
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.service.errors import RequestError
from tailrace.service.inflation import Inflater


def raw_deflate(data: bytes) -> bytes:
    made = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return made.compress(data) + made.flush()


def members(data: bytes) -> bytes:
    return gzip.compress(data[:10]) + gzip.compress(b"") + gzip.compress(data[10:])


WAYS = {
    "gzip": ("gzip", gzip.compress),
    "several members": ("gzip", members),
    "deflate": ("deflate", zlib.compress),
    "deflate of a small window": ("deflate", lambda data: zlib.compress(data, wbits=9)),
    "deflate without its frame": ("deflate", raw_deflate),
}


def inflated(coding: str, data: bytes, size: int) -> list[bytes]:
    inflater = Inflater(coding)
    pieces = [data[begin : begin + size] for begin in range(0, len(data), size)]
    found = list(itertools.chain.from_iterable(map(inflater.feed, pieces)))
    inflater.end()
    return found


@pytest.mark.parametrize("way", WAYS)
@given(data=st.binary(max_size=3000), size=st.integers(1, 4000))
def test_there_and_back(way: str, data: bytes, size: int) -> None:
    coding, compress = WAYS[way]
    assert b"".join(inflated(coding, compress(data), size)) == data


@pytest.mark.parametrize("way", WAYS)
def test_no_piece_is_huge(way: str) -> None:
    coding, compress = WAYS[way]
    pieces = inflated(coding, compress(bytes(50 * 2**20)), 2**20)
    assert sum(map(len, pieces)) == 50 * 2**20
    assert max(map(len, pieces)) <= 256 * 2**10


@pytest.mark.parametrize("way", WAYS)
def test_cut_off_anywhere(way: str) -> None:
    coding, compress = WAYS[way]
    whole = compress(b"hello, world" * 100)
    for end in (0, 1, 2, 10, len(whole) - 1):
        with pytest.raises(RequestError, match=f"the body (ends within its|is no) {coding}"):
            inflated(coding, whole[:end] + (b"" if way != "several members" else b"\x1f"), 7)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("data", [b"x", b"hello, world", b"\x00" * 50, bytes(range(256))])
def test_what_is_not_compressed(coding: str, data: bytes) -> None:
    with pytest.raises(RequestError, match=coding):
        inflated(coding, data, 99)


def test_more_than_a_body_of_deflate() -> None:
    with pytest.raises(RequestError, match="goes on after the end"):
        inflated("deflate", zlib.compress(b"hello") + b"x", 99)


def test_wrong_checksum() -> None:
    whole = bytearray(gzip.compress(b"hello"))
    whole[-8] ^= 1
    with pytest.raises(RequestError, match="is no gzip"):
        inflated("gzip", bytes(whole), 99)
