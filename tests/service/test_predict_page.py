"""The page of a model in a real browser, on a real service."""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from playwright.async_api import Browser, FilePayload, Page, expect

from tests.kit.browser import Open, watched_page

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXT = FilePayload(name="notes.txt", mimeType="text/plain", buffer=b"no picture")
PIXEL = """
([x, y]) => {
  const canvas = document.querySelector('canvas');
  const pen = canvas.getContext('2d');
  return [...pen.getImageData(x * canvas.width, y * canvas.height, 1, 1).data];
}
"""
DROP = """
bytes => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], 'a.png', {type: 'image/png'}));
  dispatchEvent(new DragEvent('drop', {dataTransfer: data, cancelable: true}));
}
"""
PASTE = """
bytes => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], 'a.png', {type: 'image/png'}));
  dispatchEvent(new ClipboardEvent('paste', {clipboardData: data}));
}
"""


@pytest.fixture
def open_page(browser: Browser, shapes_server: Any) -> Open:
    """Opens a model's page; fails if its script fails or anything is fetched from elsewhere."""

    @asynccontextmanager
    async def opened(
        path: str = "/predict/shapes", url: str = shapes_server.url, **context: Any
    ) -> AsyncIterator[Page]:
        async with watched_page(browser, url, f"blob:{url}", console=False, **context) as page:
            await page.goto(url + path)
            yield page

    return opened


def _png(data: bytes, name: str = "scene.png") -> FilePayload:
    return FilePayload(name=name, mimeType="image/png", buffer=data)


@pytest.mark.smoke
async def test_a_chosen_picture_shows_boxes_scores_and_stages(
    client: httpx.Client, open_page: Open, png: bytes
) -> None:
    found = client.post("/predict/shapes?threshold=0.5", content=png).json()["detections"]
    async with open_page() as page:
        await expect(page.locator("#summary")).to_have_text("No picture yet")
        await page.set_input_files("#file", _png(png))
        await expect(page.locator("#found li")).to_have_count(len(found))
        lines = await page.locator("#found li").all_inner_texts()
        assert [line.split() for line in lines] == [
            [item["label"], f"{item['score']:.2f}"] for item in found
        ]
        picture = page.get_by_role("img", name=re.compile("The picture, with"))
        await expect(picture).to_have_attribute("aria-label", re.compile(found[0]["label"]))
        # A box's line lies in the colour of its class, which the picture has not there.
        left, _, _, bottom = found[0]["box"]
        middle = (found[0]["box"][1] + bottom) / 2
        drawn = await page.evaluate(PIXEL, [left / 300, middle / 300])
        await page.locator("#threshold").fill("1")
        bare = await page.evaluate(PIXEL, [left / 300, middle / 300])
        assert drawn != bare
        await expect(page.locator("#took")).to_have_text(re.compile(r"^\d+\.\d ms in the service$"))
        await expect(page.locator("#stages li")).to_have_count(8)
        await expect(page.locator("#error")).to_be_hidden()


async def test_an_example_is_a_button_away(client: httpx.Client, open_page: Open) -> None:
    for viewport in ({"width": 375, "height": 812}, {"width": 1440, "height": 900}):
        async with open_page(viewport=viewport) as page:
            await page.get_by_role("button", name="Try an example").click()
            await expect(page.locator("#found li").first).to_be_visible()
            await expect(page.locator("canvas")).to_be_visible()
            await expect(page.locator("#error")).to_be_hidden()
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    answer = client.get("/predict/shapes/example")
    assert answer.headers["content-type"] == "image/jpeg"
    assert client.post("/predict/shapes", content=answer.content).json()["detections"]
    assert client.get("/predict/nothing/example").status_code == 404
    assert client.post("/predict/shapes/example", content=b"").status_code == 405


async def test_the_threshold_is_moved_by_keyboard(open_page: Open, png: bytes) -> None:
    async with open_page() as page:
        await page.set_input_files("#file", _png(png))
        await expect(page.locator("#found li").first).to_be_visible()
        await page.keyboard.press("Tab")
        await expect(page.locator("#file")).to_be_focused()
        await page.keyboard.press("Tab")
        await expect(page.locator("#threshold")).to_be_focused()
        await page.keyboard.press("End")
        await expect(page.locator("#threshold-value")).to_have_text("1.00")
        await expect(page.locator("#found li")).to_have_count(0)
        await expect(page.locator("#summary")).to_have_text(re.compile(r"^0 of \d+ detections"))
        await page.keyboard.press("Home")
        everything = re.compile(r"^(\d+) of \1 detections score 0.00 or more$")
        await expect(page.locator("#summary")).to_have_text(everything)


