from pathlib import Path

import pytest

from tailrace.errors import UsageError
from tailrace.load.target import (
    Body,
    Target,
    encode_requests,
    parse_header,
    parse_target,
    read_bodies,
)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://h", Target("h", 80, "/", "h")),
        ("http://h:81/a/b?c=d", Target("h", 81, "/a/b?c=d", "h:81")),
        ("http://[::1]:5000/x", Target("::1", 5000, "/x", "[::1]:5000")),
        ("http://user:secret@h/x", Target("h", 80, "/x", "h")),
    ],
)
def test_targets(url: str, target: Target) -> None:
    assert parse_target(url) == target


@pytest.mark.parametrize(
    "url",
    ["", "localhost:80", "ftp://h/", "http://", "http://h:port/", "http://h/a b", "https://h"],
)
def test_not_a_target(url: str) -> None:
    with pytest.raises(UsageError):
        parse_target(url)


def test_a_get_request() -> None:
    (request,) = encode_requests(parse_target("http://h:1/p"), "get", {"X-A": "b"}, [])
    head, body = request.split(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"GET /p HTTP/1.1"
    assert b"Host: h:1" in lines
    assert b"X-A: b" in lines
    assert not any(line.lower().startswith(b"content-length") for line in lines)
    assert body == b""


def test_bodies_carry_their_length_and_type() -> None:
    bodies = [Body(b"abc", "image/png"), Body(b"", "text/plain")]
    first, second = encode_requests(parse_target("http://h/"), "POST", {}, bodies)
    assert b"Content-Length: 3\r\n" in first
    assert b"Content-Type: image/png\r\n" in first
    assert first.endswith(b"\r\n\r\nabc")
    assert b"Content-Length: 0\r\n" in second


def test_own_headers_replace_the_defaults() -> None:
    bodies = [Body(b"{}", "text/plain")]
    headers = {"content-type": "application/json", "HOST": "other"}
    (request,) = encode_requests(parse_target("http://h/"), "PUT", headers, bodies)
    assert request.lower().count(b"content-type:") == 1
    assert b"content-type: application/json" in request
    assert b"HOST: other" in request
    assert b"Host: h" not in request


@pytest.mark.parametrize("text", ["novalue", ": x", "a: b\r\nc: d"])
def test_not_a_header(text: str) -> None:
    with pytest.raises(UsageError):
        parse_header(text)


def test_bodies_of_a_directory_come_in_order(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", ".hidden"):
        (tmp_path / name).write_bytes(name.encode())
    assert read_bodies(tmp_path) == [Body(b"a.jpg", "image/jpeg"), Body(b"b.png", "image/png")]
    assert read_bodies(tmp_path / "a.jpg") == [Body(b"a.jpg", "image/jpeg")]


def test_nothing_to_send(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no files"):
        read_bodies(tmp_path)
    with pytest.raises(UsageError, match="cannot read"):
        read_bodies(tmp_path / "absent")
