"""What every page has in common, in a real browser."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

Open = Callable[..., AbstractAsyncContextManager[Page]]
Room = Callable[..., AbstractAsyncContextManager[str]]

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_only_service_is_the_first_page(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as browser:
        answer = await browser.get("/")
        assert answer.is_redirect
        assert answer.headers["location"] == "/services/s1"


@pytest.mark.parametrize("services", [0, 2])
async def test_otherwise_all_services_are(room: Room, services: int) -> None:
    async with (
        room("--services", str(services)) as address,
        httpx.AsyncClient(base_url=address) as browser,
    ):
        assert (await browser.get("/")).headers["location"] == "/services"


@pytest.mark.smoke
async def test_the_header_leads_from_page_to_page(url: str, open_page: Open) -> None:
    async with open_page(f"{url}/services") as page:
        await expect(page).to_have_title("Services · Tailrace control room")
        await expect(page.get_by_test_id("to-services")).to_have_attribute("aria-current", "page")
        await page.get_by_test_id("to-runs").click()
        await expect(page).to_have_title("Runs · Tailrace control room")
        await expect(page.get_by_test_id("to-runs")).to_have_attribute("aria-current", "page")
        await page.get_by_role("link", name="Tailrace").click()
        await expect(page).to_have_url(f"{url}/services/s1")
        await page.get_by_role("link", name="REST interface").click()
        await expect(page.get_by_text("/api/services/{id}/rate")).to_be_visible()


@pytest.mark.parametrize("path", ["/services/none", "/runs/none"])
async def test_what_is_not_there_is_said_and_leads_back(
    url: str, browser: Browser, path: str
) -> None:
    page = await browser.new_page()
    answer = await page.goto(url + path)
    assert answer is not None
    assert answer.status == 404
    await expect(page.get_by_role("heading", level=1)).to_contain_text("'none'")
    await page.get_by_test_id("missing").get_by_role("link").click()
    await expect(page).to_have_url(url + path.removesuffix("/none"))
    await page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_theme_follows_the_system_until_it_is_switched(
    url: str, open_page: Open, scheme: str
) -> None:
    other = {"light": "dark", "dark": "light"}[scheme]
    background = "getComputedStyle(document.body).backgroundColor"
    async with open_page(f"{url}/services", color_scheme=scheme) as page:
        theme = page.locator("html")
        await expect(theme).to_have_attribute("data-theme", scheme)
        before = await page.evaluate(background)
        await page.get_by_label(f"Switch to the {other} theme").click()
        await expect(theme).to_have_attribute("data-theme", other)
        assert await page.evaluate(background) != before
        await page.goto(f"{url}/runs")
        await expect(theme).to_have_attribute("data-theme", other)


async def test_who_came_with_the_token_can_log_out(room: Room, browser: Browser) -> None:
    context = await browser.new_context()
    page = await context.new_page()
    async with room("--token", "secret") as address:
        await page.goto(f"{address}/runs")
        await page.get_by_role("textbox").fill("secret")
        await page.keyboard.press("Enter")
        await expect(page).to_have_url(f"{address}/runs")
        await page.get_by_test_id("log-out").click()
        await expect(page.get_by_role("textbox")).to_be_visible()
        answer = await page.goto(f"{address}/services")
        assert answer is not None
        assert answer.status == 401
    await context.close()


async def test_the_keyboard_skips_the_header(url: str, open_page: Open) -> None:
    async with open_page(f"{url}/services") as page:
        await page.keyboard.press("Tab")
        await expect(page.get_by_text("Skip to the content")).to_be_in_viewport()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.closest('main') !== null")


async def test_the_page_says_that_the_server_is_gone_and_comes_back_with_it(
    browser: Browser, room: Room
) -> None:
    page = await browser.new_page()
    async with room("--services", "2") as address:
        await page.goto(f"{address}/services")
        await page.get_by_test_id("add").click()
        await expect(page.get_by_test_id("service-dialog")).to_be_visible()
        await page.get_by_test_id("field-name").fill("typed")
    # Above the open dialog, and nothing can be pressed in vain.
    lost = page.get_by_role("alertdialog")
    await expect(lost).to_contain_text("The server is gone: reconnecting")
    at_centre = "document.elementFromPoint(innerWidth / 2, innerHeight / 2)"
    assert await page.evaluate(f"{at_centre}.closest('[role=alertdialog]') !== null")
    for _ in range(3):
        await page.keyboard.press("Escape")
    await expect(lost).to_be_visible()
    async with room("--services", "3", "--port", address.rpartition(":")[2]):
        await expect(lost).to_be_hidden(timeout=20_000)
        await expect(page.get_by_test_id("service-s3")).to_be_visible()
        await page.get_by_test_id("toggle-s3").click()
        await expect(page.get_by_test_id("summary")).to_have_text("1 of 3 running")
    await page.close()
