"""Pictures of every kind there is: the right answer, and the same process goes on."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable

import cv2
import httpx
import numpy as np
import pytest
from PIL import Image

from tests.kit.pictures import chunk, image_file, picture, png_of, segment

MIB = 2**20
Make = Callable[[bytes, bytes], bytes]


pytestmark = pytest.mark.usefixtures("survives")


def rotated_by_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


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


def detections(answer: httpx.Response) -> list[tuple[str, list[float]]]:
    assert answer.status_code == 200, answer.text
    return [(each["label"], each["box"]) for each in answer.json()["detections"]]


# What has the very pixels of the PNG, or of the JPEG, has its very answer.
SAME_AS_PNG: dict[str, Make] = {
    "alpha": lambda jpeg, png: image_file(picture(png).convert("RGBA"), "PNG"),
    "16 bits": lambda jpeg, png: cv2.imencode(
        ".png", np.asarray(picture(png))[:, :, ::-1].astype(np.uint16) * 257
    )[1].tobytes(),
    "16 bits, alpha": lambda jpeg, png: cv2.imencode(
        ".png", np.asarray(picture(png).convert("RGBA"))[:, :, (2, 1, 0, 3)].astype(np.uint16) * 257
    )[1].tobytes(),
    "interlaced": lambda jpeg, png: adam7(png),
    "EXIF": lambda jpeg, png: image_file(picture(png), "PNG", exif=rotated_by_exif()),
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
    "CMYK": lambda jpeg, png: image_file(picture(png).convert("CMYK"), "JPEG", quality=95),
    "progressive": lambda jpeg, png: image_file(picture(png), "JPEG", quality=95, progressive=True),
    "palette": lambda jpeg, png: image_file(picture(png).quantize(256), "PNG"),
    "grey JPEG": lambda jpeg, png: image_file(picture(png).convert("L"), "JPEG", quality=95),
    "grey PNG": lambda jpeg, png: image_file(picture(png).convert("L"), "PNG"),
    "grey and alpha": lambda jpeg, png: image_file(picture(png).convert("LA"), "PNG"),
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
    expected = detections(client.post(url, content=image_file(plain, "PNG")))
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
    body = image_file(Image.new("RGB", size, (200, 30, 30)), form)
    for _, (left, top, right, bottom) in detections(client.post("/predict/shapes", content=body)):
        assert 0 <= left <= right <= size[0]
        assert 0 <= top <= bottom <= size[1]
