"""Files that somebody else may have written: what they are is seen before they are read."""

import json
import os
import socket
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.untrusted import (
    DEEPEST,
    LONGEST_LINE,
    UnreadableError,
    decode_json,
    open_file,
    plain_json,
    read_file,
    read_json,
    read_lines,
)
from tests.kit.hostile import device, link, sparse

MANY = 2**20


class Document(msgspec.Struct):
    a: int = 0
    c: str = ""


def socket_file(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


ODD: list[tuple[Callable[[Path], None], str]] = [
    (os.mkfifo, "a pipe"),
    (link, "a link"),
    (device, "a link"),
    (Path.mkdir, "a directory"),
    (socket_file, "a socket"),
    (sparse, "10,737,418,240 bytes"),
]


@pytest.mark.parametrize(("make", "what"), ODD, ids=[make.__name__ for make, _ in ODD])
def test_what_is_no_file_of_that_size_is_not_read(
    tmp_path: Path, make: Callable[[Path], None], what: str
) -> None:
    path = tmp_path / "run.json"
    make(path)
    for read in (
        lambda: open_file(path, MANY),
        lambda: read_file(path, MANY),
        lambda: list(read_lines(path, MANY)),
        lambda: read_json(path, dict, MANY),
    ):
        with pytest.raises(UnreadableError, match=rf"^run\.json cannot be read: .*{what}"):
            read()


def test_a_device_is_not_even_opened() -> None:
    with pytest.raises(UnreadableError, match="a device"):
        read_file(Path("/dev/zero"), MANY)


def test_what_is_not_there_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "absent"
    assert read_file(path, MANY) is None
    assert read_json(path, dict, MANY) is None
    assert list(read_lines(path, MANY)) == []


@given(st.lists(st.binary(max_size=20).filter(lambda line: not set(line) & {10, 13})))
def test_lines_come_without_their_ends(tmp_path_factory: Any, lines: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("lines") / "lines"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    assert list(read_lines(path, MANY)) == lines


def test_a_line_without_end_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    with path.open("wb") as file:
        file.write(b"first\n")
        file.truncate(100 * LONGEST_LINE)
        file.seek(0, os.SEEK_END)
        file.write(b"\nlast")
    tracemalloc.start()
    assert list(read_lines(path, 2**30)) == [b"first", b"last"]
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 10 * LONGEST_LINE


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"b":' * 50_000, "nests too deeply"),
        (b'{"b":' + b"[" * 50_000 + b"]" * 50_000 + b"}", "nests too deeply"),
        (b"", "truncated"),
        (b'{"c": "\xff"}', "0xff is not UTF-8"),
        (b'{"a": "x"}', "Expected `int`"),
        (b'{"a": 1', "truncated"),
        (b"\x00" * 100, "malformed"),
    ],
)
@pytest.mark.parametrize("kind", [Document, dict[str, Any]])
def test_what_is_no_document_is_told_in_a_line(kind: Any, data: bytes, reason: str) -> None:
    if kind is Document or "Expected" not in reason:
        with pytest.raises(UnreadableError, match=reason) as raised:
            decode_json(data, kind)
        assert "\n" not in str(raised.value)


def test_depth_and_width_are_bounded_where_anything_may_stand() -> None:
    deep = b"[" * (DEEPEST - 1) + b"1" + b"]" * (DEEPEST - 1)
    assert decode_json(b'{"a":' + deep + b"}", dict[str, Any])
    with pytest.raises(UnreadableError, match="deeply"):
        decode_json(b'{"a":[[' + deep + b"]]}", dict[str, Any])
    with pytest.raises(UnreadableError, match="64 bits"):
        decode_json(b'{"a":[' + b"9" * 1000 + b"]}", dict[str, Any])


def test_a_byte_order_mark_is_passed_over() -> None:
    assert decode_json(b'\xef\xbb\xbf{"a": 1}', Document) == Document(1)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("é 模型 🙂 \\u001b\n/", "é 模型 🙂 \\u001b\n/"),
        ("a\x1b[31m\x9b\u202e\x7f\r", r"a\x1b[31m\x9b\u202e\x7f "),
    ],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_texts_are_to_be_seen(text: str, shown: str, ascii_only: bool) -> None:
    document = {text: [text, {"n": [1, -0.5, None, True, 2**70]}], "1": text}
    data = json.dumps(document, ensure_ascii=ascii_only).encode()
    expected = {shown: [shown, document[text][1]], "1": shown}
    assert json.loads(plain_json(data)) == expected
