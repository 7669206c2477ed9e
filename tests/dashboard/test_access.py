"""Who is let in, asked over real HTTP and with a real browser."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.async_playwright import Axe
from fastapi import FastAPI, Request
from playwright.async_api import Browser, Page, expect
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tailrace.dashboard.access import Access
from tailrace.dashboard.server import serving

Room = Callable[..., AbstractAsyncContextManager[str]]
Open = Callable[..., AbstractAsyncContextManager[Page]]

TOKEN = "a-token-of-this-test"
HTML = {"Accept": "text/html"}


@asynccontextmanager
async def guarded_room(token: str | None) -> AsyncIterator[httpx.AsyncClient]:
    """An application behind Access: any path answers with the method and the body's length."""
    app = FastAPI()

    @app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "DELETE", "HEAD"])
    async def echo(request: Request) -> str:
        return f"{request.method} {len(await request.body())}"

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
        ("0.0.0.0:8080", 403),
        ("", 403),
    ],
)
async def test_without_a_token_only_loopback_names_are_answered(host: str, status: int) -> None:
    async with guarded_room(None) as client:
        assert (await client.get("/", headers={"Host": host})).status_code == status


async def test_programs_send_the_token() -> None:
    async with guarded_room(TOKEN) as client:
        refused = await client.get("/", headers={"Host": "example.org"})
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert "token" in refused.json()["error"]
        assert refused.json()["type"] == "UnauthorizedError"
        for value, status in (
            (f"Bearer {TOKEN}", 200),
            (f"bearer {TOKEN}", 200),
            (f"Bearer {TOKEN.upper()}", 401),
            (f"Bearer {TOKEN}x", 401),
            ("Bearer", 401),
            (f"Basic {TOKEN}", 401),
            (TOKEN, 401),
        ):
            headers = {"Authorization": value, "Host": "example.org"}
            assert (await client.get("/", headers=headers)).status_code == status, value


async def test_a_token_in_the_address_is_of_no_use() -> None:
    async with guarded_room(TOKEN) as client:
        answer = await client.get(f"/?token={TOKEN}")
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers


async def test_a_token_beyond_ascii_is_sent_as_utf_8() -> None:
    async with guarded_room("schlüssel") as client:
        headers = {"Authorization": "Bearer schlüssel".encode()}
        assert (await client.get("/", headers=headers)).status_code == 200
        answer = await client.post("/login", data={"token": "schlüssel"})
        assert answer.status_code == 303


async def test_a_browser_logs_in_and_out() -> None:
    async with guarded_room(TOKEN) as client:
        page = await client.get("/services/a?x=1&y=<", headers=HTML)
        assert page.status_code == 401
        assert '<form method="post" action="/login">' in page.text
        assert 'name="to" value="/services/a?x=1&amp;y=%3C"' in page.text
        wrong = await client.post("/login", data={"token": "wrong", "to": "/services/a"})
        assert wrong.status_code == 401
        assert 'value="/services/a"' in wrong.text
        assert "set-cookie" not in wrong.headers

        answer = await client.post("/login", data={"token": TOKEN, "to": "/services/a?x=1"})
        assert answer.status_code == 303
        assert answer.headers["location"] == "/services/a?x=1"
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "path=/" in cookie
        assert "secure" not in cookie
        assert TOKEN not in cookie
        session = dict(client.cookies)
        assert (await client.get("/", headers=HTML)).status_code == 200
        assert (await client.put("/", content=b"1")).status_code == 200
        assert (await client.get("/login", headers=HTML)).headers["location"] == "/"

        left = await client.post("/logout")
        assert (left.status_code, left.headers["location"]) == (303, "/")
        assert not client.cookies
        client.cookies.update(session)
        assert (await client.get("/")).status_code == 401


async def test_every_login_is_a_session_of_its_own() -> None:
    async with guarded_room(TOKEN) as client:
        names = set()
        for _ in range(3):
            answer = await client.post("/login", data={"token": TOKEN})
            names.add(answer.headers["set-cookie"].split(";")[0])
        assert len(names) == 3
        client.cookies.clear()
        for value in (TOKEN, "", "x"):
            cookie = {"Cookie": f"{names.copy().pop().partition('=')[0]}={value}"}
            assert (await client.get("/", headers=cookie)).status_code == 401


