"""What a lenient client takes for an answer (RFC 9112), and what it does not.

Beside each: whether curl 7.88 and wrk 4.1 take it too.
"""

from time import monotonic_ns
from typing import NamedTuple

import httptools
import pytest

from tailrace.load.client.lenient import LenientParser
from tests.kit.loop import on_uvloop
from tests.kit.pools import make_pool, settled
from tests.kit.server import Server, answer_raw, listening
from tests.kit.waiting import until


class Odd(NamedTuple):
    answer: bytes
    curl: bool
    wrk: bool
    ends: bool = False
    """The connection is not used again."""


def ok(head: bytes, body: bytes = b"\r\nok", status: bytes = b"HTTP/1.1 200 OK\r\n") -> bytes:
    return status + head + body


LENGTH = b"Content-Length: 2\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"\r\n2\r\nok\r\n0\r\n\r\n"

TAKEN = {
    "bare LF": Odd(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", True, True),
    "bare LF here and there": Odd(b"HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\nok", True, True),
    "bare LF in chunks": Odd(ok(CHUNKED, b"\r\n2\nok\n0\n\n"), True, False),
    "empty lines first": Odd(b"\r\n\n" + ok(LENGTH), False, True),
    "no reason": Odd(ok(LENGTH, status=b"HTTP/1.1 200 \r\n"), True, True),
    "neither reason nor space": Odd(ok(LENGTH, status=b"HTTP/1.1 200\r\n"), True, True),
    "reason in Latin-1": Odd(ok(LENGTH, status=b"HTTP/1.1 200 \xe9t\xe9\r\n"), True, True),
    "two spaces": Odd(ok(LENGTH, status=b"HTTP/1.1  200  OK\r\n"), True, True),
    "tab": Odd(ok(LENGTH, status=b"HTTP/1.1 200\tOK\r\n"), True, False),
    "lower case": Odd(ok(LENGTH, status=b"http/1.1 200 ok\r\n"), True, False),
    "later minor version": Odd(ok(LENGTH, status=b"HTTP/1.7 200 OK\r\n"), False, True),
    "HTTP/1.0": Odd(ok(LENGTH, status=b"HTTP/1.0 200 OK\r\n"), True, True, ends=True),
    "HTTP/1.0 kept alive": Odd(
        ok(b"Connection: Keep-Alive\r\n" + LENGTH, status=b"HTTP/1.0 200 OK\r\n"), True, True
    ),
    "folded line": Odd(ok(b"X: a\r\n b\r\n\tc\r\n" + LENGTH), True, True),
    "folded first line": Odd(ok(b" X: a\r\n" + LENGTH), True, True),
    "space before the colon": Odd(ok(b"X : a\r\n" + LENGTH), True, False),
    "space before the length's colon": Odd(ok(b"Content-Length : 2\r\n"), False, False),
    "space around a value": Odd(ok(b"Content-Length: \t 2 \t\r\n"), True, False),
    "no space, empty value": Odd(ok(b"X:\r\nContent-Length:2\r\n"), True, True),
    "no name": Odd(ok(b": x\r\n" + LENGTH), True, False),
    "name that is none": Odd(ok(b"X@(y): x\r\n" + LENGTH), True, False),
    "control characters": Odd(ok(b"X: a\x01\x7f\rb\r\n" + LENGTH), True, False),
    "same length twice": Odd(ok(LENGTH + LENGTH), True, False),
    "same length in one line": Odd(ok(b"Content-Length: 2, 2\r\n"), True, False),
    "length with zeros": Odd(ok(b"Content-Length: 0002\r\n"), True, True),
    "length with a plus": Odd(ok(b"Content-Length: +2\r\n"), True, False),
    "length and chunks": Odd(ok(b"Content-Length: 99\r\n" + CHUNKED, CHUNKS), True, False),
    "chunks and length": Odd(ok(CHUNKED + b"Content-Length: 99\r\n", CHUNKS), True, False),
    "unknown coding, chunks": Odd(ok(b"Transfer-Encoding: x, Chunked\r\n", CHUNKS), False, False),
    "codings on two lines": Odd(ok(b"Transfer-Encoding: x\r\n" + CHUNKED, CHUNKS), False, True),
    "unknown coding to the end": Odd(ok(b"Transfer-Encoding: x\r\n"), False, False, ends=True),
    "identity": Odd(ok(b"Transfer-Encoding: identity\r\n" + LENGTH), False, True),
    "identity to the end": Odd(ok(b"Transfer-Encoding: identity\r\n"), True, False, ends=True),
    "to the end": Odd(ok(b""), True, False, ends=True),
    "kept alive, to the end": Odd(ok(b"Connection: keep-alive\r\n"), True, False, ends=True),
    "extensions": Odd(ok(CHUNKED, b'\r\n2;a=b;c="d;e"\r\nok\r\n0;x\r\n\r\n'), True, True),
    "extensions in space": Odd(ok(CHUNKED, b"\r\n2 ; a = b\r\nok\r\n0 ;x\r\n\r\n"), True, True),
    "empty extension": Odd(ok(CHUNKED, b"\r\n2;\r\nok\r\n0;\r\n\r\n"), True, True),
    "space behind a size": Odd(ok(CHUNKED, b"\r\n2  \r\nok\r\n0 \r\n\r\n"), True, True),
    "sizes with zeros": Odd(ok(CHUNKED, b"\r\n00002\r\nok\r\n000\r\n\r\n"), True, True),
    "trailers": Odd(ok(CHUNKED, b"\r\n2\r\nok\r\n0\r\nX: y\r\nZ: z\r\n\r\n"), True, True),
    "a length as a trailer": Odd(
        ok(CHUNKED, b"\r\n2\r\nok\r\n0\r\nContent-Length: 9\r\n\r\n"), True, True
    ),
    "204": Odd(b"HTTP/1.1 204 None\r\n\r\n", True, True),
    "204 with a length": Odd(b"HTTP/1.1 204 None\r\nContent-Length: 5\r\n\r\n", True, False),
    "204 with chunks": Odd(b"HTTP/1.1 204 None\r\n" + CHUNKED + b"\r\n", True, False),
    "205": Odd(b"HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n", True, True),
    "100 first": Odd(b"HTTP/1.1 100 Continue\r\n\r\n" + ok(LENGTH), True, True),
    "102 and 103 first": Odd(
        b"HTTP/1.1 102 P\r\n\r\nHTTP/1.1 103 E\r\nLink: </a>\r\n\r\n" + ok(LENGTH), True, True
    ),
    "100 with a length": Odd(
        b"HTTP/1.1 100 C\r\nContent-Length: 0\r\n\r\n" + ok(b""), True, True, ends=True
    ),
    "100 that closes": Odd(
        b"HTTP/1.1 100 C\r\nConnection: close\r\n\r\n" + ok(LENGTH), True, False
    ),
    "100 of HTTP/1.0": Odd(b"HTTP/1.0 100 C\r\n\r\n" + ok(LENGTH), True, False),
    "100 before an odd one": Odd(b"HTTP/1.1 100 C\r\n\r\n" + ok(LENGTH + LENGTH), True, False),
    "empty line behind": Odd(ok(LENGTH) + b"\r\n", True, True),
    "close, empty line behind": Odd(
        ok(b"Connection: close\r\n" + LENGTH) + b"\r\n", True, True, ends=True
    ),
    "more behind the last": Odd(
        ok(b"Connection: foo, Close\r\n" + LENGTH) + b"more", True, False, ends=True
    ),
    "surplus": Odd(ok(LENGTH) + b"more", True, False, ends=True),
    "surplus behind an odd one": Odd(ok(LENGTH + LENGTH) + b"more", True, False, ends=True),
    "two answers": Odd(ok(LENGTH) + ok(LENGTH), True, False, ends=True),
    "an upgrade that is offered": Odd(
        ok(b"Upgrade: h2c\r\nConnection: Upgrade\r\n" + LENGTH), True, True
    ),
}

REFUSED = {
    "no HTTP": b"ICY 200 OK\r\n\r\n",
    "no HTTP, without an end": b"\0\0\0\4",
    "no status, without an end": b"HTTP/1.1 fine\r\nX: y",
    "no colon": ok(b"nonsense\r\n" + LENGTH),
    "two lengths": ok(LENGTH + b"Content-Length: 3\r\n"),
    "two lengths in one line": ok(b"Content-Length: 2, 3\r\n"),
    "a length that is none": ok(b"Content-Length: two\r\n"),
    "a negative length": ok(b"Content-Length: -2\r\n"),
    "status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "status below 100": b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "a size that is none": ok(CHUNKED, b"\r\nzz\r\nok\r\n0\r\n\r\n"),
    "no end of a chunk": ok(CHUNKED, b"\r\n2\r\nok0\r\n\r\n"),
    "another protocol": b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
    "another protocol, unsaid": b"HTTP/1.1 101 S\r\n\r\n",
    "another protocol, oddly": b"HTTP/1.1  101 S\nUpgrade: x\nConnection: Upgrade\n\n",
}


@pytest.mark.parametrize("name", TAKEN)
@on_uvloop
async def test_what_is_taken(name: str) -> None:
    odd = TAKEN[name]
    server = await Server(answer_raw(odd.answer, close=odd.ends)).listen()
    pool = make_pool(server.port)
    for count in range(1, 4):
        pool.send(monotonic_ns(), b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 0)
        await settled(pool)
        assert pool.recorder.reasons == {}
        assert pool.completed == count
        # A surplus, or the end, may come behind the answer.
        if odd.ends:
            await until(lambda: not pool.open)
    assert server.connections == (3 if odd.ends else 1)


@pytest.mark.parametrize("name", REFUSED)
@on_uvloop
async def test_what_is_refused(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    pool = make_pool(await listening(answer_raw(REFUSED[name])))
    for _ in range(3):
        pool.send(monotonic_ns(), b"GET / HTTP/1.1\r\n\r\n", 0)
        await settled(pool)
    ((reason, count),) = pool.recorder.reasons.items()
    assert reason.startswith("protocol: ")
    assert count == 3
    await until(lambda: not pool.open)
    assert capfd.readouterr().err == ""


class Read:
    def __init__(self) -> None:
        self.body = b""
        self.answers = 0

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.answers += 1


@pytest.mark.parametrize(
    "name", [name for name, odd in TAKEN.items() if not odd.ends and name != "two answers"]
)
def test_an_answer_in_pieces_is_the_same(name: str) -> None:
    """Cut in two anywhere, and into single bytes; two answers on one connection."""
    answer = TAKEN[name].answer
    bodies = set()
    cuts = [[answer[:cut], answer[cut:]] for cut in range(len(answer) + 1)]
    for pieces in [*cuts, [answer[place : place + 1] for place in range(len(answer))]]:
        read = Read()
        parser = LenientParser(read, lambda: True)
        for piece in pieces * 2:
            parser.feed_data(piece)
        assert read.answers == 2
        bodies.add(read.body)
    assert bodies in ({b"okok"}, {b""})


def test_a_size_line_without_end_is_no_chunk() -> None:
    parser = LenientParser(Read(), lambda: True)
    parser.feed_data(ok(CHUNKED, b"\r\n2;"))
    with pytest.raises(httptools.HttpParserError, match="without end"):
        parser.feed_data(b"x" * 20_000)
