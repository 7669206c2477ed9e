"""The machines of a fleet on the page, in a real browser."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tailrace.load.measure.point import NodeFigures
from tests.kit.samples import POINT

Open = Callable[..., AbstractAsyncContextManager[Page]]

pytestmark = pytest.mark.asyncio(loop_scope="session")

NODES = {
    "node-a": NodeFigures(
        workers=2,
        rps=1234.5,
        send_lag_p99_us=85.2,
        cpu_percent=31.0,
        seen_s=125.0,
        clock_error_ms=0.41,
    ),
    "<b>": NodeFigures(
        workers=0,
        rps=0.0,
        send_lag_p99_us=None,
        cpu_percent=0.0,
        seen_s=62.0,
        clock_error_ms=0.62,
    ),
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gallery(tmp_path_factory: pytest.TempPathFactory, gallery_of: Any) -> AsyncIterator[str]:
    """The gallery's address."""
    folder = tmp_path_factory.mktemp("gallery")
    for name, nodes in (("far", NODES), ("near", {})):
        points = [msgspec.structs.replace(POINT, nodes=nodes)]
        (folder / f"{name}.json").write_bytes(msgspec.json.encode(points))
    async with gallery_of(str(folder)) as url:
        yield url


@pytest.mark.smoke
async def test_a_row_for_each_machine(browser: Browser, gallery: str, open_page: Open) -> None:
    async with open_page(f"{gallery}/fleet/far") as page:
        rows = page.get_by_test_id("fleet").locator("tbody tr")
        await expect(rows).to_have_count(2)
        cells = [await rows.nth(number).locator("th, td").all_inner_texts() for number in (0, 1)]
        assert cells[0] == ["node-a", "2", "1,234", "85.2 µs", "31.0 %", "0.41 ms", "2:05"]
        assert cells[1] == ["<b>", "lost", "0.00", "–", "0.00 %", "0.62 ms", "1:02"]


async def test_it_fits_a_phone(browser: Browser, gallery: str, open_page: Open) -> None:
    async with open_page(f"{gallery}/fleet/far", viewport={"width": 390, "height": 800}) as page:
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390


async def test_a_run_on_one_machine_has_none(
    browser: Browser, gallery: str, open_page: Open
) -> None:
    async with open_page(f"{gallery}/fleet/near") as page:
        await expect(page.get_by_test_id("fleet")).to_be_hidden()
