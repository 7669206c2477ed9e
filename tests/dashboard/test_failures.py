"""Failures by reason, on the pages."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import httpx
import msgspec
import pytest
from playwright.async_api import Page, expect

from tailrace.view.parts import failures_table
from tests.kit.waiting import TIMEOUT_S

Open = Callable[..., AbstractAsyncContextManager[Page]]

pytestmark = pytest.mark.asyncio(loop_scope="session")

REFUSAL = b"HTTP/1.1 404 Not Found\r\nContent-Length: 29\r\n\r\n<b>no such model</b> <script>"
SHOWN = "HTTP/1.1 404 Not Found\n<b>no such model</b> <script>"


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every request with REFUSAL."""
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(REFUSAL)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def test_the_most_frequent_comes_first_and_all_of_it_is_text() -> None:
    table = failures_table(
        {"<i>odd</i>": 1, "http: 404": 7_000}, {"<i>odd</i>": "<script>&" + "x" * 9_000}
    )
    assert (
        table.index("7,000")
        < table.index("&lt;i&gt;odd&lt;/i&gt;")
        < table.index('<td data-head="Failed">1<')
    )
    assert "<pre>&lt;script&gt;&amp;xxx" in table
    assert len(table) < 2_000
    many = failures_table({f"http: {number}": 1 for number in range(100_000)}, {})
    assert len(many) < 20_000


@pytest.mark.smoke
async def test_what_a_service_refuses_with_is_on_its_page_in_its_run_and_in_the_report(
    url: str, open_page: Open
) -> None:
    async with (
        await asyncio.start_server(refuse, "127.0.0.1", 0) as server,
        httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S) as rest,
    ):
        target = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        await rest.post("/api/services", json={"id": "no", "url": target, "profile": "40"})
        await rest.post("/api/services/no/start")
        async with open_page(f"{url}/services/no") as page:
            row = page.get_by_test_id("failures").locator("tbody tr")
            await expect(row).to_contain_text("http: 404", timeout=20_000)
            assert await row.locator("pre").inner_text() == SHOWN
            note = page.get_by_test_id("note-failures")
            await expect(note).to_contain_text("http: 404")
            stopped = (await rest.post("/api/services/no/stop")).json()
            run = stopped["run"].rpartition("/")[2]
            await page.goto(f"{url}/runs/{run}")
            await expect(page.locator("#failures")).to_contain_text("http: 404")
            assert await page.locator("pre").inner_text() == SHOWN
        report = (await rest.get(f"/runs/{run}/report")).text
        assert "404 Not Found\n&lt;b&gt;no such model&lt;/b&gt; &lt;script&gt;</pre>" in report
        record = (await rest.get(f"/api/runs/{run}")).content
        assert msgspec.json.decode(record)["result"]["examples"] == {"http: 404": SHOWN}
        await rest.delete("/api/services/no")
