import pytest

from tailrace.errors import UsageError
from tailrace.load.client.request import (
    AGAIN,
    LAST,
    NO_BODY,
    Body,
    Request,
    encode_requests,
    merge_headers,
    parse_header,
)
from tailrace.load.client.target import parse_target


def test_a_get_request() -> None:
    (request,) = encode_requests(parse_target("http://h:1/p"), "get", [("X-A", "b")], [])
    head, body = request.head.split(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"GET /p HTTP/1.1"
    assert b"Host: h:1" in lines
    assert b"X-A: b" in lines
    assert not any(line.lower().startswith(b"content-length") for line in lines)
    assert body == b""


def test_bodies_carry_their_length_and_type() -> None:
    bodies = [Body(b"abc", "image/png"), Body(b"", "text/plain")]
    first, second = encode_requests(parse_target("http://h/"), "POST", [], bodies)
    assert b"Content-Length: 3\r\n" in first.head
    assert b"Content-Type: image/png\r\n" in first.head
    assert first.head.endswith(b"\r\n\r\nabc")
    assert b"Content-Length: 0\r\n" in second.head


def test_own_headers_replace_the_defaults() -> None:
    bodies = [Body(b"{}", "text/plain")]
    headers = [("content-type", "application/json"), ("HOST", "other"), ("Content-Length", "2")]
    (request,) = encode_requests(parse_target("http://h/"), "PUT", headers, bodies)
    assert request.head.lower().count(b"content-type:") == 1
    assert b"content-type: application/json" in request.head
    assert request.head.split(b"\r\n")[1] == b"HOST: other"
    assert request.head.lower().count(b"content-length: 2\r\n") == 1
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
        encode_requests(parse_target("http://h/"), "GET", [(name, value)], [])


def lines_of(request: Request) -> list[bytes]:
    return request.head.partition(b"\r\n\r\n")[0].split(b"\r\n")


def test_repeated_headers_are_all_sent_in_their_order() -> None:
    headers = [("X-A", "1"), ("Cookie", "a=b"), ("x-a", "2"), ("Accept", "p"), ("Accept", "q")]
    (request,) = encode_requests(parse_target("http://h/"), "GET", headers, [])
    lines = lines_of(request)
    assert lines[-5:] == [b"X-A: 1", b"Cookie: a=b", b"x-a: 2", b"Accept: p", b"Accept: q"]
    assert b"Accept: */*" not in lines


def test_lines_of_one_name_mean_the_same_in_one() -> None:
    lines = [("X-A", "1"), ("Cookie", "a=b"), ("x-a", "2"), ("B", ""), ("COOKIE", "c=d")]
    assert merge_headers(lines) == {"X-A": "1, 2", "Cookie": "a=b; c=d", "B": ""}


@pytest.mark.parametrize("value", ["chunked", "gzip, chunked", "identity", ""])
@pytest.mark.parametrize("bodies", [[], [Body(b"abc", "text/plain")]])
def test_a_request_has_one_framing(value: str, bodies: list[Body]) -> None:
    with pytest.raises(UsageError, match="Transfer-Encoding cannot be given"):
        encode_requests(parse_target("http://h/"), "POST", [("transfer-ENCODING", value)], bodies)


def test_a_request_has_one_host() -> None:
    with pytest.raises(UsageError, match="Host is given twice"):
        encode_requests(parse_target("http://h/"), "GET", [("Host", "a"), ("host", "b")], [])


@pytest.mark.parametrize(
    ("values", "bodies"),
    [
        (["999"], [b"abc"]),
        (["3", "4"], [b"abc"]),
        (["+3"], [b"abc"]),
        (["3"], [b"abc", b"abcd"]),
        (["3"], []),
        (["11"], [b"{{counter}}"]),
    ],
)
def test_a_length_that_contradicts_is_refused(values: list[str], bodies: list[bytes]) -> None:
    headers = [("Content-Length", value) for value in values]
    given = [Body(body, "text/plain") for body in bodies]
    with pytest.raises(UsageError, match=r"Content-Length .* contradicts"):
        encode_requests(parse_target("http://h/"), "POST", headers, given)


@pytest.mark.parametrize(("method", "sent"), [("GET", 0), ("DELETE", 0), ("POST", 1), ("put", 1)])
def test_a_method_that_has_a_body_says_that_there_is_none(method: str, sent: int) -> None:
    (request,) = encode_requests(parse_target("http://h/"), method, [], [])
    assert lines_of(request).count(b"Content-Length: 0") == sent
    assert request.head.endswith(b"\r\n\r\n")
    assert request.head.count(b"\r\n\r\n") == 1


def test_credentials_of_a_url_are_sent_as_basic() -> None:
    target = parse_target("http://us%40er:pa%3Ass@h:1/p")
    (request,) = encode_requests(target, "GET", [], [])
    assert b"Authorization: Basic dXNAZXI6cGE6c3M=" in lines_of(request)
    assert b"Host: h:1" in lines_of(request)
    # A header of one's own is what is meant.
    (own,) = encode_requests(target, "GET", [("authorization", "Bearer x")], [])
    assert [line for line in lines_of(own) if b"uthorization" in line] == [
        b"authorization: Bearer x"
    ]


def test_a_template_counts_and_keeps_its_length_right() -> None:
    bodies = [Body(b'{"id": {{counter}}, "again": {{counter}}}', "application/json")]
    (request,) = encode_requests(parse_target("http://h/"), "POST", [], bodies)
    for number in (0, 9, 10, 123456):
        head, body = request.render(number).split(b"\r\n\r\n")
        assert body == b'{"id": %d, "again": %d}' % (number, number)
        assert b"Content-Length: %d" % len(body) in head


def test_a_head_request_expects_no_body() -> None:
    (request,) = encode_requests(parse_target("http://h/"), "head", [], [])
    assert request.no_body
    assert request.head.startswith(b"HEAD / ")


@pytest.mark.parametrize(
    ("head", "manner"),
    [
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", AGAIN),
        (b"PUT / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", AGAIN),
        (b"DELETE / HTTP/1.1\r\n\r\n", AGAIN),
        (b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nok", 0),
        (b"PATCH / HTTP/1.1\r\nContent-Length: 2\r\n\r\nok", 0),
        (b"POST / HTTP/1.1\r\nidempotency-key: 7\r\nContent-Length: 2\r\n\r\nok", AGAIN),
        (b"POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", LAST),
        (b"POST / HTTP/1.1\r\nCONNECTION:Close\r\nContent-Length: ", LAST),
        (b"POST / HTTP/1.1\r\nConnection: te, close\r\n\r\n", LAST),
        (b"POST / HTTP/1.1\r\nConnection: close, te\r\n\r\n", LAST),
        (b"POST / HTTP/1.1\r\nConnection: keep-alive\r\n\r\n", 0),
        (b"POST / HTTP/1.1\r\nConnection: closest\r\n\r\n", 0),
        (b"POST / HTTP/1.1\r\nX-Connection: close\r\n\r\n", 0),
        # A body is no head.
        (b"POST / HTTP/1.1\r\nA: b\r\n\r\n\r\nConnection: close\r\nIdempotency-Key: 1\r\n", 0),
    ],
)
def test_a_head_tells_the_manner(head: bytes, manner: int) -> None:
    assert Request(0, head).manner == manner


def test_an_answer_to_head_has_no_body() -> None:
    request = Request(0, b"HEAD / HTTP/1.1\r\n\r\n", no_body=True)
    assert request.manner == NO_BODY | AGAIN
