"""The server itself: over TLS, and at its end."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trustme
from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from websockets.asyncio.client import connect

from tailrace.control.tls import Tls
from tailrace.dashboard.access import Access
from tailrace.dashboard.server import serving
from tailrace.errors import UsageError

TOKEN = "a-token-of-this-test"


def application(token: str | None = None) -> FastAPI:
    """Answers by HTTP, by websocket and by a stream that does not end."""
    app = FastAPI()
    app.get("/")(lambda: "in")

    @app.websocket("/echo")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())

    @app.get("/endless")
    async def endless() -> StreamingResponse:
        async def zeros() -> AsyncIterator[bytes]:
            while True:
                yield bytes(65536)

        return StreamingResponse(zeros())

    if token is not None:
        app.add_middleware(Access, token=token)
    return app


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA, tmp_path: Path) -> Tls:
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "room.pem")
    issued.private_key_pem.write_to_path(tmp_path / "room.key")
    return Tls(tmp_path / "room.pem", tmp_path / "room.key")


async def test_http_and_websockets_over_tls(authority: trustme.CA, tls: Tls) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    listener = socket.create_server(("127.0.0.1", 0))
    host = f"localhost:{listener.getsockname()[1]}"
    async with serving(application(TOKEN), listener, tls):
        async with httpx.AsyncClient(base_url=f"https://{host}", verify=trusting) as client:
            assert (await client.get("/")).status_code == 401
            answer = await client.post(
                "/login", data={"token": TOKEN}, headers={"Origin": f"https://{host}"}
            )
            assert answer.status_code == 303
            assert "secure" in answer.headers["set-cookie"].lower()
            assert (await client.get("/")).json() == "in"
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        async with connect(f"wss://{host}/echo", ssl=trusting, additional_headers=bearer) as echo:
            await echo.send("hello")
            assert await echo.recv() == "hello"
        async with httpx.AsyncClient() as distrusting:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await distrusting.get(f"https://{host}/")
            with pytest.raises(httpx.TransportError):
                await distrusting.get(f"http://{host}/")


async def test_a_broken_certificate_is_told_before_anything_is_served(tls: Tls) -> None:
    tls.cert.write_text("no certificate")
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, pytest.raises(UsageError, match=r"room\.pem"):
        async with serving(application(), listener, tls):
            pass


async def test_a_websocket_takes_no_long_messages() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"ws://127.0.0.1:{listener.getsockname()[1]}/echo"
    async with serving(application(), listener):
        async with connect(url, max_size=None) as echo:
            await echo.send("x" * 2**20)
            assert len(str(await echo.recv())) == 2**20
        async with connect(url, max_size=None) as echo:
            await echo.send("x" * (2**20 + 1))
            await echo.wait_closed()
            assert echo.close_code == 1009


async def test_the_end_waits_for_nobody_and_says_nothing(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.WARNING)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    async with asyncio.timeout(20):
        async with serving(application(), listener):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b" 200 " in await reader.readline()
        writer.close()
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await asyncio.open_connection("127.0.0.1", port)
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")
