from pathlib import Path

import pytest

from tailrace.errors import UsageError
from tailrace.load.request import (
    Body,
    encode_requests,
    parse_header,
    read_bodies,
)
from tailrace.load.target import parse_target


def test_a_get_request() -> None:
    (request,) = encode_requests(parse_target("http://h:1/p"), "get", {"X-A": "b"}, [])
    head, body = request.head.split(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"GET /p HTTP/1.1"
    assert b"Host: h:1" in lines
    assert b"X-A: b" in lines
    assert not any(line.lower().startswith(b"content-length") for line in lines)
    assert body == b""


def test_bodies_carry_their_length_and_type() -> None:
    bodies = [Body(b"abc", "image/png"), Body(b"", "text/plain")]
    first, second = encode_requests(parse_target("http://h/"), "POST", {}, bodies)
    assert b"Content-Length: 3\r\n" in first.head
    assert b"Content-Type: image/png\r\n" in first.head
    assert first.head.endswith(b"\r\n\r\nabc")
    assert b"Content-Length: 0\r\n" in second.head


def test_own_headers_replace_the_defaults() -> None:
    bodies = [Body(b"{}", "text/plain")]
    headers = {"content-type": "application/json", "HOST": "other", "Content-Length": "999"}
    (request,) = encode_requests(parse_target("http://h/"), "PUT", headers, bodies)
    assert request.head.lower().count(b"content-type:") == 1
    assert b"content-type: application/json" in request.head
    assert b"HOST: other" in request.head
    assert b"999" not in request.head
    assert b"Host: h" not in request.head


@pytest.mark.parametrize("text", ["novalue", ": x"])
def test_not_a_header(text: str) -> None:
    with pytest.raises(UsageError):
        parse_header(text)


@pytest.mark.parametrize(
    ("name", "value"), [("a", "b\r\nc: d"), ("a", "b\nc"), ("a\r\nb", "c"), ("a b", "c"), ("", "x")]
)
def test_no_header_ends_early(name: str, value: str) -> None:
    with pytest.raises(UsageError, match="not a header"):
        encode_requests(parse_target("http://h/"), "GET", {name: value}, [])


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


def test_a_template_counts_and_keeps_its_length_right() -> None:
    bodies = [Body(b'{"id": {{counter}}, "again": {{counter}}}', "application/json")]
    (request,) = encode_requests(parse_target("http://h/"), "POST", {}, bodies)
    for number in (0, 9, 10, 123456):
        head, body = request.render(number).split(b"\r\n\r\n")
        assert body == b'{"id": %d, "again": %d}' % (number, number)
        assert b"Content-Length: %d" % len(body) in head


def test_a_head_request_expects_no_body() -> None:
    (request,) = encode_requests(parse_target("http://h/"), "head", {}, [])
    assert request.no_body
    assert request.head.startswith(b"HEAD / ")
