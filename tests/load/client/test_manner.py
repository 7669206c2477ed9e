import pytest

from tailrace.load.client.manner import AGAIN, LAST, NO_BODY, manner_of
from tailrace.load.client.request import Request


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
    assert manner_of(Request(0, head)) == manner


def test_an_answer_to_head_has_no_body() -> None:
    request = Request(0, b"HEAD / HTTP/1.1\r\n\r\n", no_body=True)
    assert manner_of(request) == NO_BODY | AGAIN
