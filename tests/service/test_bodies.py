"""Bodies: forms, compressed ones, and how long they may be."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tailrace.service import usage

MIB = 2**20


def test_multipart_forms(client: httpx.Client, jpeg: bytes) -> None:
    two = client.post("/predict/shapes", files={"a": jpeg, "b": jpeg})
    none = client.post("/predict/shapes", files={"a": (None, b"text")})
    assert two.status_code == none.status_code == 400
    assert "2 files" in two.json()["error"]
    assert "0 files" in none.json()["error"]


FILE = b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n'


@pytest.mark.parametrize(
    ("parameters", "body", "message"),
    [
        ("", FILE, "multipart"),
        ("; boundary=", FILE, "multipart"),
        ("; boundary=other", FILE, "multipart"),
        ("; boundary=\xff", FILE, "multipart"),
        ("; boundary=" + "b" * 5000, FILE, "multipart"),
        ("; boundary=b", b"", "0 files"),
        ("; boundary=b", b"--b--\r\n", "0 files"),
        ("; boundary=b", FILE + b"\r\ncut", "0 files"),
        ("; boundary=b", FILE + b"\r\n\r\n--b--\r\n", "empty"),
        ("; boundary=b", b"--b\r\nA: b\r\n\r\nx\r\n--b--\r\n", "multipart"),
        ("; boundary=b", b"--b\r\n" + b"A: b\r\n" * 10_000, "multipart"),
        ("; boundary=b", b"--b\r\nA: " + b"x" * MIB, "multipart"),
        ("; boundary=b", (FILE + b"\r\nx\r\n") * 2000 + b"--b--\r\n", "files"),
        ("; boundary=b", FILE.replace(b"; filename", b"; nofile") + b"\r\nx\r\n--b--", "0 files"),
    ],
)
def test_broken_multipart(client: httpx.Client, parameters: str, body: bytes, message: str) -> None:
    header = f"multipart/form-data{parameters}".encode("latin-1")
    answer = client.post("/predict/shapes", content=body, headers=[(b"Content-Type", header)])
    assert answer.status_code == 400
    assert message in answer.json()["error"]


def test_large_form_is_read_whole(client: httpx.Client, jpeg: bytes) -> None:
    padded = jpeg + bytes(8 * MIB)
    expected = client.post("/predict/shapes", content=jpeg).json()
    assert client.post("/predict/shapes", files={"f": padded}).json() == expected


@pytest.mark.parametrize(
    ("coding", "compress"),
    [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("Deflate", zlib.compress)],
)
def test_compressed_bodies(
    client: httpx.Client, jpeg: bytes, coding: str, compress: Callable[[bytes], bytes]
) -> None:
    wanted = client.post("/predict/shapes", content=jpeg).json()
    headers = {"Content-Encoding": f"identity, {coding}"}
    answer = client.post("/predict/shapes", content=compress(jpeg), headers=headers)
    assert answer.json() == wanted
    query = json.dumps({"query": "x"}).encode()
    answer = client.post("/predict/", content=iter([compress(query)]), headers=headers)
    assert "no picture" in answer.json()["error"]
    rows = {"inputs": [{"name": "input", "shape": [1, 2], "datatype": "UINT8", "data": [7, 8]}]}
    asked = compress(json.dumps(rows).encode())
    answer = client.post("/v2/models/null/infer", content=asked, headers=headers)
    assert answer.json()["outputs"][0]["data"] == [7, 8]


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "zstd", "gzip, br", "rot13"])
def test_other_compression_is_refused_with_what_is_taken(client: httpx.Client, coding: str) -> None:
    answer = client.post("/predict/shapes", content=b"x", headers={"Content-Encoding": coding})
    assert answer.status_code == 415
    assert answer.headers["Accept-Encoding"] == "gzip, deflate"
    assert coding in answer.json()["error"]


def test_broken_compression(client: httpx.Client, jpeg: bytes) -> None:
    for body in (b"", b"x", gzip.compress(jpeg)[:-9], gzip.compress(jpeg) + b"x"):
        answer = client.post("/predict/shapes", content=body, headers={"Content-Encoding": "gzip"})
        assert answer.status_code == 400
        assert "gzip" in answer.json()["error"]


@pytest.mark.slow("decodes pictures as large as may be")
def test_bomb_takes_no_more_than_the_limit(shapes_server: Any, client: httpx.Client) -> None:
    bomb = gzip.compress(gzip.compress(bytes(1000 * MIB), 9), 9)
    bomb = gzip.decompress(bomb)
    [worker] = shapes_server.workers()
    before = usage.read(worker)
    assert before is not None
    for path in ("/predict/shapes", "/v2/models/shapes/infer", "/predict/"):
        answer = client.post(path, content=bomb, headers={"Content-Encoding": "gzip"})
        assert answer.status_code == 413
        error = answer.json()["error"]
        assert "the inflated body is too long" in error
        assert "33,554,432 bytes (tailrace serve --max-body)" in error
    after = usage.read(worker)
    assert after is not None
    assert after.resident_bytes - before.resident_bytes < 100 * MIB


def test_limits_are_settings_and_say_so(
    launch: Callable[..., Any], draw: Callable[..., bytes], jpeg: bytes
) -> None:
    url = launch("shapes", "--port", "0", "--max-body", "60kB", "--max-pixels", "90000").start().url
    with httpx.Client(base_url=url, timeout=60) as client:
        chosen = client.get("/v2").json()["service"]
        assert (chosen["max_body_bytes"], chosen["max_pixels"]) == (60_000, 90_000)
        assert client.post("/predict/shapes", content=jpeg).status_code == 200
        for body, headers, what in (
            (bytes(60_001), {}, "body of 60,001 bytes"),
            (iter([bytes(60_001)]), {}, "body"),
            (gzip.compress(bytes(60_001)), {"Content-Encoding": "gzip"}, "inflated body"),
        ):
            answer = client.post("/predict/shapes", content=body, headers=headers)
            assert answer.status_code == 413
            assert answer.json()["error"] == (
                f"the {what} is too long: the limit is 60,000 bytes (tailrace serve --max-body)"
            )
        answer = client.post("/predict/shapes", content=draw(1, size_px=(301, 300)))
        assert answer.status_code == 413
        assert answer.json()["error"] == (
            "the image has 301 x 300 = 90,300 pixels: the limit is 90,000 "
            "(tailrace serve --max-pixels)"
        )


@pytest.mark.slow("decodes pictures as large as may be")
def test_larger_pictures_when_asked_for(
    launch: Callable[..., Any], draw: Callable[..., bytes]
) -> None:
    large = draw(1, ".png", size_px=(6000, 5000))
    url = launch("shapes", "--port", "0", "--max-pixels", "30000000").start().url
    answer = httpx.post(f"{url}/predict/shapes", content=large, timeout=60)
    assert answer.status_code == 200, answer.text
