"""Who is let in, asked over real HTTP and with a real browser."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI
from playwright.async_api import Browser, expect

from tailrace.dashboard.access import Access
from tailrace.dashboard.server import serving

Room = Callable[..., AbstractAsyncContextManager[str]]


@asynccontextmanager
async def guarded(token: str | None) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.get("/")(lambda: "in")
    app.add_middleware(Access, token=token)
    listener = socket.create_server(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with serving(app, listener), httpx.AsyncClient(base_url=base) as client:
        yield client


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8080", 200),
        ("localhost:8080", 200),
        ("[::1]:8080", 200),
        ("[::1]", 200),
        ("room.localhost", 200),
        ("example.org", 403),
        ("localhost.example.org:8080", 403),
        ("127.0.0.1.example.org", 403),
        ("10.0.0.1:8080", 403),
    ],
)
async def test_without_a_token_only_loopback_names_are_answered(host: str, status: int) -> None:
    async with guarded(None) as client:
        assert (await client.get("/", headers={"Host": host})).status_code == status


async def test_programs_send_the_token() -> None:
    async with guarded("secret") as client:
        refused = await client.get("/", headers={"Host": "example.org"})
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert "token" in refused.json()["error"]
        for token, status in (("secret", 200), ("Secret", 401), ("x", 401)):
            headers = {"Authorization": f"Bearer {token}", "Host": "example.org"}
            assert (await client.get("/", headers=headers)).status_code == status


async def test_a_token_in_the_address_becomes_a_cookie() -> None:
    async with guarded("secret") as client:
        assert (await client.get("/?token=wrong")).status_code == 401
        answer = await client.get("/?token=secret")
        assert answer.status_code == 303
        assert answer.headers["location"] == "/"
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "secret" not in cookie
        assert (await client.get("/")).status_code == 200


@pytest.mark.asyncio(loop_scope="module")
async def test_the_page_works_with_a_token(browser: Browser, room: Room) -> None:
    async with room("--token", "secret") as address:
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(f"{address}/?token=secret")
        await page.get_by_test_id("start").click()
        await expect(page.get_by_test_id("state")).to_have_text("running")
        assert "secret" not in page.url
        await context.close()


@pytest.mark.asyncio(loop_scope="module")
async def test_another_sites_page_cannot_open_the_socket(browser: Browser, room: Room) -> None:
    async with guarded(None) as other, room() as address:
        page = await browser.new_page()
        await page.goto(str(other.base_url))
        socket_address = address.replace("http", "ws") + "/_nicegui_ws/socket.io/"
        code = await page.evaluate(
            "url => new Promise(end => { new WebSocket(url).onclose = event => end(event.code); })",
            socket_address + "?EIO=4&transport=websocket",
        )
        assert code == 1006
        await page.close()
