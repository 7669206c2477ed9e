import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.load.measure.server_timing import (
    ABSENT,
    OTHER,
    StageNames,
    read_header,
    read_headers,
)


@pytest.mark.parametrize(
    ("header", "durations_ms"),
    [
        (b"queue;dur=1.5, infer;dur=20", {"queue": 1.5, "infer": 20}),
        (b'infer;desc="model; one";dur=3', {"infer": 3}),
        (b'infer;dur=3;desc="model"', {"infer": 3}),
        (b"miss, db;dur=x, ok;dur=0.001", {"ok": 0.001}),
        (b"db;dur=1, cache;dur=0, db;dur=2.5", {"db": 3.5, "cache": 0}),
        (b"big;dur=1e400, =;;,;dur=3, ,\t", {}),
        (b"long;dur=1e20, back;dur=-1, none;dur=nan, inf;dur=inf, ok;dur=2", {"ok": 2}),
        # Of separators, quotes and white space: RFC 9110, 5.6.
        (b'db;desc="a, b;dur=7";dur=3,app;dur=2', {"db": 3, "app": 2}),
        (rb'db;desc="say \", x;dur=7\\";dur=3, app;dur=2', {"db": 3, "app": 2}),
        (b'app;dur="12.3"', {"app": 12.3}),
        (rb'app;dur=" 1\2.3 " junk;desc=x, b;dur="4"', {"app": 12.3, "b": 4}),
        (b"app \t; DUR\t= 12.3 ;desc=x", {"app": 12.3}),
        (b"app;dur=12.3 junk;desc=x, b ; Dur = 4", {"app": 12.3, "b": 4}),
        (b",, app;dur=1,,\t,b;dur=2,", {"app": 1, "b": 2}),
        (b'app;desc="never closed;dur=1, b;dur=2', {}),
        (b'app;desc="ends in \\', {}),
        # The first of a repeated parameter counts, even if it is nothing (W3C, section 3).
        (b"app;dur=1;dur=2", {"app": 1}),
        (b"app;dur=x;dur=2, b;dur;dur=2, c;dur=;dur=2, d;desc=1;desc=2;dur=4", {"d": 4}),
        (b"app;duration=7;xdur=8;dur=1, b;dur-x=3", {"app": 1}),
        (b"app;dur=1e1, b;dur=+.5, c;dur=2., d;dur=1_0, e;dur=0x9", {"app": 10, "b": 0.5, "c": 2}),
        (b"a;dur=3600000, b;dur=3600001", {"a": 3_600_000}),
        # Names are the server's own text, whatever they look like.
        (b"[/red];dur=1, \x1b[31m;dur=2", {"[/red]": 1, r"\x1b[31m": 2}),
        ("préparation;dur=1".encode(), {"préparation": 1}),
        (b"\xff;dur=1", {"\ufffd": 1}),
        (b"%b;dur=1" % (b"x" * 100), {"x" * 42 + "…" + "x" * 21: 1}),
        (b"v2;dur=5, st1age;dur=0.5", {"v2": 5, "st1age": 0.5}),
        (b"a;dur=1.2.3, b;dur=4", {"b": 4}),
        (b"a;dur=, b;dur=4", {"b": 4}),
        (b"", {}),
    ],
)
def test_a_header(header: bytes, durations_ms: dict[str, float]) -> None:
    expected = {name: int(ms * 1e6) for name, ms in durations_ms.items()}
    assert read_header(header, StageNames()) == expected
    assert one_by_one([header] * 3) == read_all([header] * 3)


