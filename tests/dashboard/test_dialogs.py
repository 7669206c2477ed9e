"""Services are added, changed and removed in dialogs, in a real browser."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import httpx
import pytest
from playwright.async_api import Page, expect

Open = Callable[..., AbstractAsyncContextManager[Page]]

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def fill(page: Page, **values: str) -> None:
    for name, value in values.items():
        await page.get_by_test_id(f"field-{name}").fill(value)


@pytest.mark.smoke
async def test_a_service_is_added_changed_and_removed(url: str, open_page: Open) -> None:
    async with (
        open_page(f"{url}/services") as page,
        httpx.AsyncClient(base_url=f"{url}/api/services") as rest,
    ):
        target = (await rest.get("/s1")).json()["url"]
        dialog = page.get_by_test_id("service-dialog")
        await page.get_by_test_id("add").click()
        await expect(page.get_by_test_id("field-id")).to_be_focused()
        await fill(page, id="new", name="A new one", url=target, profile="20..60/30s")
        await fill(page, slo="p99<100ms, mean<20ms", duration_s="2m")
        await dialog.get_by_text("Requests", exact=True).click()
        await fill(page, headers="X-One: 1\nX-Two: 2", text="hello")
        await dialog.get_by_text("Connections", exact=True).first.click()
        await fill(page, seed="7", timeout_s="500ms", first_byte_timeout_s="250ms")
        await page.get_by_test_id("field-reuse").select_option("lifo")
        await page.get_by_test_id("field-verify").uncheck()
        await page.get_by_test_id("save").click()
        await expect(dialog).to_be_hidden()
        await expect(page.get_by_test_id("service-new")).to_be_visible()

        config = (await rest.get("/new/config")).json()
        assert config["headers"] == {"X-One": "1", "X-Two": "2"}
        assert config["slo"] == ["p99<100ms", "mean<20ms"]
        assert config["text"] == "hello"
        assert (config["duration_s"], config["timeout_s"], config["seed"]) == (120, 0.5, 7)
        assert config["verify"] is False
        assert (config["first_byte_timeout_s"], config["reuse"]) == (0.25, "lifo")

        await page.get_by_test_id("change-new").click()
        await expect(dialog).to_contain_text("Change A new one")
        await expect(page.get_by_test_id("field-id")).to_have_value("new")
        assert not await page.get_by_test_id("field-id").is_editable()
        await expect(page.get_by_test_id("field-slo")).to_have_value("p99<100ms, mean<20ms")
        await fill(page, name="Renamed")
        await page.keyboard.press("Enter")
        await expect(dialog).to_be_hidden()
        await expect(page.locator("#name-new")).to_have_text("Renamed")
        assert (await rest.get("/new/config")).json() == {**config, "name": "Renamed"}

        await page.get_by_test_id("remove-new").click()
        await expect(page.get_by_test_id("remove-dialog")).to_contain_text("Remove Renamed?")
        await page.get_by_role("button", name="Keep it").click()
        await expect(page.get_by_test_id("service-new")).to_be_visible()
        await page.get_by_test_id("remove-new").click()
        await page.get_by_test_id("remove-really").click()
        await expect(page.get_by_test_id("service-new")).to_have_count(0)
        assert (await rest.get("/new")).status_code == 404


@pytest.mark.parametrize(
    ("wrong", "reason", "at_fault"),
    [
        ({"id": ""}, "Id is missing", "id"),
        ({"id": "s1"}, "'s1'", None),
        ({"id": "a b"}, "Id: must be up to 64 letters", "id"),
        ({"url": "ftp://127.0.0.1"}, "http", None),
        ({"profile": "100.."}, "Profile: ", "profile"),
        ({"duration_s": "soon"}, "'soon' is not a duration", "duration_s"),
        ({"slo": "p99<"}, "SLOs: 'p99<' is not an SLO", "slo"),
    ],
)
async def test_an_error_is_told_at_the_form_and_nothing_typed_is_lost(
    url: str, open_page: Open, wrong: dict[str, str], reason: str, at_fault: str | None
) -> None:
    async with open_page(f"{url}/services") as page:
        dialog = page.get_by_test_id("service-dialog")
        await page.get_by_test_id("add").click()
        typed = {"id": "typed", "name": "A name", "url": "http://127.0.0.1:9/", **wrong}
        await fill(page, **typed)
        await page.get_by_test_id("save").click()
        await expect(dialog.get_by_role("alert")).to_contain_text(reason)
        for name, value in typed.items():
            await expect(page.get_by_test_id(f"field-{name}")).to_have_value(value)
        invalid = dialog.locator("[aria-invalid]")
        if at_fault is not None:
            await expect(invalid).to_have_attribute("name", at_fault)
            await expect(invalid).to_be_focused()
        else:
            await expect(invalid).to_have_count(0)
        await expect(page.get_by_test_id("save")).to_be_enabled()
        await page.keyboard.press("Escape")
        await expect(dialog).to_be_hidden()
        await expect(page.locator("article")).to_have_count(1)


async def test_the_keyboard_stays_within_and_returns_to_where_it_was(
    url: str, open_page: Open
) -> None:
    async with open_page(f"{url}/services") as page:
        await page.get_by_test_id("add").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_test_id("service-dialog")).to_be_visible()
        outside = (
            "document.activeElement !== document.body && !document.activeElement.closest('dialog')"
        )
        for _ in range(24):
            await page.keyboard.press("Tab")
            assert not await page.evaluate(outside)
        await page.keyboard.press("Escape")
        await expect(page.get_by_test_id("service-dialog")).to_be_hidden()
        await expect(page.get_by_test_id("add")).to_be_focused()


async def test_a_profile_is_drawn_as_it_is_typed(url: str, open_page: Open) -> None:
    async with open_page(f"{url}/services") as page:
        await page.get_by_test_id("add").click()
        sketch = page.get_by_test_id("service-dialog").get_by_test_id("sketch")
        await expect(sketch.get_by_test_id("sketch-requests")).to_have_text("3,000")
        await fill(page, profile="0..100/60s", duration_s="2m")
        await expect(sketch.get_by_test_id("sketch-requests")).to_have_text("9,000")
        await fill(page, profile="0..")
        await expect(sketch.get_by_test_id("unread")).to_contain_text("the ramp needs an end")
        await expect(sketch.locator("svg")).to_be_hidden()


async def test_what_runs_is_not_changed_or_removed(url: str, open_page: Open) -> None:
    async with open_page(f"{url}/services") as page:
        await expect(page.get_by_test_id("change-s1")).to_be_enabled()
        await page.get_by_test_id("toggle-s1").click()
        await expect(page.get_by_test_id("change-s1")).to_be_disabled()
        await expect(page.get_by_test_id("remove-s1")).to_be_disabled()
        await page.get_by_test_id("toggle-s1").click()
        await expect(page.get_by_test_id("remove-s1")).to_be_enabled()
