"""The page of a service in a real browser, on a real controller that loads a real service."""

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

Open = Callable[..., AbstractAsyncContextManager[Page]]
Room = Callable[..., AbstractAsyncContextManager[str]]

pytestmark = pytest.mark.asyncio(loop_scope="session")

COLUMNS = """
() => Number(document.querySelector("[data-chart=latency]")?.dataset.columns ?? 0)
"""
FIGURE = """
name => Number(document.querySelector(`[data-testid="${name}"]`).innerText.replaceAll(",", ""))
"""


async def figure_reaches(page: Page, name: str, low: float, high: float = float("inf")) -> None:
    """Wait until the figure lies between the two."""
    await page.wait_for_function(
        f"([name, low, high]) => {{ const value = ({FIGURE})(name);"
        " return value >= low && (high === null || value <= high); }",
        arg=[name, low, None if high == float("inf") else high],
    )


async def start_service(page: Page) -> None:
    """Start the load, unless it is running."""
    await expect(page.get_by_test_id("state")).not_to_have_text("stopping")
    if await page.get_by_test_id("start").is_enabled():
        await page.get_by_test_id("start").click()
    await expect(page.get_by_test_id("state")).to_have_text("running")


async def stop(page: Page) -> None:
    """Stop the load."""
    await page.get_by_test_id("stop").click()
    await expect(page.get_by_test_id("state")).to_have_text("idle")


@pytest.mark.smoke
async def test_start_move_the_rate_and_stop(room: Room, open_page: Open) -> None:
    async with room() as url, open_page(url) as page:
        await expect(page).to_have_title("Service 1 · Tailrace control room")
        await expect(page.get_by_test_id("state")).to_have_text("idle")
        await expect(page.get_by_test_id("empty")).to_contain_text(
            "Press Start to offer 50 requests"
        )
        await expect(page.get_by_test_id("verdict")).to_have_text("No verdict yet")
        await expect(page.get_by_test_id("xray")).to_contain_text("once 100 requests")
        await expect(page.get_by_test_id("stop")).to_be_disabled()

        await page.get_by_test_id("start").click()
        await expect(page.get_by_test_id("state")).to_have_text("running")
        await expect(page.get_by_test_id("start")).to_be_disabled()
        await expect(page.get_by_test_id("empty")).to_be_hidden()
        await figure_reaches(page, "value-qps", 1)
        await figure_reaches(page, "value-p99", 0.001)
        await expect(page.get_by_test_id("asked")).to_have_text("50/s")

        await page.get_by_test_id("rate").fill("400")
        await page.get_by_test_id("rate").press("Enter")
        await expect(page.get_by_test_id("asked")).to_have_text("400/s")
        await figure_reaches(page, "value-rps", 250, 600)
        await figure_reaches(page, "value-qps", 250, 600)
        await expect(page.get_by_test_id("value-failures")).to_have_text("0")
        await expect(page.get_by_test_id("xray")).to_contain_text("explains")
        await expect(page.locator(".xray-parts")).to_contain_text("infer")

        await stop(page)
        await expect(page.get_by_test_id("start")).to_be_enabled()
        await expect(page.get_by_test_id("stop")).to_be_disabled()


async def test_a_search_is_seen_in_every_browser_and_goes_on_without_any(
    room: Room, open_page: Open
) -> None:
    async with room() as url:
        async with open_page(url) as page:
            await expect(page.get_by_test_id("search")).to_be_hidden()
            await page.get_by_test_id("find").click()
            await expect(page.get_by_test_id("search-status")).to_contain_text("doubling")
            await expect(page.get_by_test_id("find")).to_be_disabled()
            await expect(page.get_by_test_id("start")).to_be_disabled()
        async with open_page(url) as page:
            await expect(page.get_by_test_id("state")).to_have_text("running")
            await expect(page.get_by_test_id("search")).to_contain_text("so far:")
            picture = page.get_by_test_id("search").locator("img")
            assert await picture.evaluate("(image) => image.naturalWidth") > 300
            await figure_reaches(page, "value-qps", 1)
            await stop(page)
            await expect(page.get_by_test_id("search-status")).to_have_text("kept under Runs")
            await expect(page.get_by_test_id("search")).to_contain_text("cut short by stop")
            await page.get_by_test_id("to-runs").click()
            await expect(page.get_by_test_id("searches")).to_contain_text("not confirmed")


