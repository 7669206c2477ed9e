"""Whatever a client sends: a 4xx that says what is wrong, and the service goes on."""

from __future__ import annotations

import socket
import struct
import zlib
from collections.abc import Callable, Iterator

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MIB = 2**20


def _png(width: int, height: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


BODIES: list[tuple[str, Callable[[bytes, bytes], bytes], int, str]] = [
    ("empty", lambda jpeg, png: b"", 400, "empty"),
    ("text", lambda jpeg, png: b"hello", 415, "not a JPEG or PNG"),
    ("gif", lambda jpeg, png: b"GIF89a" + bytes(100), 415, "not a JPEG or PNG"),
    ("start of a JPEG", lambda jpeg, png: jpeg[:3], 400, "truncated"),
    ("half a JPEG", lambda jpeg, png: jpeg[: len(jpeg) // 2], 400, "truncated"),
    ("JPEG less a byte", lambda jpeg, png: jpeg[:-1], 400, "truncated"),
    ("JPEG, rest zeros", lambda jpeg, png: jpeg[:4000].ljust(len(jpeg), b"\0"), 400, "truncated"),
    ("PNG signature", lambda jpeg, png: png[:8], 400, "truncated"),
    ("half a PNG", lambda jpeg, png: png[: len(png) // 2], 400, "truncated"),
    ("PNG less a byte", lambda jpeg, png: png[:-1], 400, "truncated"),
    ("broken PNG", lambda jpeg, png: png[:999] + b"\xff" * 99 + png[1098:], 400, "broken"),
    ("PNG without rows", lambda jpeg, png: _png(2000, 2000, b""), 400, "broken"),
    ("PNG of no size", lambda jpeg, png: _png(0, 10, b"\0"), 400, "broken"),
    ("PNG bomb", lambda jpeg, png: _png(60_000, 60_000, bytes(MIB)), 413, "60000 x 60000"),
    ("JPEG bomb", lambda jpeg, png: _resized_jpeg(jpeg, 65_500), 413, "65500 x 65500"),
    ("33 MiB", lambda jpeg, png: bytes(33 * MIB), 413, "33,554,432 bytes"),
]


def _resized_jpeg(jpeg: bytes, size: int) -> bytes:
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", size, size) + jpeg[at + 4 :]


@pytest.mark.parametrize(
    ("make", "status", "message"), [row[1:] for row in BODIES], ids=[row[0] for row in BODIES]
)
def test_body(
    client: httpx.Client,
    jpeg: bytes,
    png: bytes,
    make: Callable[[bytes, bytes], bytes],
    status: int,
    message: str,
) -> None:
    answer = client.post("/predict/shapes", content=make(jpeg, png))
    assert answer.status_code == status
    assert message in answer.json()["error"]
    assert client.post("/predict/shapes", content=jpeg).status_code == 200


@pytest.mark.parametrize("value", ["2", "-0.1", "x", "nan", "inf", "", "%ff"])
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


def test_multipart_forms(client: httpx.Client, jpeg: bytes) -> None:
    two = client.post("/predict/shapes", files={"a": jpeg, "b": jpeg})
    none = client.post("/predict/shapes", files={"a": (None, b"text")})
    assert two.status_code == none.status_code == 400
    assert "2 files" in two.json()["error"]
    assert "0 files" in none.json()["error"]


@pytest.mark.parametrize("parameters", ["", "; boundary=", "; boundary=x", "; boundary=\xff"])
def test_broken_multipart(client: httpx.Client, jpeg: bytes, parameters: str) -> None:
    header = f"multipart/form-data{parameters}".encode("latin-1")
    answer = client.post("/predict/shapes", content=jpeg, headers=[(b"Content-Type", header)])
    assert answer.status_code == 400
    assert "multipart" in answer.json()["error"]


def test_length_is_refused_before_the_body_is_sent(client: httpx.Client) -> None:
    address = (client.base_url.host, client.base_url.port or 0)
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(
            b"POST /predict/shapes HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_endless_body_is_cut_off(client: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(MIB)

    address = (client.base_url.host, client.base_url.port or 0)
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(
            b"POST /predict/shapes HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _, chunk in zip(range(34), endless(), strict=False):
            connection.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"BLAH / HTTP/1.1\r\n\r\n",
        b"POST /predict/shapes HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /predict/shapes HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /predict/%ff%00 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        b"POST /predict/shapes HTTP/1.1\r\nContent-Type: \xff\r\nContent-Length: 1\r\n\r\nx",
    ],
)
def test_broken_http_is_a_4xx(client: httpx.Client, request_bytes: bytes) -> None:
    address = (client.base_url.host, client.base_url.port or 0)
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(request_bytes)
        assert connection.recv(100).startswith(b"HTTP/1.1 4")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_pictures_never_hurt_the_service(
    client: httpx.Client, jpeg: bytes, png: bytes, data: st.DataObject
) -> None:
    body = bytearray(data.draw(st.sampled_from([jpeg, png])))
    for position in data.draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=20)):
        body[position] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    assert client.post("/predict/shapes", content=bytes(body)).status_code in (200, 400, 413, 415)
    assert client.post("/predict/shapes", content=bytes(body[:cut])).status_code < 500
