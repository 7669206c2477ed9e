"""What is no picture, or a trap for whoever decodes it: a clear 4xx within bounds of memory and
time, and the same process goes on."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.kit.pictures import chunk, image_file, picture, png_of, segment

MIB = 2**20
Make = Callable[[bytes, bytes], bytes]


pytestmark = pytest.mark.usefixtures("survives")


def pixels(width: int, height: int) -> bytes:
    return chunk(b"IDAT", zlib.compress(bytes((1 + 3 * width) * height), 9))


def resized_jpeg(jpeg: bytes, width: int, height: int) -> bytes:
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def jpeg_of_scans(scans: int, between: bytes = b"") -> bytes:
    """A progressive JPEG of 5000 x 5000 that is gone over this often."""
    start = image_file(Image.new("RGB", (16, 16)), "JPEG").replace(b"\xff\xc0", b"\xff\xc2", 1)
    at = start.index(b"\xff\xc2") + 5
    tables = start[:at] + struct.pack(">HH", 5000, 5000) + start[at + 4 : start.index(b"\xff\xda")]
    first = segment(0xDA, bytes((3, 1, 0, 2, 0x11, 3, 0x11, 0, 0, 1)))
    more = segment(0xDA, bytes((1, 1, 0, 1, 63, 0)))
    return tables + first + between + more * (scans - 1) + b"\xff\xd9"


def hidden_frame(jpeg: bytes) -> bytes:
    """FF00 is no marker: a decoder looks for the next one in what may seem to be its segment."""
    real = resized_jpeg(jpeg, 20_000, 20_000)[2:]
    return jpeg[:2] + segment(0x00, real) + jpeg[2:]


REFUSED: dict[str, tuple[Make, int, str]] = {
    "empty": (lambda jpeg, png: b"", 400, "empty"),
    "text": (lambda jpeg, png: b"hello", 415, "not a JPEG or PNG"),
    "start of a JPEG": (lambda jpeg, png: jpeg[:3], 400, "truncated"),
    "start of a PNG": (lambda jpeg, png: png[:8], 400, "truncated"),
    "broken PNG": (lambda jpeg, png: png[:999] + b"\xff" * 99 + png[1098:], 400, "broken"),
    "JPEG of no size": (lambda jpeg, png: resized_jpeg(jpeg, 0, 0), 400, "JPEG"),
    "JPEG of no height": (lambda jpeg, png: resized_jpeg(jpeg, 300, 0), 400, "JPEG"),
    "PNG of no size": (lambda jpeg, png: png_of(0, 0, pixels(0, 0)), 400, "PNG"),
    "PNG of no height": (lambda jpeg, png: png_of(300, 0, pixels(0, 0)), 400, "PNG"),
    "JPEG bomb": (lambda jpeg, png: resized_jpeg(jpeg, 65_000, 65_000), 413, "65000 x 65000"),
    "PNG bomb": (lambda jpeg, png: png_of(65_000, 65_000, pixels(999, 999)), 413, "65000 x 65000"),
    "PNG bomb of 2**31": (lambda jpeg, png: png_of(2**31 - 1, 2**31 - 1), 413, "2147483647"),
    "zlib bomb": (
        lambda jpeg, png: png_of(9, 9, chunk(b"IDAT", zlib.compress(bytes(200 * MIB), 9))),
        400,
        "more data than pixels",
    ),
    "text bombs": (
        lambda jpeg, png: png_of(
            9, 9, chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(7 * MIB), 9)) * 999, pixels(9, 9)
        ),
        400,
        "more than 100 chunks",
    ),
    "scan bomb": (lambda jpeg, png: jpeg_of_scans(1_000_000), 400, "more than 100 scans"),
    "scan bomb behind an end": (
        lambda jpeg, png: jpeg_of_scans(1_000_000, segment(0xFE, b"\xff\xd9")),
        400,
        "more than 100 scans",
    ),
    "scan bomb in a segment": (
        lambda jpeg, png: jpeg_of_scans(9, segment(0x02, jpeg_of_scans(999)[:8000])),
        400,
        "end is missing",
    ),
    "hidden frame": (lambda jpeg, png: hidden_frame(jpeg), 400, "tells no size"),
    "animated PNG": (
        lambda jpeg, png: image_file(
            picture(png), "PNG", save_all=True, append_images=[picture(png).rotate(90)]
        ),
        400,
        "animated",
    ),
    "animated PNG, no data": (
        lambda jpeg, png: png_of(9, 9, chunk(b"acTL", b""), chunk(b"fcTL", b""), pixels(9, 9)),
        400,
        "animated",
    ),
    "animated GIF": (
        lambda jpeg, png: image_file(
            picture(png), "GIF", save_all=True, append_images=[picture(png).rotate(90)]
        ),
        415,
        "not a JPEG or PNG",
    ),
    "WebP": (lambda jpeg, png: image_file(picture(png), "WEBP"), 415, "not a JPEG or PNG"),
    "TIFF": (lambda jpeg, png: image_file(picture(png), "TIFF"), 415, "not a JPEG or PNG"),
    "BMP": (lambda jpeg, png: image_file(picture(png), "BMP"), 415, "not a JPEG or PNG"),
    "lossless JPEG": (lambda jpeg, png: jpeg.replace(b"\xff\xc0", b"\xff\xc3", 1), 400, "broken"),
    "12 bits": (
        lambda jpeg, png: jpeg.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c", 1),
        400,
        "broken",
    ),
    "JPEG without tables": (
        lambda jpeg, png: jpeg[:2] + jpeg[jpeg.index(b"\xff\xc0") :],
        400,
        "broken",
    ),
    "JPEG less its end": (lambda jpeg, png: jpeg[:-1], 400, "end is missing"),
    "PNG less its end": (lambda jpeg, png: png[:-1], 400, "end is missing"),
    "JPEG, rest zeros": (lambda jpeg, png: jpeg[:4000].ljust(len(jpeg), b"\0"), 400, "end is"),
    "PNG of a long header": (lambda jpeg, png: png[:8] + b"\0\0\0\x63" + png[12:], 400, "no size"),
    "two PNG headers": (
        lambda jpeg, png: png_of(9, 9, png_of(9999, 9999)[8:33], pixels(9, 9)),
        400,
        "broken",
    ),
    "PNG without pixels": (lambda jpeg, png: png_of(3000, 3000), 400, "broken"),
    "PNG of too few pixels": (lambda jpeg, png: png_of(3000, 3000, pixels(9, 9)), 400, "broken"),
    "PNG of 3 bits": (lambda jpeg, png: png_of(9, 9, pixels(9, 9), depth=3), 400, "broken"),
    "PNG without palette": (lambda jpeg, png: png_of(9, 9, pixels(9, 9), colour=3), 400, "broken"),
    "endless segments": (
        lambda jpeg, png: jpeg[:2] + segment(0xE0, b"") * (4 * MIB),
        400,
        "no size",
    ),
    "endless chunks": (
        lambda jpeg, png: png[:33] + chunk(b"abCd", b"") * (2 * MIB) + png[33:],
        400,
        "more than 100 chunks",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused(client: httpx.Client, jpeg: bytes, png: bytes, kind: str) -> None:
    make, status, message = REFUSED[kind]
    answer = client.post("/predict/shapes", content=make(jpeg, png))
    assert (answer.status_code, message in answer.json()["error"]) == (status, True), answer.text


def test_cut_at_every_kilobyte(client: httpx.Client, jpeg: bytes, png: bytes) -> None:
    progressive = image_file(picture(png), "JPEG", progressive=True)
    for whole in (jpeg, png, progressive):
        for length in range(1024, len(whole), 1024):
            answer = client.post("/predict/shapes", content=whole[:length])
            assert answer.status_code == 400
            assert "truncated" in answer.json()["error"]
        assert client.post("/predict/shapes", content=whole).status_code == 200


@pytest.mark.parametrize("step", [7, 100, 1000, 10_000])
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_every_nth_byte_flipped(
    client: httpx.Client, jpeg: bytes, png: bytes, form: str, step: int
) -> None:
    whole = jpeg if form == "JPEG" else png
    for begin in (0, 8, 700, len(whole) // 2):
        body = bytearray(whole)
        for position in range(begin, len(body), step):
            body[position] ^= 0xFF
        answer = client.post("/predict/shapes", content=bytes(body))
        # A JPEG has no checksums: what can be decoded is answered.
        assert answer.status_code in ((200, 400, 413, 415) if form == "JPEG" else (400, 413, 415))
        assert ("error" in answer.json()) == (answer.status_code != 200)


@pytest.mark.parametrize("start", [b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xda", b"\x89PNG\r\n\x1a\n"])
def test_noise_after_a_signature(client: httpx.Client, png: bytes, start: bytes) -> None:
    noise = random.Random(1)
    for length in (0, 1, 30, 1000, 100_000):
        for head in (start, start + png[8:33]):
            answer = client.post("/predict/shapes", content=head + noise.randbytes(length))
            assert answer.status_code in (400, 413)
            assert answer.json()["error"]


def test_damaged_animations_never_reach_the_decoder(client: httpx.Client, png: bytes) -> None:
    small = picture(png).resize((60, 60))
    whole = image_file(
        small, "PNG", save_all=True, append_images=[small.rotate(90), small.rotate(180)]
    )
    noise = random.Random(1)
    for _ in range(200):
        body = bytearray(whole)
        for _ in range(noise.randint(1, 4)):
            body[noise.randrange(60, len(body))] = noise.randrange(256)
        assert client.post("/predict/shapes", content=bytes(body)).status_code == 400


def peak_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


@pytest.mark.slow("decodes pictures of many megapixels")
def test_memory_is_bounded(shapes_server: Any, client: httpx.Client, jpeg: bytes) -> None:
    [worker] = shapes_server.workers()
    # What is refused by its header costs little more than its bytes.
    Path(f"/proc/{worker}/clear_refs").write_text("5")
    before = peak_bytes(worker)
    for kind in ("JPEG bomb", "PNG bomb", "zlib bomb", "text bombs", "scan bomb", "hidden frame"):
        body = REFUSED[kind][0](jpeg, jpeg)
        for _ in range(5):
            assert 400 <= client.post("/predict/shapes", content=body).status_code < 500
    assert peak_bytes(worker) - before < 150 * MIB
    # The largest that is taken costs 3 bytes a pixel decoded, 12 resized, 8 in the decoder.
    for body in (
        resized_jpeg(jpeg, 5000, 5000),
        jpeg_of_scans(100),
        png_of(
            5000, 5000, chunk(b"IDAT", zlib.compress(bytes(5000 * 40_001), 9)), depth=16, colour=6
        ),
    ):
        for _ in range(3):
            assert client.post("/predict/shapes", content=body).status_code == 200
    assert peak_bytes(worker) - before < 800 * MIB


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


def test_broken_pictures_are_counted_not_listed(launch: Callable[..., Any], png: bytes) -> None:
    server = launch("shapes", "--port", "0").start()
    broken = bytearray(png)
    at = png.index(b"IDAT")
    # Its checksum.
    broken[at + 4 + int.from_bytes(png[at - 4 : at], "big")] ^= 1
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for _ in range(30):
            assert client.post("/predict/shapes", content=bytes(broken)).status_code == 400
    server.scrape_until(
        lambda scrape: scrape("tailrace_worker_broken_pictures_total", worker="1") == 30
    )
    assert server.stop() == 0
    said = server.expect("broken pictures").string
    assert said == "tailrace: 30 broken pictures, the last: libpng error: IDAT: CRC error"
    assert not [line for line in server.heard[:-1] if "libpng" in line]