async def test_the_slider_steers_by_keyboard_and_mouse(url: str, open_page: Open) -> None:
    async with open_page(url) as page:
        slider, field = page.get_by_test_id("rate-slider"), page.get_by_test_id("rate")
        await field.fill("100")
        await field.press("Enter")
        await expect(slider).to_have_attribute("aria-valuetext", "100 requests per second")

        await slider.press("ArrowRight")
        await expect(field).to_have_value("120")
        await expect(page.get_by_test_id("asked")).to_have_text("120/s")

        box = await slider.bounding_box()
        assert box is not None
        await page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] / 2)
        await page.mouse.down()
        await page.mouse.move(
            box["x"] + box["width"] * 0.55, box["y"] + box["height"] / 2, steps=20
        )
        await page.mouse.up()
        await expect(field).not_to_have_value("120")
        asked = float(await field.input_value())
        await expect(page.get_by_test_id("asked")).to_have_text(f"{asked:,g}/s")

        await field.fill("50")
        await field.press("Enter")
        await expect(page.get_by_test_id("asked")).to_have_text("50/s")


async def test_typing_is_left_alone_until_it_is_entered(url: str, open_page: Open) -> None:
    async with open_page(url) as page:
        await start_service(page)
        await figure_reaches(page, "value-qps", 1)
        field = page.get_by_test_id("rate")
        await field.press_sequentially("7")
        typed = await field.input_value()
        elapsed = await page.get_by_test_id("elapsed").inner_text()
        await expect(page.get_by_test_id("elapsed")).not_to_have_text(elapsed)
        await expect(field).to_have_value(typed)
        await expect(page.get_by_test_id("asked")).to_have_text("50/s")
        await field.fill("50")
        await field.press("Enter")
        await stop(page)


async def test_a_rate_that_cannot_be_is_a_notification(url: str, open_page: Open) -> None:
    async with open_page(url) as page:
        await page.get_by_test_id("rate").fill("-5")
        await page.get_by_test_id("rate").press("Enter")
        notification = page.get_by_role("alert")
        await expect(notification).to_contain_text("rate must be")
        await expect(notification).not_to_contain_text("Traceback")
        await expect(page.get_by_test_id("rate")).to_have_value("50")


async def test_browsers_share_one_state(url: str, open_page: Open) -> None:
    async with open_page(url) as one, open_page(url) as other:
        await start_service(one)
        await expect(other.get_by_test_id("state")).to_have_text("running")
        await figure_reaches(other, "value-qps", 1)
        async with httpx.AsyncClient(base_url=f"{url}/api/services/s1") as rest:
            assert (await rest.put("/rate", json={"rate": 70})).status_code == 200
        for page in (one, other):
            await expect(page.get_by_test_id("asked")).to_have_text("70/s")
            await expect(page.get_by_test_id("rate")).to_have_value("70")
        await stop(other)
        await expect(one.get_by_test_id("state")).to_have_text("idle")


async def test_a_reload_shows_the_history(url: str, open_page: Open) -> None:
    async with open_page(url) as page:
        await start_service(page)
        await page.wait_for_function(f"({COLUMNS})() >= 8")
        await stop(page)
        columns = await page.evaluate(COLUMNS)
        p99 = await page.get_by_test_id("value-p99").inner_text()
        await page.reload()
        await page.wait_for_function(f"({COLUMNS})() >= {columns}")
        await expect(page.get_by_test_id("value-p99")).to_have_text(p99)
        await expect(page.get_by_test_id("empty")).to_be_hidden()
        await page.get_by_test_id("span").get_by_text("1 h").click()
        await expect(page.get_by_text("A point is 48 intervals")).to_be_visible()


async def test_stages_rate_changes_and_the_slo_are_told(url: str, open_page: Open) -> None:
    async with open_page(url) as page:
        await start_service(page)
        await expect(page.locator("[data-chart=stages]")).to_be_visible()
        legend = page.locator(".panel-stages .legend")
        await expect(legend).to_contain_text("infer 1.2")
        head = page.locator(".panel-latency .panel-head")
        await expect(head).to_contain_text("the SLO in")
        moment = page.get_by_test_id("moment")
        await expect(moment).to_contain_text("Slowest requests")
        await page.get_by_test_id("pause").click()
        async with httpx.AsyncClient(base_url=f"{url}/api/services/s1") as rest:
            await rest.put("/rate", json={"rate": 123})
        await figure_reaches(page, "value-rps", 100)
        status = page.get_by_test_id("timeline-status")
        await expect(status).to_contain_text("Paused")
        await page.get_by_test_id("pause").click()
        await expect(status).not_to_contain_text("Paused")
        await page.get_by_test_id("charts").focus()
        await page.keyboard.press("End")
        for _ in range(40):
            if "123/s" in await moment.inner_text():
                break
            await page.keyboard.press("ArrowLeft")
        await expect(moment).to_contain_text("123/s")
        await stop(page)


