"""All services at a glance, in real browsers, on a real controller that loads a real service."""

import asyncio
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import httpx
import pytest
from playwright.async_api import Locator, Page, expect

from tailrace.units import format_duration, format_lag, number
from tests.kit.waiting import TIMEOUT_S

Open = Callable[..., AbstractAsyncContextManager[Page]]
Room = Callable[..., AbstractAsyncContextManager[str]]

pytestmark = pytest.mark.asyncio(loop_scope="session")


def field(page: Page, service_id: str, name: str) -> Locator:
    return page.get_by_test_id(f"service-{service_id}").locator(f"[data-field={name}]")


@pytest.mark.smoke
async def test_a_service_is_started_steered_and_stopped_in_its_row(
    room: Room, open_page: Open
) -> None:
    async with room("--services", "3") as url, open_page(f"{url}/services") as page:
        await expect(field(page, "s2", "name")).to_have_text("Service 2")
        url_of = field(page, "s2", "url")
        await expect(url_of).to_contain_text("/v2/models/one-of-a-long-name/infer")
        assert await url_of.evaluate("e => e.scrollWidth <= e.clientWidth")
        await expect(field(page, "s2", "state")).to_have_text("idle")
        await expect(page.get_by_test_id("summary")).to_have_text("0 of 3 running")

        await page.get_by_test_id("toggle-s2").click()
        await expect(field(page, "s2", "state")).to_have_text("running")
        await expect(page.get_by_test_id("toggle-s2")).to_have_text("Stop")
        await expect(page.get_by_test_id("toggle-s2")).to_be_focused()
        await expect(page.get_by_test_id("summary")).to_have_text("1 of 3 running")
        await expect(field(page, "s2", "p99")).not_to_have_text("–")
        await expect(field(page, "s2", "slo")).to_have_text(re.compile("p99<100ms not decided yet"))
        await expect(field(page, "s2", "failures")).to_have_text("0")
        await expect(field(page, "s2", "verdict")).to_contain_text("VALID")
        await expect(field(page, "s1", "p99")).to_have_text("–")

        rate = page.get_by_test_id("rate-s2")
        await rate.fill("300")
        await rate.press("Enter")
        await expect(field(page, "s2", "asked")).to_have_text("300/s")
        async with httpx.AsyncClient(base_url=f"{url}/api/") as rest:
            rates = {s["id"]: s["rate_per_s"] for s in (await rest.get("services")).json()}
        assert rates == {"s1": 50, "s2": 300, "s3": 50}

        await page.get_by_test_id("toggle-s2").click()
        await expect(field(page, "s2", "state")).to_have_text("idle")
        await expect(field(page, "s2", "verdict")).to_have_text("INVALID")
        await expect(field(page, "s2", "reasons")).to_contain_text("less than the minimum")
        await expect(page.get_by_test_id("toggle-s2")).to_have_text("Start")


async def test_a_figure_is_the_same_on_the_overview_on_the_services_page_and_in_rest(
    room: Room, open_page: Open
) -> None:
    async with room("--services", "2") as url, open_page(f"{url}/services") as page:
        async with httpx.AsyncClient(base_url=f"{url}/api/services/s1") as rest:
            await rest.post("/start", json={"rate": 200})
            await expect(field(page, "s1", "of")).to_have_text(
                re.compile("· last [3-9]"), timeout=20_000
            )
            await rest.post("/stop")
            window = (await rest.get("/window")).json()
        p99, lag = number(window["latency_ms"]["p99"]), format_lag(window["send_lag_us"]["p99"])
        # What is told of the last interval comes up to a second after it.
        await expect(field(page, "s1", "p99")).to_have_text(p99)
        await expect(field(page, "s1", "lag")).to_contain_text(f"lag {lag} ")
        await expect(field(page, "s1", "failures")).to_have_text("0")
        await page.goto(f"{url}/services/s1")
        await expect(page.get_by_test_id("value-p99")).to_have_text(p99)
        tile = page.locator(".tile-send-lag .tile-value")
        assert " ".join((await tile.inner_text()).split()) == lag
        await expect(page.get_by_test_id("spans")).to_contain_text(
            f"the last {format_duration(window['seconds'])}"
        )
        for us in (None, 0, 0.04, 85.24, 999.4, 999.9, 1234, 999_900, 2.5e6, 119.9e6, 6e9, 7.3e9):
            worded = page.evaluate(
                "us => import('/static/timeline/format.js').then(({ lag }) => lag(us))", us
            )
            assert await worded == format_lag(us)


async def test_all_are_started_and_stopped_at_once_in_every_browser(
    room: Room, open_page: Open
) -> None:
    async with (
        room("--services", "8") as url,
        open_page(f"{url}/services") as one,
        open_page(f"{url}/services") as other,
    ):
        await one.get_by_test_id("start-all").click()
        await expect(other.get_by_test_id("summary")).to_have_text("8 of 8 running")
        for number in range(1, 9):
            await expect(field(other, f"s{number}", "p99")).not_to_have_text("–")
        await other.reload()
        await expect(field(other, "s8", "p99")).not_to_have_text("–")
        line = other.get_by_test_id("service-s8").locator(".spark-line")
        await expect(line).to_have_attribute("d", re.compile(r"^M.+L"))
        await other.get_by_test_id("stop-all").click()
        await expect(one.get_by_test_id("summary")).to_have_text("0 of 8 running")


