"""Every page as axe-core, and somebody with nothing but a keyboard, find it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import get_args

import httpx
import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from tailrace.dashboard.frame import Place

Room = Callable[..., AbstractAsyncContextManager[str]]

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def busy(room_for_module: Room) -> AsyncIterator[str]:
    """A control room of eight services, of which two run; a third one's run is over."""
    async with room_for_module("--services", "8") as address, httpx.AsyncClient() as rest:
        for id_ in ("s1", "s2", "s3"):
            (await rest.post(f"{address}/api/services/{id_}/start")).raise_for_status()
        (await rest.post(f"{address}/api/services/s3/stop")).raise_for_status()
        yield address


@asynccontextmanager
async def opened(browser: Browser, address: str, scheme: str) -> AsyncIterator[Page]:
    context = await browser.new_context(
        viewport={"width": 1280, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        bypass_csp=True,
    )
    page = await context.new_page()
    await page.goto(address)
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    yield page
    await context.close()


async def check(page: Page) -> None:
    """Fail if axe finds a serious or critical violation."""
    found = await Axe().run(page)
    violations = [
        f"{violation['id']}: {node['html'][:200]} {node['failureSummary']}"
        for violation in found.response["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
    assert not violations, "\n".join(violations)


PAGES = (*(f"/{place}" for place in get_args(Place)), "/services/s1", "/services/s4", "/docs")


@pytest.mark.parametrize("path", [*PAGES, "/services/none"])
async def test_a_phone_needs_no_sideways_scrolling(busy: str, browser: Browser, path: str) -> None:
    async with opened(browser, busy + path, "light") as page:
        if path == "/services":
            await expect(page.locator("[data-service=s1] [data-field=p99]")).not_to_have_text("–")
        await page.set_viewport_size({"width": 375, "height": 812})
        for fold in await page.locator("summary:visible").all():
            await fold.click()
        assert await page.evaluate("document.documentElement.scrollWidth") == 375
        cut = (
            "[...document.querySelectorAll('button')].filter(b => b.scrollHeight > b.clientHeight)"
        )
        assert await page.evaluate(f"{cut}.map(b => b.textContent)") == []


@pytest.mark.parametrize("scheme", [pytest.param("light", marks=pytest.mark.smoke), "dark"])
@pytest.mark.parametrize("path", PAGES)
async def test_every_page(busy: str, browser: Browser, path: str, scheme: str) -> None:
    async with opened(browser, busy + path, scheme) as page:
        if path == "/services":
            await expect(page.locator("[data-service=s1] [data-field=p99]")).not_to_have_text("–")
        if path == "/services/s1":
            await expect(page.get_by_test_id("value-p99")).not_to_have_text("–")
            await page.get_by_test_id("profile-row").locator("summary").click()
            await expect(page.get_by_test_id("sketch-peak")).to_be_visible()
        await check(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_run(busy: str, browser: Browser, scheme: str) -> None:
    async with httpx.AsyncClient() as rest:
        name = (await rest.get(f"{busy}/api/runs")).json()[0]["name"]
    async with opened(browser, f"{busy}/runs/{name}", scheme) as page:
        await check(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("services", [0, 1])
async def test_few_services(room: Room, browser: Browser, services: int, scheme: str) -> None:
    async with (
        room("--services", str(services)) as address,
        opened(browser, f"{address}/services", scheme) as page,
    ):
        await check(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_dialogs(busy: str, browser: Browser, scheme: str) -> None:
    async with opened(browser, f"{busy}/services", scheme) as page:
        await page.get_by_test_id("add").click()
        for title in ("Requests", "Advanced"):
            await page.get_by_test_id("service-dialog").get_by_text(title, exact=True).click()
        await page.get_by_test_id("save").click()
        await expect(page.get_by_test_id("service-dialog").get_by_role("alert")).not_to_be_empty()
        await check(page)
        await page.keyboard.press("Escape")
        await page.get_by_test_id("remove-s4").click()
        await expect(page.get_by_test_id("remove-dialog")).to_be_visible()
        await check(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_login(room: Room, browser: Browser, scheme: str) -> None:
    async with room("--token", "secret") as address, opened(browser, address, scheme) as page:
        await check(page)


CONTROLS = "a[href], button, input, select, textarea, summary, [tabindex]:not([tabindex='-1'])"
REACHABLE = f"""
() => [...document.querySelectorAll("{CONTROLS}")].filter(
  e => e.checkVisibility({{visibilityProperty: true}}) && !e.disabled && e.tabIndex >= 0
    && !e.closest("[inert], dialog:not([open])")
).length
"""
FOCUSED = """
() => {
  const e = document.activeElement;
  if (e === document.body) return null;
  e.dataset.walked ??= String(document.querySelectorAll("[data-walked]").length);
  const look = node => {
    const style = getComputedStyle(node);
    return style.outlineStyle + style.outlineWidth + style.boxShadow;
  };
  const seen = () => look(e) + look(e.closest(".q-field")?.querySelector(".q-field__control") ?? e);
  const focused = seen();
  e.blur();
  const plain = seen();
  e.focus({focusVisible: true, preventScroll: true});
  return [e.dataset.walked, focused !== plain, e.outerHTML.slice(0, 120)];
}
"""


@pytest.mark.alone("pages of what runs change, and faster than a slow browser walks")
@pytest.mark.parametrize("path", ["/services", "/services/s1", "/runs"])
async def test_tab_reaches_everything_and_shows_where_it_is(
    busy: str, browser: Browser, path: str
) -> None:
    async with opened(browser, busy + path, "light") as page:
        await expect(page.get_by_test_id("theme")).to_be_visible()
        await page.wait_for_load_state("networkidle")
        reachable = await page.evaluate(REACHABLE)
        walked: dict[str, str] = {}
        unseen = []
        for _ in range(reachable + 10):
            await page.keyboard.press("Tab")
            focused = await page.evaluate(FOCUSED)
            if focused is None:
                break
            order, visible, html = focused
            walked[order] = html
            unseen += [] if visible else [html]
        assert not unseen, "\n".join(unseen)
        assert len(walked) >= reachable > 10