async def test_the_verdict_has_every_reason(url: str, open_page: Open) -> None:
    async with open_page(url) as page:
        await start_service(page)
        # That it takes longer is no fault as long as it goes on.
        await expect(page.get_by_test_id("verdict")).to_have_text(re.compile("VALID so far"))
        await expect(page.get_by_test_id("reasons")).not_to_contain_text("less than the minimum")
        answers = page.locator(".verdict .slos")
        await expect(answers).to_contain_text("p99<100ms not decided yet")
        await expect(answers).to_contain_text("MLPerf: not official")
        await stop(page)
        await expect(page.get_by_test_id("verdict")).to_have_text("INVALID")
        await expect(page.get_by_test_id("reasons")).to_contain_text("less than the minimum")
        async with httpx.AsyncClient(base_url=url) as rest:
            service = (await rest.get("/api/services/s1")).json()
        reasons = page.get_by_test_id("reasons").get_by_role("listitem")
        await expect(reasons).to_have_count(len(service["verdict"]["reasons"]))
        for reason in service["mlperf"]["reasons"]:
            await expect(answers).to_contain_text(reason)


async def test_p99_9_waits_for_a_thousand_responses(url: str, open_page: Open) -> None:
    async with open_page(url) as page:
        await page.get_by_test_id("rate").fill("20")
        await page.get_by_test_id("rate").press("Enter")
        await start_service(page)
        await figure_reaches(page, "value-p99", 0.001)
        await expect(page.get_by_test_id("value-p99.9")).to_have_text("–")
        await expect(page.get_by_test_id("note-p99.9")).to_contain_text("of 1,000")
        await page.get_by_test_id("rate").fill("1500")
        await page.get_by_test_id("rate").press("Enter")
        await page.wait_for_function(f"({FIGURE})('value-p99.9') > 0")
        await stop(page)


async def test_a_phone_needs_no_sideways_scrolling(url: str, open_page: Open) -> None:
    async with open_page(url, viewport={"width": 375, "height": 812}) as page:
        await start_service(page)
        await figure_reaches(page, "value-qps", 1)
        assert await page.evaluate("document.documentElement.scrollWidth") == 375
        for name in ("start", "stop", "rate", "rate-slider", "value-p99"):
            await expect(page.get_by_test_id(name)).to_be_in_viewport()
        await stop(page)


async def test_one_of_several_services_is_chosen(open_page: Open, room: Room) -> None:
    async with room("--services", "2") as address, open_page(f"{address}/services/s1") as page:
        await page.get_by_test_id("service").click()
        await page.get_by_role("option", name="Service 2").click()
        await expect(page).to_have_url(f"{address}/services/s2")
        await start_service(page)
        await figure_reaches(page, "value-qps", 1)
        await page.reload()
        await expect(page.get_by_test_id("state")).to_have_text("running")
        async with httpx.AsyncClient(base_url=address) as rest:
            states = [service["state"] for service in (await rest.get("/api/services")).json()]
        assert states == ["idle", "running"]


async def test_a_removed_service_is_said_to_be(open_page: Open, room: Room) -> None:
    async with room("--services", "2") as address, open_page(f"{address}/services/s2") as page:
        await expect(page.get_by_test_id("service")).to_be_visible()
        async with httpx.AsyncClient(base_url=address) as rest:
            assert (await rest.delete("/api/services/s1")).is_success
            await expect(page.get_by_role("heading", name="Service 2")).to_be_visible()
            assert (await rest.delete("/api/services/s2")).is_success
        await expect(page.get_by_text("This service was removed.")).to_be_visible()


async def test_the_page_comes_back_with_the_server(browser: Browser, room: Room) -> None:
    context = await browser.new_context()
    page = await context.new_page()
    async with room() as address:
        await page.goto(f"{address}/services/s1")
        await start_service(page)
        await page.wait_for_function(f"({COLUMNS})() >= 4")
    async with room("--port", address.rpartition(":")[2]):
        await expect(page.get_by_test_id("empty")).to_be_visible(timeout=20_000)
        await start_service(page)
        await page.wait_for_function(f"({COLUMNS})() >= 4")
    await context.close()
