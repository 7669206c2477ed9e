"""Pictures in forms: the one file of it, or a clear 400."""

from __future__ import annotations

import httpx
import pytest

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
