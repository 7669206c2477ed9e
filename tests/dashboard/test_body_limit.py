"""Bodies that are too long or too slow, sent over real connections."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from tailrace.dashboard.access import BODY_BYTES, Access
from tailrace.dashboard.server import serving
from tests.kit.waiting import TIMEOUT_S


@asynccontextmanager
async def serving_limited(**access: Any) -> AsyncIterator[str]:
    """An application behind Access; it tells a body's length."""
    app = FastAPI()

    @app.api_route("/", methods=["GET", "POST", "PUT"])
    async def length(request: Request) -> int:
        return len(await request.body())

    app.add_middleware(Access, **access)
    listener = socket.create_server(("127.0.0.1", 0))
    async with serving(app, listener):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def in_chunks(size: int, count: int) -> AsyncIterator[bytes]:
    """Without a length, so it is sent in chunks."""
    for _ in range(count):
        yield bytes(size)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_the_longest_body_passes_and_a_longer_one_does_not(method: str) -> None:
    async with serving_limited() as url, httpx.AsyncClient(base_url=url) as client:
        for extra, status in ((0, 200), (1, 413)):
            announced = await client.request(method, "/", content=bytes(BODY_BYTES + extra))
            assert announced.status_code == status
        for count, status in ((1024, 200), (1025, 413)):
            answer = await client.request(method, "/", content=in_chunks(1024, count))
            assert answer.status_code == status
        assert announced.json()["type"] == answer.json()["type"] == "BodyError"
        assert "1,048,576" in answer.json()["error"]
        assert (await client.request(method, "/")).json() == 0


async def test_a_length_that_is_too_long_is_refused_before_a_byte_of_it() -> None:
    async with asyncio.timeout(TIMEOUT_S), serving_limited() as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1099511627776\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert b" 413 " in await reader.readline()
        writer.close()


async def test_who_has_yet_to_log_in_may_send_a_token_and_no_more() -> None:
    async with serving_limited(token="secret") as url, httpx.AsyncClient(base_url=url) as client:
        for extra, status in ((0, 401), (1, 413)):
            form = b"token=" + b"x" * (4096 - 6 + extra)
            assert (await client.post("/login", content=form)).status_code == status


@pytest.mark.parametrize("head", [b"Content-Length: 10", b"Transfer-Encoding: chunked"])
async def test_a_body_that_does_not_come_is_given_up(head: bytes) -> None:
    async with asyncio.timeout(TIMEOUT_S), serving_limited(body_s=0.2) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n1")
        answer = await reader.read()  # to the end: the connection is closed
        assert b" 408 " in answer.splitlines()[0]
        assert b"BodyError" in answer
        writer.close()


async def test_a_client_that_leaves_does_no_harm() -> None:
    async with serving_limited() as url, httpx.AsyncClient(base_url=url) as client:
        _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n1")
        await writer.drain()
        writer.close()
        assert (await client.post("/", content=b"12")).json() == 2
