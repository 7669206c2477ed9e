import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.load.server_timing import ABSENT, read_header, read_headers


@pytest.mark.parametrize(
    ("header", "durations_ms"),
    [
        (b"queue;dur=1.5, infer;dur=20", {"queue": 1.5, "infer": 20}),
        (b'infer;desc="model; one";dur=3', {"infer": 3}),
        (b'infer;dur=3;desc="model"', {"infer": 3}),
        (b"miss, db;dur=x, ok;dur=0.001", {"ok": 0.001}),
        (b"db;dur=1, cache;dur=0, db;dur=2.5", {"db": 3.5, "cache": 0}),
        (b"big;dur=1e400, \xff;dur=1, =;;,", {}),
        (b"long;dur=1e20, back;dur=-1, none;dur=nan, ok;dur=2", {"ok": 2}),
        (b"v2;dur=5, st1age;dur=0.5", {"v2": 5, "st1age": 0.5}),
        (b"a;dur=1.2.3, b;dur=4", {"b": 4}),
        (b"a;dur=, b;dur=4", {"b": 4}),
        (b"", {}),
    ],
)
def test_a_header(header: bytes, durations_ms: dict[str, float]) -> None:
    assert read_header(header) == {name: int(ms * 1e6) for name, ms in durations_ms.items()}
    assert one_by_one([header] * 3) == read_all([header] * 3)


NAMES = st.sampled_from(["queue", "batch-wait", "infer", "db2", "2", "a.b", ""])
NUMBERS = st.one_of(
    st.decimals(0, 10_000, places=4).map(str),
    st.sampled_from(["0", "5.", ".5", "1e3", "-1", "1.2.3", "", "9999999999", "x", "1_0", "3;x=7"]),
)
PLAIN = st.lists(st.tuples(NAMES, NUMBERS), max_size=4).map(
    lambda entries: ", ".join(f"{name};dur={number}" for name, number in entries)
)
ANY = st.text(st.sampled_from("ab1.,;= dur-"), max_size=30)


@settings(deadline=None)
@given(st.lists(st.one_of(PLAIN, ANY).map(str.encode), max_size=8))
def test_together_as_one_by_one(headers: list[bytes]) -> None:
    assert read_all(headers) == one_by_one(headers)


@settings(deadline=None)
@given(st.lists(st.lists(st.decimals(0, 10_000, places=4), min_size=3, max_size=3), min_size=1))
def test_headers_of_one_shape(rows: list[list[object]]) -> None:
    headers = [b"queue;dur=%b, infer;dur=%b,queue;dur=%b" % tuple(map(encode, row)) for row in rows]
    assert read_all(headers) == one_by_one(headers)


def encode(number: object) -> bytes:
    return str(number).encode()


def one_by_one(headers: list[bytes]) -> list[dict[str, int]]:
    return [read_header(header) for header in headers]


def read_all(headers: list[bytes]) -> list[dict[str, int]]:
    found = read_headers(headers)
    assert all(spans.dtype == np.int64 for spans in found.values())
    return [
        {name: int(spans[row]) for name, spans in found.items() if spans[row] != ABSENT}
        for row in range(len(headers))
    ]
