"""A real browser, and pages in it that must not complain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright, expect

from tools.install_browser import ARGUMENTS, find_browser

# A page is shown in less; what is waited for may have to wait for a core.
expect.set_options(timeout=30_000)

Open = Callable[..., AbstractAsyncContextManager[Page]]


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A Chromium without a window."""
    executable = await asyncio.to_thread(find_browser)
    assert executable, "there is no Chromium: run python tools/install_browser.py"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        await browser.close()


@asynccontextmanager
async def watched_page(
    browser: Browser, *origins: str, console: bool = True, **context: Any
) -> AsyncIterator[Page]:
    """A page in a fresh profile; fails if a script of it does, if its console has an error or a
    warning (unless `console` is false), or if anything is fetched whose address starts otherwise
    than `origins`.
    """
    complaints: list[str] = []

    def hear(line: ConsoleMessage) -> None:
        if console and line.type in ("error", "warning"):
            complaints.append(f"{line.type}: {line.text}")

    def note(request: Request) -> None:
        if not request.url.startswith((*origins, "data:")):
            complaints.append(f"fetched {request.url}")

    profile = await browser.new_context(**context)
    page = await profile.new_page()
    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", note)
    yield page
    await profile.close()
    assert complaints == []