@pytest.mark.parametrize(
    "to",
    [
        "https://example.org/",
        "//example.org/",
        "/\\example.org/",
        "\\\\example.org",
        "/\t/example.org",
        "javascript:alert(1)",
        "services",
        "/a b",
        "/a\r\nSet-Cookie: a=b",
        "/startOnlineQuery.do?intensity=9&serviceId=a",
        "/startOnlineQuery%2edo?intensity=9&serviceId=a",
        "/startOnlineQuery.do#?x",
        "",
    ],
)
async def test_a_login_leads_to_no_other_site_and_starts_nothing(to: str) -> None:
    async with guarded_room(TOKEN) as client:
        answer = await client.post("/login", data={"token": TOKEN, "to": to})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_the_login_page_of_a_url_that_changes_something_leads_home() -> None:
    async with guarded_room(TOKEN) as client:
        page = await client.get("/startOnlineQuery.do?serviceId=a&intensity=5", headers=HTML)
        assert page.status_code == 401
        assert 'name="to" value="/"' in page.text


async def test_guessing_is_slowed_down() -> None:
    async with guarded_room(TOKEN) as client:
        for number in range(10):
            headers = {"Authorization": f"Bearer guess-{number}"}
            assert (await client.get("/", headers=headers)).status_code == 401
        answers = [
            await client.get("/", headers={"Authorization": "Bearer guess-11"}),
            await client.get("/", headers={"Authorization": f"Bearer {TOKEN}"}),
            await client.post("/login", data={"token": TOKEN}),
        ]
        for answer in answers:
            assert answer.status_code == 429
            assert int(answer.headers["retry-after"]) >= 1
        # Nothing is guessed by those who send none.
        assert (await client.get("/")).status_code == 401


