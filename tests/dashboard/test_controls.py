"""The profile below the row of controls, in a real browser."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import httpx
import pytest
from playwright.async_api import Page, expect

from tailrace.dashboard.controls import EXAMPLES, example
from tailrace.load.schedule.profile import parse_profile

Open = Callable[..., AbstractAsyncContextManager[Page]]

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def unfold(page: Page) -> None:
    await page.get_by_test_id("profile-row").locator("summary").click()


async def asked(url: str) -> str:
    """The profile that the controller has."""
    async with httpx.AsyncClient() as rest:
        return str((await rest.get(f"{url}/api/services/s1")).json()["profile"])


@pytest.mark.parametrize("rate_per_s", [0, 1, 50, 12345.678])
@pytest.mark.parametrize("kind", EXAMPLES)
async def test_every_example_can_be_read_and_suits_the_rate(kind: str, rate_per_s: float) -> None:
    peak = parse_profile(example(kind, rate_per_s)).peak_per_s
    assert (rate_per_s or 50) <= peak <= 6 * (rate_per_s or 50)


async def test_a_profile_is_drawn_before_it_runs_and_used_for_the_next_start(
    url: str, open_page: Open
) -> None:
    async with open_page(f"{url}/services/s1") as page:
        await expect(page.get_by_test_id("profile-now")).to_have_text("50")
        await expect(page.get_by_test_id("arrivals")).to_have_text("poisson arrivals")
        await unfold(page)
        await expect(page.get_by_test_id("sketch-requests")).to_have_text("3,000")
        await page.get_by_test_id("profile").fill("0..100/60s")
        await expect(page.get_by_test_id("sketch-peak")).to_have_text("100/s")
        await expect(page.get_by_test_id("sketch").get_by_role("img")).to_be_visible()
        assert await asked(url) == "50"

        await page.get_by_role("button", name="Use for next start").click()
        await expect(page.get_by_test_id("profile-now")).to_have_text("0..100/60s")
        assert await asked(url) == "0..100/60s"
        await page.get_by_test_id("profile").fill("50")
        await page.get_by_test_id("profile").press("Enter")
        await expect(page.get_by_test_id("profile-now")).to_have_text("50")


@pytest.mark.smoke
async def test_a_profile_is_applied_to_the_run_at_once(url: str, open_page: Open) -> None:
    async with open_page(f"{url}/services/s1") as page:
        await unfold(page)
        await page.get_by_test_id("start").click()
        await page.get_by_role("button", name="Steps").click()
        await expect(page.get_by_test_id("profile")).to_have_value("50@20s,100@20s,250@20s,50")
        await page.get_by_test_id("profile").fill("300@60s,20")
        await page.get_by_role("button", name="Apply now").click()
        await expect(page.get_by_test_id("asked")).to_have_text("300/s")
        assert await asked(url) == "300@60s,20"
        await page.get_by_test_id("stop").click()
        await page.get_by_test_id("profile").fill("50")
        await page.get_by_role("button", name="Use for next start").click()
        await expect(page.get_by_test_id("asked")).to_have_text("50/s")


async def test_what_cannot_be_read_says_where(url: str, open_page: Open) -> None:
    async with open_page(f"{url}/services/s1") as page:
        await unfold(page)
        await page.get_by_test_id("profile").fill("100@30s,sin(mean=3)")
        await expect(page.get_by_test_id("unread")).to_contain_text("did you mean sine?")
        await expect(page.get_by_test_id("unread")).to_contain_text("at character 9")
        await page.get_by_role("button", name="Use for next start").click()
        await expect(page.get_by_role("alert")).to_contain_text("did you mean sine?")
        assert await asked(url) == "50"


async def test_a_rate_set_elsewhere_changes_what_nobody_typed(url: str, open_page: Open) -> None:
    async with (
        open_page(f"{url}/services/s1") as one,
        open_page(f"{url}/services/s1") as other,
        httpx.AsyncClient(base_url=f"{url}/api/services/s1") as rest,
    ):
        for page in (one, other):
            await unfold(page)
        await one.get_by_test_id("profile").fill("60..90/10s")
        await rest.put("/rate", json={"rate": 70})
        for page in (one, other):
            await expect(page.get_by_test_id("profile-now")).to_have_text("70")
        await expect(one.get_by_test_id("profile")).to_have_value("60..90/10s")
        await expect(other.get_by_test_id("profile")).to_have_value("70")
        await rest.put("/rate", json={"rate": 50})
        await expect(other.get_by_test_id("profile")).to_have_value("50")
