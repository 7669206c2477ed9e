"""Reasons of failures: in words, bounded, and with an example that is text."""

import errno
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.load.measure.failures import (
    MOST_REASONS,
    connect_reason,
    count_failure,
    describe_failures,
    example_of,
    kind_of,
    kinds_of,
)


def test_kinds_are_the_sums_of_their_reasons() -> None:
    reasons = {
        "http: 404": 2,
        "http: 401": 3,
        "http: 503": 1,
        "timeout": 4,
        "timeout: no answer": 1,
    }
    assert kinds_of(reasons) == {"http_4xx": 5, "http_5xx": 1, "timeout": 5}
    assert describe_failures(reasons).startswith("4 timeout, 3 http: 401, 2 http: 404, ")
    assert describe_failures({}) == "none"


def test_ever_new_reasons_fill_nothing() -> None:
    reasons: dict[str, int] = {}
    for number in range(10 * MOST_REASONS):
        count_failure(reasons, f"protocol: {number}")
        count_failure(reasons, f"http: {400 + number % 100}")
    assert sum(reasons.values()) == 20 * MOST_REASONS
    assert len(reasons) <= MOST_REASONS + 2
    assert kinds_of(reasons) == {"protocol": 10 * MOST_REASONS, "http_4xx": 10 * MOST_REASONS}
    assert kind_of("http_4xx") == "http_4xx"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "refused"),
        (ConnectionResetError(), "reset"),
        (ConnectionResetError(errno.ECONNRESET, "x"), "reset"),
        (TimeoutError(), "timed out"),
        (TimeoutError(errno.ETIMEDOUT, "x"), "timed out"),
        (OSError(errno.EHOSTUNREACH, "x"), "no route to the host"),
        (OSError(errno.EADDRNOTAVAIL, "x"), "no local port is free"),
        (OSError(errno.EMFILE, "x"), "too many open files"),
        (PermissionError(errno.EACCES, "x"), "permission denied"),
        (socket.gaierror(socket.EAI_NONAME, "x"), "name not known"),
        (UnicodeError("label too long"), "name not known"),
    ],
)
def test_why_a_connection_could_not_be_opened(error: Exception, reason: str) -> None:
    assert connect_reason(error) == f"connect: {reason}"
    assert kind_of(connect_reason(error)) == "connect"


async def test_tls_towards_a_server_without(serve: Any, offer: Any) -> None:
    port = serve(greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n").port
    session, _ = await offer(f"https://127.0.0.1:{port}/", duration_s=0.5)
    assert set(session.total.failed) == {"connect"}
    assert set(session.total.reasons) <= {
        "connect: TLS failed (wrong version number)",
        "connect: TLS failed (record layer failure)",
        "connect: reset",
    }


def test_an_example_is_the_status_line_and_the_body_without_its_framing() -> None:
    chunked = b'Transfer-Encoding: chunked\r\n\r\n2\r\n{"\r\n3\r\na":\r\n'
    assert example_of(b"HTTP/1.1 500 Oops\r\n" + chunked) == 'HTTP/1.1 500 Oops\n{"a":'
    assert example_of(b"HTTP/1.1 404 Not Found\r\nContent-Len") == "HTTP/1.1 404 Not Found"
    assert example_of(b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok") == "HTTP/1.1 200 OK"
    assert example_of(b"220 mail\nat your service\n") == "220 mail\nat your service"
    long = example_of(b"HTTP/1.1 500 X\r\nContent-Length: 999\r\n\r\n" + b"y" * 999)
    assert long == "HTTP/1.1 500 X\n" + "y" * 200


@given(st.binary(max_size=400))
def test_an_example_is_text_whatever_came(body: bytes) -> None:
    for answer in (body, b"HTTP/1.1 500 " + body, b"HTTP/1.1 500 X\r\n\r\n" + body):
        example = example_of(answer)
        assert all(char.isprintable() or char in "\n\t" for char in example)
        assert len(example) <= 10 * 400
