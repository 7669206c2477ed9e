"""How long a browser may keep what it fetched."""

import re

import httpx
import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def named(browser: httpx.AsyncClient) -> list[str]:
    """The addresses of static files that a page names, in order."""
    page = (await browser.get("/services")).text
    return re.findall(r'(?:src|href)="(/static/[^"]+)"', page)


async def test_an_address_with_a_version_is_kept_and_one_without_is_asked_for_again(
    url: str,
) -> None:
    async with httpx.AsyncClient(base_url=url) as browser:
        (address,) = (a for a in await named(browser) if "/page.css?" in a)
        kept = await browser.get(address)
        assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
        for address in ("/static/page.css", "/static/page.css?v=old"):
            asked = await browser.get(address)
            assert asked.text == kept.text
            assert asked.headers["cache-control"] == "no-cache"
        etag = {"If-None-Match": asked.headers["etag"]}
        assert (await browser.get("/static/page.css", headers=etag)).status_code == 304


@pytest.mark.parametrize("path", ["absent.js", "../page.py", "%2e%2e/app.py", "timeline"])
async def test_nothing_else_is_served(url: str, path: str) -> None:
    async with httpx.AsyncClient(base_url=url) as browser:
        assert (await browser.get(f"/static/{path}")).status_code == 404


async def test_a_page_names_files_that_are_there(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as browser:
        addresses = await named(browser)
        files = [address.split("?")[0].removeprefix("/static/") for address in addresses]
        assert files[0] == "theme.js"
        styles = [file for file in files if file.endswith(".css")]
        assert styles[0] == "page.css"
        assert {"overview.css", "dialog.css", "controls.css"} <= set(styles)
        for address in addresses:
            assert (await browser.get(address)).status_code == 200
