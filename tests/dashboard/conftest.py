"""Control rooms in processes of their own, their pages, and intervals to show."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tailrace.control.interface import ServiceInfo
from tailrace.load.measure.point import Point
from tests.kit.browser import Open, watched_page
from tests.kit.samples import POINT, SERVICE

Room = Callable[..., AbstractAsyncContextManager[str]]


def _room(*arguments: str) -> AbstractAsyncContextManager[str]:
    """A control room; gives its address."""
    return _serving("room.py", *arguments)


@asynccontextmanager
async def _serving(program: str, *arguments: str) -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name(program)),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        url = (await process.stdout.readline()).decode().strip()
        assert url, f"{program} did not start"
        yield url
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@pytest.fixture
def room() -> Room:
    """Starts a control room of one's own; arguments as room.py takes them."""
    return _room


@pytest.fixture(scope="module")
def room_for_module() -> Room:
    """The same for a fixture that a module shares."""
    return _room


@pytest.fixture(scope="module")
def gallery_of() -> Room:
    """Starts the gallery of a folder of intervals; gives its address."""
    return lambda folder: _serving("gallery.py", folder)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def url() -> AsyncIterator[str]:
    """A control room with one service, which tests leave as it was."""
    async with _room() as address:
        yield address


@pytest.fixture
def open_page(browser: Browser) -> Open:
    """Opens an address in a fresh profile; fails if the console has an error or a warning, or if
    anything is fetched from another host.
    """

    @asynccontextmanager
    async def opened(address: str, **context: Any) -> AsyncIterator[Page]:
        origin = "/".join(address.split("/")[:3])
        async with watched_page(browser, origin, f"blob:{origin}", **context) as page:
            await page.goto(address)
            # A live page has its socket; a report has its charts.
            await page.wait_for_function(
                "() => window.did_handshake === true"
                " || 'started' in document.documentElement.dataset"
            )
            yield page

    return opened


@pytest.fixture
def point() -> Callable[..., Point]:
    """Makes an interval that ended so many seconds after a run's first one; keyword arguments are
    fields of it.
    """

    def made(at_s: float = 0.0, **fields: Any) -> Point:
        when = {"index": int(at_s), "t_s": 1 + at_s, "wall_time": 1000 + at_s}
        return msgspec.structs.replace(POINT, **when | fields)

    return made


@pytest.fixture
def service() -> Callable[..., ServiceInfo]:
    """Makes a running service; keyword arguments are fields of it."""

    def made(**fields: Any) -> ServiceInfo:
        return msgspec.structs.replace(SERVICE, **fields)

    return made