@pytest.mark.parametrize("way", [DROP, PASTE])
async def test_a_picture_is_dropped_or_pasted(open_page: Open, png: bytes, way: str) -> None:
    async with open_page() as page:
        await page.evaluate(way, list(png))
        await expect(page.locator("#found li").first).to_be_visible()
        await expect(page.locator("canvas")).to_be_visible()


async def test_what_the_service_refuses_is_shown_and_then_forgotten(
    open_page: Open, png: bytes
) -> None:
    async with open_page() as page:
        await page.set_input_files("#file", _png(png))
        await expect(page.locator("#found li").first).to_be_visible()
        await page.set_input_files("#file", TEXT)
        error = page.get_by_role("alert")
        await expect(error).to_have_text(re.compile("^415: .*not a JPEG or PNG"))
        await expect(page.locator("#found li")).to_have_count(0)
        await expect(page.locator("#timing")).to_be_hidden()
        await expect(page.locator("canvas")).to_be_hidden()
        await page.set_input_files("#file", _png(png))
        await expect(page.locator("#found li").first).to_be_visible()
        await expect(error).to_be_hidden()


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
async def test_boxes_are_drawn_on_the_pixels_as_stored(open_page: Open, suffix: str) -> None:
    # To be turned by 90 degrees, says the EXIF of a picture that is white at its top.
    tall = np.zeros((300, 150, 3), np.uint8)
    tall[:100] = 255
    data = cv2.imencode(suffix, tall)[1].tobytes()
    head, segment = (2, _jpeg_exif()) if suffix == ".jpg" else (33, _png_exif())
    turned = data[:head] + segment + data[head:]
    async with open_page() as page:
        await page.set_input_files("#file", _png(turned, "a" + suffix))
        await expect(page.locator("canvas")).to_be_visible()
        width, height = await page.evaluate("[canvas.width, canvas.height]")
        assert width * 2 == pytest.approx(height, abs=2)
        assert await page.evaluate(PIXEL, [0.5, 0.1]) == [255, 255, 255, 255]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
async def test_it_fits_and_can_be_read(
    open_page: Open, png: bytes, width: int, scheme: str
) -> None:
    context = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    async with open_page(**context) as page:
        await page.set_input_files("#file", _png(png))
        await expect(page.locator("#found li").first).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") == width
        style = "getComputedStyle(document.body)"
        text, background = await page.evaluate(f"[{style}.color, {style}.backgroundColor]")
        assert (_light(text) > _light(background)) == (scheme == "dark")


async def test_classes_and_the_notice_of_a_twin(
    launch: Callable[..., Any], open_page: Open, png: bytes
) -> None:
    url = launch("resnet50", "--twin", "--port", "0").start().url
    async with open_page("/predict/resnet50", url) as page:
        await expect(page.get_by_text("twin: answers are meaningless")).to_be_visible()
        await page.set_input_files("#file", _png(png))
        await expect(page.locator("#found li")).to_have_count(1)
        await expect(page.locator("#summary")).to_have_text("The likeliest class")
        await expect(page.locator("#threshold")).to_be_hidden()
    for path in ("/v2/models/resnet50", "/predict/resnet50", "/getname/"):
        assert "twin: answers are meaningless" in httpx.get(url + path).text


async def test_there_is_a_page_for_each_model_served(client: httpx.Client) -> None:
    page = client.get("/predict/null")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "<title>null" in page.text
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", page.text)
    missing = client.get("/predict/nope")
    assert missing.status_code == 404
    assert "nope" in missing.json()["error"]


# A TIFF of one entry: orientation 6.
_TURNED = b"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06" + bytes(7)


def _jpeg_exif() -> bytes:
    payload = b"Exif\x00\x00" + _TURNED
    return b"\xff\xe1" + (len(payload) + 2).to_bytes(2, "big") + payload


def _png_exif() -> bytes:
    chunk = b"eXIf" + _TURNED
    return len(_TURNED).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")


def _light(colour: str) -> int:
    return sum(int(part) for part in re.findall(r"\d+", colour)[:3])
