"""The server itself: over TLS, and at its end."""

import asyncio
import contextlib
import json
import logging
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
import trustme
import uvloop
from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from websockets.asyncio.client import connect

from tailrace.dashboard.access import Access
from tailrace.dashboard.server import Seldom, said_seldom, serving
from tailrace.errors import UsageError
from tailrace.http.guard import Limits
from tailrace.net import Certificate
from tests.kit.clock import Clock
from tests.kit.waiting import TIMEOUT_S, until

TOKEN = "a-token-of-this-test"
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
UPGRADE = b"Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"


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


async def ask_raw(port: int, request: bytes) -> tuple[int, dict[str, str]]:
    """Status and JSON of the answer, after which the server has closed."""
    async with asyncio.timeout(TIMEOUT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionError):
            writer.write(request)
            await writer.drain()
        answer = await reader.read()
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA, tmp_path: Path) -> Certificate:
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "room.pem")
    issued.private_key_pem.write_to_path(tmp_path / "room.key")
    return Certificate(tmp_path / "room.pem", tmp_path / "room.key")


async def test_http_and_websockets_over_tls(authority: trustme.CA, tls: Certificate) -> None:
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


async def test_a_broken_certificate_is_told_before_anything_is_served(tls: Certificate) -> None:
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


@pytest.mark.parametrize(
    ("request_bytes", "status", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 200_000, 431, "65,536 bytes"),
        (b"GET /echo HTTP/1.1\r\n" + UPGRADE + b"A: b\r\n" * 2000 + b"\r\n", 431, "1,000 headers"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "not HTTP"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "0 Host headers"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400, "2 Host headers"),
        (b"GET /echo HTTP/1.1\r\n" + UPGRADE + b"Content-Length: 1\r\n\r\nx", 400, "body"),
    ],
)
async def test_what_breaks_http_or_its_limits_is_refused_before_the_token(
    request_bytes: bytes, status: int, reason: str
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    async with serving(application(TOKEN), listener):
        answer = await ask_raw(listener.getsockname()[1], request_bytes)
    assert answer[0] == status
    assert reason in answer[1]["error"]
    assert answer[1]["type"] == "HttpError"


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n",
        # Handshakes that websockets cannot read: it waits for the client to go.
        b"POST /echo HTTP/1.1\r\n" + UPGRADE + b"\r\n",
        b"GET /echo HTTP/1.1\r\n" + UPGRADE + b"A: b\r\n" * 500 + b"\r\n",
    ],
    ids=["silent", "half a head", "websocket by POST", "websocket with many headers"],
)
async def test_who_says_nothing_more_is_let_go(begun: bytes) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    async with (
        serving(application(TOKEN), listener, limits=Limits(head_s=0.2, look_s=0.05)),
        asyncio.timeout(TIMEOUT_S),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
        writer.write(begun)
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        writer.close()


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
async def test_silent_connections_lock_nobody_out(begun: bytes) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    async with serving(application(), listener, limits=Limits(connections=20)):
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(100)]
        for _, writer in held:
            writer.write(begun)
        async with connect(f"ws://127.0.0.1:{port}/echo") as echo, httpx.AsyncClient() as client:
            for _ in range(10):
                assert (await client.get(f"http://127.0.0.1:{port}/")).status_code == 200
            await echo.send("hello")
            assert await echo.recv() == "hello"
        for _, writer in held:
            writer.close()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_who_begins_no_handshake_locks_nobody_out(
    authority: trustme.CA, tls: Certificate, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def besieged() -> None:
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        limits = Limits(connections=20, head_s=0.5)
        async with serving(application(), listener, tls, limits=limits):
            held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(100)]
            for number, (_, writer) in enumerate(held):
                writer.write([b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"][number % 3])
            url = f"https://localhost:{port}/"
            async with httpx.AsyncClient(verify=trusting, timeout=TIMEOUT_S) as client:
                for _ in range(3):
                    assert (await client.get(url)).json() == "in"
            for _ in range(10):
                async with httpx.AsyncClient(verify=trusting, timeout=TIMEOUT_S) as client:
                    assert (await client.get(url)).json() == "in"
            async with asyncio.timeout(TIMEOUT_S):
                for reader, writer in held:
                    with contextlib.suppress(ConnectionError):
                        await reader.read()
                    writer.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(besieged())


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_handshake_that_comes_with_its_connection_is_answered(
    authority: trustme.CA, tls: Certificate, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """It has arrived before the server looks at the connection at all."""

    async def met() -> bytes:
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = trusting.wrap_bio(coming, going, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            session.do_handshake()
        listener = socket.create_server(("127.0.0.1", 0))
        with socket.create_connection(listener.getsockname()) as client:
            client.sendall(going.read())
            client.setblocking(False)
            async with serving(application(), listener, tls), asyncio.timeout(TIMEOUT_S):
                return await asyncio.get_running_loop().sock_recv(client, 1)

    with asyncio.Runner(loop_factory=loop) as runner:
        # TLS's record of a handshake (RFC 8446, 5.1): the server's hello.
        assert runner.run(met()) == b"\x16"


FEW_FILES = """
import asyncio, resource, socket, sys
import uvloop
from fastapi import FastAPI
from tailrace.dashboard.server import serving

soft, hard = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

async def main():
    app = FastAPI()
    app.get("/")(lambda: "in")
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    async with serving(app, listener):
        print(listener.getsockname()[1], flush=True)
        await asyncio.Event().wait()

uvloop.run(main())
"""


@pytest.mark.parametrize("files", [(256, 256), (256, 4096)])
async def test_silent_connections_leave_files_to_spare(files: tuple[int, int]) -> None:
    arguments = (sys.executable, "-c", FEW_FILES, *map(str, files))
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as room:
        assert room.stdout is not None
        assert room.stderr is not None
        port = int(room.stdout.readline())
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(500)]
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
            for _ in range(5):
                assert (await client.get(f"http://127.0.0.1:{port}/")).json() == "in"
        for _, writer in held:
            writer.close()
        room.terminate()
        assert room.stderr.read() == b""


async def test_refusals_are_counted_not_listed(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    listener = socket.create_server(("127.0.0.1", 0))
    async with serving(application(), listener, summary_s=0.5):
        for _ in range(100):
            assert (await ask_raw(listener.getsockname()[1], b"rubbish\r\n\r\n"))[0] == 400
        await until(lambda: any("(100 in all)" in record.message for record in caplog.records))
    ours = [record for record in caplog.records if record.name.startswith(("tailrace", "uvicorn"))]
    assert sum(record.levelno >= logging.WARNING for record in ours) < 20
    assert len(capfd.readouterr().err.splitlines()) < 20


async def test_messages_that_are_none_are_said_once(capfd: pytest.CaptureFixture[str]) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"ws://127.0.0.1:{listener.getsockname()[1]}/echo"
    async with serving(application(), listener), asyncio.timeout(TIMEOUT_S):
        for _ in range(20):
            async with connect(url) as echo:
                # What the application reads as text is none.
                await echo.send(b"\xff")
                await echo.wait_closed()
    assert capfd.readouterr().err.count("Traceback (most recent call last)") in (1, 2)


async def test_the_end_waits_for_nobody_and_says_nothing(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.WARNING)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    async with asyncio.timeout(TIMEOUT_S):
        async with serving(application(), listener):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b" 200 " in await reader.readline()
        writer.close()
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await asyncio.open_connection("127.0.0.1", port)
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_each_place_speaks_once_in_a_while_and_says_what_it_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, logger = Clock(), logging.getLogger("test.seldom")
    seldom = Seldom(60, clock)
    logger.addFilter(seldom)
    for number in range(200):
        clock.now += 0.5
        logger.warning("no %d", number)
    logger.warning("another place: \x1b[31m\n%s", "red")
    logger.removeFilter(seldom)
    assert [record.getMessage() for record in caplog.records] == [
        "no 0",
        "no 120 (119 more like it were not shown)",
        "another place: \\x1b[31m red",
    ]


def test_errors_of_different_kinds_are_different_places(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("test.seldom")
    seldom = Seldom(60, Clock())
    logger.addFilter(seldom)
    for _ in range(10):
        for wrong in ("x", "[1]"):
            try:
                int(wrong) if wrong == "x" else {}[wrong]
            except (ValueError, KeyError) as error:
                logger.error("failed", exc_info=error)
    logger.removeFilter(seldom)
    assert [record.exc_info[0] for record in caplog.records] == [ValueError, KeyError]  # type: ignore[index]


def test_afterwards_libraries_say_all_again(caplog: pytest.LogCaptureFixture) -> None:
    def say() -> int:
        caplog.clear()
        for _ in range(3):
            logging.getLogger("asyncio").error("x")
        return len(caplog.records)

    with said_seldom():
        assert say() == 1
    assert say() == 3