async def test_an_old_token_over_and_over_shuts_nobody_out() -> None:
    async with guarded_room(TOKEN) as client:
        for _ in range(50):
            await client.get("/", headers={"Authorization": "Bearer of-last-week"})
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert (await client.get("/", headers=headers)).status_code == 200


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/x"),
        ("PUT", "/x"),
        ("DELETE", "/x"),
        ("POST", "/login"),
        ("POST", "/logout"),
        ("GET", "/startOnlineQuery.do"),
        ("HEAD", "/setIntensity.do"),
    ],
)
async def test_another_sites_page_may_change_nothing(
    token: str | None, method: str, path: str
) -> None:
    async with guarded_room(token) as client:
        if token is not None:
            await client.post("/login", data={"token": token})
        own = str(client.base_url).rstrip("/")
        for headers in (
            {"Origin": "https://example.org"},
            {"Origin": "null"},
            {"Origin": own.replace("127.0.0.1", "localhost")},
            {"Referer": "https://example.org/"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ):
            answer = await client.request(method, path, headers=headers)
            assert answer.status_code == 403, headers
        headers = {"Origin": own, "Referer": f"{own}/services", "Sec-Fetch-Site": "same-origin"}
        assert (await client.request(method, path, headers=headers)).status_code in (200, 303, 401)


async def test_other_sites_pages_may_link_here_and_read_nothing() -> None:
    async with guarded_room(None) as client:
        headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://example.org"}
        answer = await client.get("/services", headers=headers)
        assert answer.status_code == 200
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        asked = {**headers, "Access-Control-Request-Method": "PUT"}
        assert (await client.options("/x", headers=asked)).status_code == 403


async def test_a_session_that_does_not_tell_whose_page_asks_changes_nothing_by_get() -> None:
    """A browser says nothing with a GET over plain HTTP to another machine."""
    async with guarded_room(TOKEN) as client:
        await client.post("/login", data={"token": TOKEN})
        path = "/setIntensity.do?serviceId=a&intensity=5"
        refused = await client.get(path)
        assert refused.status_code == 403
        assert "POST" in refused.json()["error"]
        own = {"Referer": f"{client.base_url}/services"}
        for headers in (own, {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin"}):
            assert (await client.get(path, headers=headers)).status_code == 200
        client.cookies.clear()
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert (await client.get(path, headers=bearer)).status_code == 200


async def test_answers_tell_browsers_what_they_may_do_with_them() -> None:
    async with guarded_room(TOKEN) as client:
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        for answer in (
            await client.get("/", headers=bearer),
            await client.get("/", headers=HTML),
            await client.get("/"),
        ):
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["referrer-policy"] == "same-origin"
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert len(answer.headers.get_list("content-security-policy")) == 1
        login = (await client.get("/", headers=HTML)).headers["content-security-policy"]
        assert "default-src 'none'" in login
        assert "script-src" not in login


async def all_paths() -> list[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("routes.py")),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    paths: list[str] = json.loads(output)
    return paths


@pytest.mark.slow("starts a room to list its routes")
@pytest.mark.asyncio(loop_scope="session")
async def test_no_route_is_open_without_the_token(room: Room) -> None:
    paths = await all_paths()
    assert {
        "/",
        "/_nicegui_ws",
        "/api/runs",
        "/api/services",
        "/api/services/x/rate",
        "/api/services/x/stream",
        "/api/stream",
        "/docs",
        "/openapi.json",
        "/services",
        "/services/x",
        "/startOnlineQuery.do",
        "/static/x",
    } <= set(paths)
    assert any(path.startswith("/_nicegui/") for path in paths)
    polling = "/_nicegui_ws/socket.io/?EIO=4&transport=polling"
    async with room("--token", TOKEN) as address, httpx.AsyncClient(base_url=address) as client:
        known = ["/static/page.css", "/favicon.ico", "/api/services/s1", polling, "/nowhere"]
        for path in (*paths, *known):
            for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                for headers in ({}, {"Authorization": "Bearer wrong"}, HTML):
                    answer = await client.request(method, path, headers=headers)
                    assert answer.status_code == 401, (method, path, headers)
                    assert len(answer.content) < 4096
                    assert "set-cookie" not in answer.headers
        for path in (*paths, "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"):
            with pytest.raises(InvalidStatus) as refused:
                await connect(address.replace("http", "ws") + path)
            assert refused.value.response.status_code == 403
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert (await client.get("/api/services", headers=bearer)).status_code == 200
        assert (await client.get(polling, headers=bearer)).status_code == 200


@pytest.mark.asyncio(loop_scope="session")
async def test_the_socket_is_refused_to_other_origins_with_the_token_too(room: Room) -> None:
    async with room("--token", TOKEN) as address:
        url = address.replace("http", "ws") + "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        async with connect(url, additional_headers=bearer, origin=address) as opened:
            assert str(await opened.recv()).startswith("0{")
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, additional_headers=bearer, origin="https://example.org")
        assert refused.value.response.status_code == 403


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("scheme", [pytest.param("light", marks=pytest.mark.smoke), "dark"])
async def test_a_person_logs_in_in_the_browser(browser: Browser, room: Room, scheme: str) -> None:
    async with room("--token", TOKEN) as address:
        context = await browser.new_context(
            color_scheme=scheme, viewport={"width": 375, "height": 700}
        )
        page = await context.new_page()
        complaints: list[str] = []
        page.on("console", lambda line: complaints.append(line.text))
        await page.goto(f"{address}/services/s1")
        complaints.clear()  # of the status, 401
        field = page.get_by_label("Token")
        await expect(field).to_be_focused()
        await field.fill("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_have_text("This is not the token.")
        assert (await Axe().run(page)).response["violations"] == []
        complaints.clear()
        await page.get_by_label("Token").fill(TOKEN)
        await page.get_by_role("button", name="Log in").click()
        await page.wait_for_function("window.did_handshake === true")
        assert page.url == f"{address}/services/s1"
        await page.get_by_test_id("start").click()
        await expect(page.get_by_test_id("state")).to_have_text("running")
        assert complaints == []
        assert TOKEN not in await page.evaluate("document.cookie + JSON.stringify(localStorage)")
        await context.close()


@pytest.mark.asyncio(loop_scope="session")
async def test_another_sites_page_cannot_open_the_socket(
    browser: Browser, room: Room, serve: Any
) -> None:
    async with room() as address:
        page = await browser.new_page()
        await page.goto(serve().url)
        socket_address = address.replace("http", "ws") + "/_nicegui_ws/socket.io/"
        code = await page.evaluate(
            "url => new Promise(end => { new WebSocket(url).onclose = event => end(event.code); })",
            socket_address + "?EIO=4&transport=websocket",
        )
        assert code == 1006
        await page.close()
