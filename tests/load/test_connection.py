"""Every way a request can end, each by a server that really behaves so."""

import asyncio
import socket
from typing import Any

import pytest

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def raw(response: bytes, close: bool = False) -> Any:
    async def answer(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(response)
        if close:
            await writer.drain()
            writer.close()

    return answer


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "http_4xx"),
        (b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 3\r\n\r\nno!", "http_5xx"),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", "http_3xx"),
        (b"not http at all\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: banana\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "protocol"),
    ],
)
async def test_failures_by_kind(serve: Any, offer: Any, response: bytes, kind: str) -> None:
    session, _ = await offer(serve(raw(response)).url, duration_s=0.5)
    assert session.total.failed == {kind: session.total.offered}
    assert session.total.offered > 20
    assert session.total.latency.total == 0


@pytest.mark.parametrize(
    "response",
    [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"],
)
async def test_closing_before_the_answer_is_whole(serve: Any, offer: Any, response: bytes) -> None:
    session, _ = await offer(serve(raw(response, close=True)).url, duration_s=0.5)
    assert session.total.failed == {"reset": session.total.offered}


@pytest.mark.parametrize(
    ("response", "close"),
    [
        (OK, False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", False),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, False),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK, False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", True),
        (b"HTTP/1.0 200 OK\r\n\r\na body that ends with the connection", True),
    ],
)
async def test_answers_of_every_framing(
    serve: Any, offer: Any, response: bytes, close: bool
) -> None:
    server = serve(raw(response, close))
    session, _ = await offer(server.url, duration_s=0.5)
    assert session.total.failed == {}
    assert session.total.completed == session.total.offered > 20
    assert (server.connections >= session.total.offered) is close


async def test_nobody_listens(offer: Any) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        session, _ = await offer(url, duration_s=0.5)
    assert session.total.failed == {"connect": session.total.offered}


async def test_a_name_that_does_not_resolve(offer: Any) -> None:
    session, _ = await offer("http://nowhere.invalid/", duration_s=0.5)
    assert session.total.failed == {"connect": session.total.offered}


async def test_a_server_that_never_answers(serve: Any, offer: Any) -> None:
    async def never(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    session, _ = await offer(serve(never).url, duration_s=0.5, timeout_s=0.4)
    assert session.total.failed == {"timeout": session.total.offered}


async def test_a_body_without_end(serve: Any, offer: Any) -> None:
    async def endless(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"5\r\nagain\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    session, _ = await offer(serve(endless).url, profile="20", duration_s=0.5, timeout_s=0.4)
    assert session.total.failed == {"timeout": session.total.offered}


async def test_a_backlog_that_is_never_accepted(offer: Any) -> None:
    """A listener whose queue is full takes no more: requests end at their timeout."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        session, _ = await offer(url, profile="50", duration_s=0.5, timeout_s=0.5)
    assert session.total.completed == 0
    assert set(session.total.failed) <= {"timeout", "connect", "reset"}


async def test_a_second_answer_is_not_taken_for_the_next_one(serve: Any, offer: Any) -> None:
    """The surplus answer comes in the same packet; the connection is not used again."""
    server = serve(raw(OK + OK))
    session, _ = await offer(server.url, duration_s=0.5)
    assert session.total.completed == session.total.offered
    assert server.connections == session.total.offered


async def test_mixed_answers_are_told_apart(serve: Any, offer: Any) -> None:
    async def mixed(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        if number % 4 == 3:
            writer.write(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
        else:
            writer.write(OK)

    session, _ = await offer(serve(mixed).url, profile="200")
    total = session.total
    assert total.failed == {"http_5xx": total.offered // 4}
    assert total.completed == total.offered - total.offered // 4


async def test_connections_are_kept_and_reused(serve: Any, offer: Any) -> None:
    server = serve()
    session, _ = await offer(server.url, profile="100", duration_s=1.0, arrivals="constant")
    assert session.total.completed == 100
    assert server.connections < 20