NAMES = st.sampled_from(
    ["queue", "batch-wait", "infer", "db2", "2", "a.b", "", "DUR", "x" * 64, "y" * 65]
)
NUMBERS = st.one_of(
    st.decimals(0, 10_000, places=4).map(str),
    st.sampled_from(["0", "5.", ".5", "1e3", "-1", "1.2.3", "", "9999999999", "x", "1_0", "3;x=7"]),
)
PLAIN = st.lists(st.tuples(NAMES, NUMBERS), max_size=4).map(
    lambda entries: ", ".join(f"{name};dur={number}" for name, number in entries)
)
SPACED = st.lists(
    st.tuples(
        NAMES,
        st.sampled_from([";dur=", " ; dur = ", ";DUR=", ';desc="a,b";dur=', ";desc=x;dur=", ";"]),
        NUMBERS.map(str) | NUMBERS.map('"{}"'.format),
        st.sampled_from(["", ";dur=7", ';desc="', " "]),
    ),
    max_size=4,
).map(lambda entries: ",".join(map("".join, entries)))
ANY = st.text(st.sampled_from('ab1.,;= dur-"\\'), max_size=30)


@given(st.lists(st.one_of(PLAIN, SPACED, ANY).map(str.encode), max_size=8))
def test_together_as_one_by_one(headers: list[bytes]) -> None:
    assert read_all(headers) == one_by_one(headers)


@given(st.lists(st.lists(st.decimals(0, 10_000, places=4), min_size=3, max_size=3), min_size=1))
def test_headers_of_one_shape(rows: list[list[object]]) -> None:
    headers = [b"queue;dur=%b, infer;dur=%b,queue;dur=%b" % tuple(map(encode, row)) for row in rows]
    assert read_all(headers) == one_by_one(headers)


@given(st.lists(st.one_of(PLAIN, SPACED, ANY).map(str.encode), min_size=1, max_size=4))
def test_lines_are_one_list(lines: list[bytes]) -> None:
    """As long as each closes the quotes that it opens."""
    lines = [line for line in lines if b"\\" not in line and line.count(b'"') % 2 == 0]
    apart: dict[str, int] = {}
    for line in lines:
        for name, span_ns in read_header(line, StageNames()).items():
            apart[name] = apart.get(name, 0) + span_ns
    assert read_header(b", ".join(lines), StageNames()) == apart


def test_ever_new_stages_add_up_as_one() -> None:
    names = StageNames()
    plain = [b"db-%b;dur=1, infer;dur=2" % hex_of(number) for number in range(100)]
    quoted = [b'db-%b;dur="1", infer;dur=2' % hex_of(number) for number in range(100, 200)]
    many = b",".join(b"e%b;dur=1" % hex_of(number) for number in range(100))
    found = [read_headers(headers, names) for headers in (plain, quoted, [many])]
    known = set().union(*found)
    assert len(known) == 64 + 1
    assert {"infer", "db-a", OTHER} <= known
    for columns, durations in zip(found, (300, 300, 100), strict=True):
        told = sum(int(spans[spans != ABSENT].sum()) for spans in columns.values())
        assert told == durations * 10**6
    # What a name is counted as does not change.
    assert read_header(b"db-a;dur=1, new;dur=1, newer;dur=2", names) == {
        "db-a": 10**6,
        OTHER: 3 * 10**6,
    }


def test_hostile_headers_are_read_in_no_time() -> None:
    """A pattern that tried again from every place would take minutes."""
    for piece in (b'"', b'"\\', b",", b"a;", b"; ", b"a;dur ", b'a"";dur=1,', b"dur=1;", b"9"):
        read_headers([b"a;" + piece * 4000] * 4, StageNames())
        read_headers([piece * 4000 + b"dur=1"] * 4, StageNames())


def hex_of(number: int) -> bytes:
    """A name without a digit, as some servers number what they name."""
    return bytes(b"abcdefghij"[int(digit)] for digit in str(number))


def encode(number: object) -> bytes:
    return str(number).encode()


def one_by_one(headers: list[bytes]) -> list[dict[str, int]]:
    return [read_header(header, StageNames()) for header in headers]


def read_all(headers: list[bytes]) -> list[dict[str, int]]:
    found = read_headers(headers, StageNames())
    assert all(spans.dtype == np.int64 for spans in found.values())
    return [
        {name: int(spans[row]) for name, spans in found.items() if spans[row] != ABSENT}
        for row in range(len(headers))
    ]