async def test_a_second_brings_one_small_message_and_no_new_element(
    room: Room, open_page: Open
) -> None:
    loop = asyncio.get_running_loop()
    heard: list[tuple[float, int]] = []
    enough = asyncio.Event()

    def hear(frame: str | bytes) -> None:
        if "'show'" in str(frame):
            heard.append((loop.time(), len(frame)))
        if len(heard) == 6:
            enough.set()

    async with (
        room("--services", "8", "--interval", "0.5") as url,
        open_page(f"{url}/services") as page,
    ):
        await page.get_by_test_id("start-all").click()
        for number in range(1, 9):
            await expect(field(page, f"s{number}", "p99")).not_to_have_text("–")
        page.on("websocket", lambda socket: socket.on("framereceived", hear))
        await page.reload()
        await expect(field(page, "s8", "p99")).not_to_have_text("–")
        await page.evaluate(
            "window.added = 0; new MutationObserver(changes => { for (const change of changes)"
            " added += [...change.addedNodes].filter(node => node.nodeType === 1).length; })"
            ".observe(document.body, {childList: true, subtree: true})"
        )
        await asyncio.wait_for(enough.wait(), TIMEOUT_S)
        assert await page.evaluate("added") == 0
    # The first is what the page is opened with; five seconds lie between it and the last.
    assert heard[-1][0] - heard[0][0] > 3.5
    assert max(size for _, size in heard) < 20_000


async def test_a_tail_over_its_slo_is_told_by_word_and_colour(url: str, open_page: Open) -> None:
    async with httpx.AsyncClient(base_url=f"{url}/api/") as rest:
        target = (await rest.get("services/s1")).json()["url"]
        strict = {"id": "strict", "url": target, "slo": ["p99<1us"], "profile": "50"}
        assert (await rest.post("services", json=strict)).status_code == 201
        async with open_page(f"{url}/services") as page:
            await page.get_by_test_id("toggle-strict").click()
            slo = field(page, "strict", "slo")
            await expect(slo).to_have_text("over p99<1us")
            colour = "e => getComputedStyle(e).color"
            assert await slo.evaluate(colour) != await field(page, "strict", "url").evaluate(colour)
            await page.get_by_test_id("toggle-strict").click()
            await expect(field(page, "strict", "state")).to_have_text("idle")
        assert (await rest.delete("services/strict")).status_code == 204


async def test_services_come_and_go_in_open_pages(url: str, open_page: Open) -> None:
    async with (
        open_page(f"{url}/services") as page,
        httpx.AsyncClient(base_url=f"{url}/api/") as rest,
    ):
        target = (await rest.get("services/s1")).json()["url"]
        await page.get_by_test_id("rate-s1").focus()
        for name in ("one", "two"):
            await rest.post("services", json={"id": name, "name": f"The {name}", "url": target})
        await expect(page.locator("[data-field=name]")).to_have_text(
            ["Service 1", "The one", "The two"]
        )
        await rest.put("services/one", json={"id": "one", "name": "The first", "url": target})
        await expect(field(page, "one", "name")).to_have_text("The first")
        await rest.delete("services/one")
        await expect(page.locator("[data-field=name]")).to_have_text(["Service 1", "The two"])
        await rest.delete("services/two")
        await expect(page.get_by_test_id("service-two")).to_have_count(0)
        await expect(page.get_by_test_id("rate-s1")).to_be_focused()


async def test_a_rate_that_is_being_typed_is_left_alone(url: str, open_page: Open) -> None:
    async with (
        open_page(f"{url}/services") as page,
        httpx.AsyncClient(base_url=f"{url}/api/services/s1") as rest,
    ):
        rate = page.get_by_test_id("rate-s1")
        await rate.fill("7")
        await rest.put("/rate", json={"rate": 80})
        await expect(field(page, "s1", "asked")).to_have_text("80.0/s")
        await expect(rate).to_have_value("7")
        await rate.press("Enter")
        await expect(field(page, "s1", "asked")).to_have_text("7.00/s")
        await rest.put("/rate", json={"rate": 50})
        await expect(rate).to_have_value("50")


async def test_what_cannot_be_is_a_notification(url: str, open_page: Open) -> None:
    async with open_page(f"{url}/services") as page:
        await page.get_by_test_id("rate-s1").fill("-5")
        await page.get_by_test_id("rate-s1").press("Enter")
        told = page.get_by_text("rate must be")
        await expect(told).to_be_visible()
        unreadable = (
            "e => getComputedStyle(e).color"
            " === getComputedStyle(e.closest('.q-notification')).backgroundColor"
        )
        assert not await told.evaluate(unreadable)
        await expect(page.get_by_test_id("rate-s1")).to_have_value("50")


async def test_an_empty_room_says_what_to_do(room: Room, open_page: Open) -> None:
    async with room("--services", "0") as url, open_page(f"{url}/services") as page:
        empty = page.get_by_test_id("empty")
        await expect(empty).to_contain_text("No services yet")
        await expect(empty).to_contain_text("[[service]]")
        await empty.get_by_role("button", name="Add a service").click()
        await page.get_by_test_id("field-id").fill("first")
        await page.get_by_test_id("field-url").fill("http://127.0.0.1:9/")
        await page.get_by_test_id("save").click()
        await expect(page.get_by_test_id("service-first")).to_be_visible()
        await expect(empty).to_be_hidden()
