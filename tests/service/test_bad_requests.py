"""Whatever a client sends: a 4xx that says what is wrong, and the service goes on."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import msgspec
import pytest

MIB = 2**20


@pytest.mark.parametrize(
    "value", ["2", "-0.1", "x", "nan", "inf", "-inf", "1e999", "", "%ff", "0x1", "1,0"]
)
def test_threshold(client: httpx.Client, jpeg: bytes, value: str) -> None:
    answer = client.post(f"/predict/shapes?threshold={value}", content=jpeg)
    assert answer.status_code == 400
    assert "threshold" in answer.json()["error"]


def test_unknown_model_names_those_there_are(client: httpx.Client, jpeg: bytes) -> None:
    for method, path in (
        ("POST", "/predict/nope"),
        ("GET", "/gpu?model=nope"),
        ("GET", "/v2/models/nope"),
        ("GET", "/v2/models/nope/ready"),
    ):
        answer = client.request(method, path)
        assert answer.status_code == 404
        assert "nope" in answer.json()["error"]
        assert "shapes" in answer.json()["error"]


def test_unknown_path(client: httpx.Client) -> None:
    answer = client.get("/nope")
    assert answer.status_code == 404
    assert "/docs" in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/predict/shapes", "GET, POST"),
        ("PUT", "/predict/shapes", "POST"),
        ("POST", "/gpu", "GET"),
        ("DELETE", "/v2/models/shapes", "GET"),
    ],
)
def test_wrong_method(client: httpx.Client, method: str, path: str, allowed: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 405
    assert allowed in answer.headers["Allow"]
    assert allowed in answer.json()["error"]


GET = b"GET /helloworld HTTP/1.1\r\nHost: x\r\n\r\n"


class Wire:
    """A connection on which a test writes what it likes."""

    def __init__(self, client: httpx.Client) -> None:
        address = (client.base_url.host, client.base_url.port or 0)
        self.socket = socket.create_connection(address, timeout=60)
        self._stream = self.socket.makefile("rb")

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers by their names in lower case, and body."""
        status = int(self._stream.readline().split()[1])
        headers: dict[str, str] = {}
        while line := self._stream.readline().decode("latin-1").strip():
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        return status, headers, self._stream.read(int(headers.get("content-length", 0)))

    def ask(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        self.socket.sendall(data)
        return self.answer()

    def close(self) -> None:
        self._stream.close()
        self.socket.close()


@pytest.fixture
def wire(client: httpx.Client) -> Iterator[Wire]:
    wire = Wire(client)
    yield wire
    wire.close()


def with_host(*lines: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    return b"\r\n".join((b"GET /helloworld " + version, *lines, b"", b""))


def request(start: bytes, *headers: bytes, body: bytes | None = None) -> bytes:
    length = [] if body is None else [b"Content-Length: %d" % len(body)]
    lines = (start + b" HTTP/1.1", b"Host: x", *headers, *length, b"", body or b"")
    return b"\r\n".join(lines)


def chunks(data: bytes, size: int) -> bytes:
    pieces = [data[begin : begin + size] for begin in range(0, len(data), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])


PREDICT = b"POST /predict/shapes"
CHUNKED = b"Transfer-Encoding: chunked"

# What is asked, of which the body may be the JPEG; status; what is in the answer.
ODD: dict[str, tuple[Callable[[bytes], bytes], int, bytes]] = {
    "a byte a chunk": (lambda jpeg: request(PREDICT, CHUNKED) + chunks(jpeg, 1), 200, b"shapes"),
    "one chunk": (lambda jpeg: request(PREDICT, CHUNKED) + chunks(jpeg, MIB), 200, b"shapes"),
    "no chunk": (lambda jpeg: request(PREDICT, CHUNKED) + chunks(b"", 1), 400, b"empty"),
    "no body": (lambda jpeg: request(PREDICT), 400, b"empty"),
    "33 MiB of chunks": (
        lambda jpeg: request(PREDICT, CHUNKED) + chunks(bytes(33 * MIB), MIB),
        413,
        b"33,554,432 bytes",
    ),
    "33 MiB": (lambda jpeg: request(PREDICT, body=bytes(33 * MIB)), 413, b"33,554,432 bytes"),
    "no gzip": (lambda jpeg: request(PREDICT, b"Content-Encoding: gzip", body=jpeg), 400, b"gzip"),
    "gzip and br": (
        lambda jpeg: request(PREDICT, b"Content-Encoding: gzip, br", body=jpeg),
        415,
        b"gzip, br",
    ),
    "identity": (
        lambda jpeg: request(PREDICT, b"Content-Encoding: Identity", body=jpeg),
        200,
        b"shapes",
    ),
    "no encoding": (lambda jpeg: request(PREDICT, b"Content-Encoding:", body=jpeg), 200, b"shapes"),
    "gzip in transfer": (
        lambda jpeg: request(PREDICT, b"Transfer-Encoding: gzip, chunked") + chunks(jpeg, MIB),
        415,
        b"gzip",
    ),
    "another expectation": (
        lambda jpeg: request(PREDICT, b"Expect: a miracle", body=jpeg),
        200,
        b"shapes",
    ),
    "trailers": (
        lambda jpeg: request(PREDICT, CHUNKED) + chunks(jpeg, MIB)[:-2] + b"A: b\r\n\r\n",
        200,
        b"shapes",
    ),
    "helloworld with a body": (
        lambda jpeg: request(b"GET /helloworld", body=bytes(5 * MIB)),
        200,
        b"hello world",
    ),
    "helloworld with chunks": (
        lambda jpeg: request(b"GET /helloworld", CHUNKED) + chunks(bytes(MIB), 999),
        200,
        b"hello world",
    ),
    "gpu with a body": (lambda jpeg: request(b"GET /gpu", body=bytes(5 * MIB)), 200, b"ok"),
    "gpu with chunks": (
        lambda jpeg: request(b"GET /gpu", CHUNKED) + chunks(bytes(MIB), 99_999),
        200,
        b"ok",
    ),
    "unread body": (lambda jpeg: request(b"POST /predict/no", body=bytes(5 * MIB)), 404, b"'no'"),
    "unread body of no route": (lambda jpeg: request(b"PUT /no", body=bytes(5 * MIB)), 404, b"/no"),
    "absolute target": (lambda jpeg: request(b"GET http://y/helloworld"), 200, b"hello world"),
    "asterisk": (lambda jpeg: request(b"OPTIONS *"), 404, b"/docs"),
    "two slashes": (lambda jpeg: request(b"POST //predict/shapes", body=jpeg), 404, b"//predict"),
    "a host and port": (lambda jpeg: with_host(b"Host: a_b.example:80"), 200, b"hello world"),
    "a host of IPv6": (lambda jpeg: with_host(b"Host: [::1]:5000"), 200, b"hello world"),
    "an empty host": (lambda jpeg: with_host(b"Host:"), 200, b"hello world"),
    "upgrade": (
        lambda jpeg: request(b"GET /helloworld", b"Connection: Upgrade", b"Upgrade: h2c"),
        200,
        b"hello world",
    ),
    "websocket": (
        lambda jpeg: request(b"GET /gpu", b"Connection: Upgrade", b"Upgrade: websocket"),
        200,
        b"ok",
    ),
    "percents": (lambda jpeg: request(b"POST /predict/%73h%61pes", body=jpeg), 200, b"shapes"),
    "bad percents": (lambda jpeg: request(b"POST /predict/%zz", body=jpeg), 404, b"%zz"),
    "no UTF-8": (lambda jpeg: request(b"POST /predict/%ff%ed%a0%80", body=jpeg), 404, b"no model"),
    "NUL": (lambda jpeg: request(b"POST /predict/%00", body=jpeg), 404, b"\\\\x00"),
    "lines in a name": (
        lambda jpeg: request(b"POST /predict/%0d%0aX-Evil:%201", body=jpeg),
        404,
        b"no model",
    ),
    "lines in a query": (
        lambda jpeg: request(b"GET /gpu?model=a%0d%0aX-Evil:%201"),
        404,
        b"no model",
    ),
    "lines in a version": (
        lambda jpeg: request(b"GET /v2/models/shapes/versions/%0d%0aX-Evil:%201"),
        404,
        b"no version",
    ),
    "lines in a path": (lambda jpeg: request(b"GET /%0d%0aX-Evil:%201"), 404, b"nothing at"),
    "a long name": (lambda jpeg: request(b"GET /v2/models/" + b"a" * 50_000), 404, b"no model"),
    "many parameters": (lambda jpeg: request(b"GET /gpu?" + b"a=b&" * 10_000), 200, b"ok"),
    "two thresholds": (
        lambda jpeg: request(PREDICT + b"?threshold=0.5&threshold=x", body=jpeg),
        400,
        b"threshold",
    ),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_requests_leave_the_connection_usable(wire: Wire, jpeg: bytes, kind: str) -> None:
    make, status, part = ODD[kind]
    answer = wire.ask(make(jpeg))
    assert (answer[0], part in answer[2]) == (status, True), answer
    assert "x-evil" not in answer[1]
    if status >= 400:
        assert answer[1]["content-type"] == "application/json"
    assert wire.ask(GET)[2] == b"hello world"


@pytest.mark.parametrize(
    "deadline", ["nan", "inf", "-inf", "1e999", "soon", "", "10, 20", "0x10", "\xb2"]
)
def test_deadline_that_is_none(client: httpx.Client, jpeg: bytes, deadline: str) -> None:
    headers = [(b"Tailrace-Deadline-Ms", deadline.encode("latin-1"))]
    answer = client.post("/predict/shapes", content=jpeg, headers=headers)
    assert answer.status_code == 400
    assert "Tailrace-Deadline-Ms" in answer.json()["error"]


@pytest.mark.parametrize(
    ("deadline", "status"),
    [("0", 504), ("-1", 504), ("-1e300", 504), ("1e-300", 504), ("1e6", 200), ("1e300", 200)],
)
def test_deadline_however_far(
    client: httpx.Client, jpeg: bytes, deadline: str, status: int
) -> None:
    headers = {"Tailrace-Deadline-Ms": deadline}
    for answer in (
        client.post("/predict/shapes", content=jpeg, headers=headers),
        client.get("/gpu", headers=headers),
    ):
        assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    "path",
    ["/helloworld", "/gpu", "/v2", "/v2/health/live", "/v2/models/shapes", "/docs", "/no"],
)
def test_head_is_get_without_a_body(wire: Wire, path: str) -> None:
    status, headers, body = wire.ask(request(b"GET " + path.encode()))
    wire.socket.sendall(request(b"HEAD " + path.encode()) + GET)
    stream = wire._stream
    assert int(stream.readline().split()[1]) == status
    lines = []
    while line := stream.readline().strip():
        lines.append(line.lower())
    assert b"content-length: %d" % len(body) in lines
    assert wire.answer()[2] == b"hello world"
    assert headers["content-length"] == str(len(body))


@pytest.mark.parametrize(
    "path", ["/helloworld", "/gpu", "/predict/shapes", "/v2", "/v2/models/shapes/infer", "/metrics"]
)
def test_options_tells_what_is_allowed(client: httpx.Client, path: str) -> None:
    answer = client.options(path)
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) & {"GET", "POST"}
    assert answer.headers["Allow"] in answer.json()["error"]


def test_pipelined_requests_are_answered_in_order(wire: Wire, jpeg: bytes) -> None:
    small = request(PREDICT, body=jpeg)
    broken = request(PREDICT, body=jpeg[:99])
    wire.socket.sendall((small + GET + broken + request(PREDICT, CHUNKED) + chunks(jpeg, 999)) * 5)
    for _ in range(5):
        assert [wire.answer()[0] for _ in range(4)] == [200, 200, 400, 200]


def test_length_is_refused_before_the_body_is_sent(wire: Wire) -> None:
    length = b"Content-Length: 100000000"
    assert wire.ask(request(PREDICT, length))[0] == 413


def test_body_that_is_expected_is_asked_for(wire: Wire, jpeg: bytes) -> None:
    length = b"Content-Length: %d" % len(jpeg)
    assert wire.ask(request(PREDICT, b"Expect: 100-continue", length))[0] == 100
    assert wire.ask(jpeg)[0] == 200
    length = b"Content-Length: 100000000"
    assert wire.ask(request(PREDICT, b"Expect: 100-continue", length))[0] == 413


def test_too_long_a_body_from_an_old_client(wire: Wire) -> None:
    status, headers, _ = wire.ask(
        request(PREDICT, body=bytes(33 * MIB)).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    )
    assert (status, headers["connection"]) == (413, "close")
    assert wire.socket.recv(1) == b""


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"BLAH / HTTP/1.1\r\n\r\n",
        b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        request(PREDICT, b"Content-Length: -5"),
        request(PREDICT, b"Content-Length: 1", b"Content-Length: 2"),
        request(PREDICT, b"Content-Length: 99999999999999999999"),
        request(PREDICT, CHUNKED) + b"5\r\nhello, world",
        request(PREDICT, CHUNKED) + b"-5\r\n",
        request(b"GET /helloworld", *[b"A: b"] * 10_000),
        request(b"GET /helloworld", b"A: " + b"b" * MIB),
        request(b"GET /" + b"a" * MIB),
    ],
)
def test_broken_http_is_a_4xx(wire: Wire, request_bytes: bytes) -> None:
    status, headers, body = wire.ask(request_bytes)
    assert status in (400, 431)
    assert (headers["content-type"], headers["connection"]) == ("application/json", "close")
    assert msgspec.json.decode(body)["error"]
    assert wire.socket.recv(1) == b""


