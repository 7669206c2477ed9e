"""Whatever a picture is made of: the right answer or a clear 4xx, within bounds of memory, and the
next request is served by the same process."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from PIL import Image

MIB = 2**20
Make = Callable[[bytes, bytes], bytes]


@pytest.fixture(autouse=True)
def survives(shapes_server: Any, client: httpx.Client, jpeg: bytes) -> Iterator[None]:
    """After each of these, the same process serves."""
    before = shapes_server.workers()
    yield
    assert client.post("/predict/shapes", content=jpeg).status_code == 200
    assert shapes_server.workers() == before


def picture(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("RGB")


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def rotated_by_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(
    width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2, interlaced: int = 0
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


def pixels(width: int, height: int) -> bytes:
    return chunk(b"IDAT", zlib.compress(bytes((1 + 3 * width) * height), 9))


def adam7(png: bytes) -> bytes:
    image = np.asarray(picture(png))
    height, width = image.shape[:2]
    rows = bytearray()
    for left, top, right, down in (
        *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
        *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
    ):
        for row in image[top::down, left::right]:
            rows += b"\0" + row.tobytes()
    return png_of(width, height, chunk(b"IDAT", zlib.compress(rows)), interlaced=1)


def resized_jpeg(jpeg: bytes, width: int, height: int) -> bytes:
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def jpeg_of_scans(scans: int, between: bytes = b"") -> bytes:
    """A progressive JPEG of 5000 x 5000 that is gone over this often."""
    start = saved(Image.new("RGB", (16, 16)), "JPEG").replace(b"\xff\xc0", b"\xff\xc2", 1)
    at = start.index(b"\xff\xc2") + 5
    tables = start[:at] + struct.pack(">HH", 5000, 5000) + start[at + 4 : start.index(b"\xff\xda")]
    first = segment(0xDA, bytes((3, 1, 0, 2, 0x11, 3, 0x11, 0, 0, 1)))
    more = segment(0xDA, bytes((1, 1, 0, 1, 63, 0)))
    return tables + first + between + more * (scans - 1) + b"\xff\xd9"


def hidden_frame(jpeg: bytes) -> bytes:
    """FF00 is no marker: a decoder looks for the next one in what may seem to be its segment."""
    real = resized_jpeg(jpeg, 20_000, 20_000)[2:]
    return jpeg[:2] + segment(0x00, real) + jpeg[2:]


def detections(answer: httpx.Response) -> list[tuple[str, list[float]]]:
    assert answer.status_code == 200, answer.text
    return [(each["label"], each["box"]) for each in answer.json()["detections"]]


# What has the very pixels of the PNG, or of the JPEG, has its very answer.
SAME_AS_PNG: dict[str, Make] = {
    "alpha": lambda jpeg, png: saved(picture(png).convert("RGBA"), "PNG"),
    "16 bits": lambda jpeg, png: cv2.imencode(
        ".png", np.asarray(picture(png))[:, :, ::-1].astype(np.uint16) * 257
    )[1].tobytes(),
    "16 bits, alpha": lambda jpeg, png: cv2.imencode(
        ".png", np.asarray(picture(png).convert("RGBA"))[:, :, (2, 1, 0, 3)].astype(np.uint16) * 257
    )[1].tobytes(),
    "interlaced": lambda jpeg, png: adam7(png),
    "EXIF": lambda jpeg, png: saved(picture(png), "PNG", exif=rotated_by_exif()),
    "comment": lambda jpeg, png: png[:33] + chunk(b"tEXt", b"k\0v") * 50 + png[33:],
    "garbage behind": lambda jpeg, png: png + random.Random(1).randbytes(100_000),
}
SAME_AS_JPEG: dict[str, Make] = {
    "EXIF": lambda jpeg, png: jpeg[:2] + segment(0xE1, rotated_by_exif().tobytes()) + jpeg[2:],
    "garbage behind": lambda jpeg, png: jpeg + random.Random(1).randbytes(MIB),
    "another behind": lambda jpeg, png: jpeg + jpeg,
    "thumbnail": lambda jpeg, png: jpeg[:2] + segment(0xE2, jpeg) + jpeg[2:],
    "fill bytes": lambda jpeg, png: jpeg[:2] + b"\xff" * 1000 + jpeg[2:],
    "many segments": lambda jpeg, png: jpeg[:2] + segment(0xEB, bytes(9)) * 3000 + jpeg[2:],
}
SIMILAR: dict[str, Make] = {
    "CMYK": lambda jpeg, png: saved(picture(png).convert("CMYK"), "JPEG", quality=95),
    "progressive": lambda jpeg, png: saved(picture(png), "JPEG", quality=95, progressive=True),
    "palette": lambda jpeg, png: saved(picture(png).quantize(256), "PNG"),
    "grey JPEG": lambda jpeg, png: saved(picture(png).convert("L"), "JPEG", quality=95),
    "grey PNG": lambda jpeg, png: saved(picture(png).convert("L"), "PNG"),
    "grey and alpha": lambda jpeg, png: saved(picture(png).convert("LA"), "PNG"),
}


@pytest.mark.parametrize("kind", SAME_AS_PNG)
def test_png_of_any_kind_has_the_answer_of_its_pixels(
    client: httpx.Client, jpeg: bytes, png: bytes, kind: str
) -> None:
    expected = detections(client.post("/predict/shapes", content=png))
    body = SAME_AS_PNG[kind](jpeg, png)
    assert body != png
    assert detections(client.post("/predict/shapes", content=body)) == expected


@pytest.mark.parametrize("kind", SAME_AS_JPEG)
def test_jpeg_of_any_kind_has_the_answer_of_its_pixels(
    client: httpx.Client, jpeg: bytes, png: bytes, kind: str
) -> None:
    expected = detections(client.post("/predict/shapes", content=jpeg))
    body = SAME_AS_JPEG[kind](jpeg, png)
    assert body != jpeg
    assert detections(client.post("/predict/shapes", content=body)) == expected


@pytest.mark.parametrize("kind", SIMILAR)
def test_other_colours_have_a_similar_answer(
    client: httpx.Client, jpeg: bytes, png: bytes, kind: str
) -> None:
    image = picture(png)
    plain = image.convert("L").convert("RGB") if kind.startswith("grey") else image
    url = "/predict/shapes?threshold=0.7"
    expected = detections(client.post(url, content=saved(plain, "PNG")))
    found = detections(client.post(url, content=SIMILAR[kind](jpeg, png)))
    assert expected
    assert sorted(label for label, _ in found) == sorted(label for label, _ in expected)
    for label, box in found:
        assert any(
            label == other and np.abs(np.subtract(box, at)).max() < 10 for other, at in expected
        )


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("size", [(1, 1), (65_000, 1), (1, 65_000), (2, 2), (1, 300)])
def test_odd_sizes_are_answered(client: httpx.Client, form: str, size: tuple[int, int]) -> None:
    body = saved(Image.new("RGB", size, (200, 30, 30)), form)
    for _, (left, top, right, bottom) in detections(client.post("/predict/shapes", content=body)):
        assert 0 <= left <= right <= size[0]
        assert 0 <= top <= bottom <= size[1]


REFUSED: dict[str, tuple[Make, int, str]] = {
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
        "more than 100 compressed texts",
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
        lambda jpeg, png: saved(
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
        lambda jpeg, png: saved(
            picture(png), "GIF", save_all=True, append_images=[picture(png).rotate(90)]
        ),
        415,
        "not a JPEG or PNG",
    ),
    "WebP": (lambda jpeg, png: saved(picture(png), "WEBP"), 415, "not a JPEG or PNG"),
    "TIFF": (lambda jpeg, png: saved(picture(png), "TIFF"), 415, "not a JPEG or PNG"),
    "BMP": (lambda jpeg, png: saved(picture(png), "BMP"), 415, "not a JPEG or PNG"),
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
        "end is missing",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused(client: httpx.Client, jpeg: bytes, png: bytes, kind: str) -> None:
    make, status, message = REFUSED[kind]
    answer = client.post("/predict/shapes", content=make(jpeg, png))
    assert (answer.status_code, message in answer.json()["error"]) == (status, True), answer.text


def test_cut_at_every_kilobyte(client: httpx.Client, jpeg: bytes, png: bytes) -> None:
    progressive = saved(picture(png), "JPEG", progressive=True)
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
    whole = saved(small, "PNG", save_all=True, append_images=[small.rotate(90), small.rotate(180)])
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