# RFC 9112, 3: what a server must refuse though it could make sense of it.
REFUSED: dict[str, tuple[bytes, int, bytes]] = {
    "no host": (with_host(), 400, b"0 Host headers"),
    "no host, absolute target": (b"GET http://x/gpu HTTP/1.1\r\n\r\n", 400, b"0 Host headers"),
    "two hosts": (with_host(b"Host: x", b"host: x"), 400, b"2 Host headers"),
    "two hosts of HTTP/1.0": (
        with_host(b"Host: x", b"Host: y", version=b"HTTP/1.0"),
        400,
        b"2 Host headers",
    ),
    **{
        f"host {host!r}": (with_host(b"Host: " + host), 400, b"names no host")
        for host in (b"[", b"a b", b"a, b", b"a/b", b"u@a", b"a:b", b"a?b", b"a%zz", b"\xff")
    },
    "a fragment": (request(b"GET /helloworld#top"), 400, b"fragment"),
    "HTTP/2.0": (with_host(b"Host: x", version=b"HTTP/2.0"), 505, b"HTTP/2.0"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_head_that_must_be_refused(wire: Wire, kind: str) -> None:
    data, status, part = REFUSED[kind]
    answer = wire.ask(data)
    assert (answer[0], part in answer[2]) == (status, True), answer
    assert (answer[1]["content-type"], answer[1]["connection"]) == ("application/json", "close")
    assert wire.socket.recv(1) == b""


def test_old_clients_need_no_host(wire: Wire) -> None:
    assert wire.ask(with_host(version=b"HTTP/1.0"))[2] == b"hello world"


@pytest.mark.slow("hundreds of requests of noise")
def test_noise_between_requests_leaves_no_trace(launch: Callable[..., Any], jpeg: bytes) -> None:
    server = launch("shapes", "--port", "0").start()
    before = server.workers()
    noise = random.Random(1)
    pieces = [
        *(GET, GET * 200, b"\r\n", bytes(50), b"A: b\r\n", b"A: " + bytes(70_000), b"0123456789"),
        *(request(PREDICT, body=jpeg), request(PREDICT, body=jpeg) * 20, request(b"GET /gpu") * 20),
        *(request(PREDICT, CHUNKED), chunks(jpeg, 5000), b"5\r\nhello\r\n", b"0\r\n\r\n"),
        *(request(b"HEAD /v2"), request(b"GET /gpu", b"Connection: close"), b"GET / HTTP/1.0\r\n"),
        request(b"POST /predict/no", body=bytes(70_000)),
        request(PREDICT, b"Connection: Upgrade", b"Upgrade: h2c", body=b"hello"),
        request(PREDICT, b"Expect: 100-continue", b"Content-Length: 10"),
    ]
    for _ in range(200):
        data = bytearray(b"".join(noise.choices(pieces, k=noise.randint(1, 12))))
        for _ in range(noise.choice((0, 0, 1, 3))):
            data[noise.randrange(len(data))] = noise.randrange(256)
        address = ("127.0.0.1", server.port)
        with (
            socket.create_connection(address, timeout=60) as connection,
            contextlib.suppress(ConnectionError),
        ):
            connection.sendall(data[: noise.choice((100, 5000, MIB))])
            if noise.random() < 0.5:
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(MIB):
                    pass
    assert httpx.get(f"{server.url}/helloworld", timeout=60).status_code == 200
    assert server.workers() == before
    assert server.stop() == 0
    server.close()
    said = [server.lines.get() for _ in range(server.lines.qsize())]
    # Broken JPEGs are summed up.
    assert [line for line in said if line and "broken pictures, the last: " not in line] == []
    assert len(said) <= 2
