"""What `tailrace.connect` takes, and what it says when nobody, or somebody else, answers."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from starlette.applications import Starlette

import tailrace
from tailrace.control.client import RemoteControl, TokenError, UnreachableError
from tailrace.control.faces import rest
from tailrace.control.faces.rpc.server import serving_rpc
from tailrace.control.interface import ServiceInfo
from tailrace.dashboard.access import Access
from tailrace.dashboard.server import serving
from tailrace.errors import TailraceError, UsageError
from tailrace.net import Certificate
from tests.kit.ports import free_port
from tests.kit.server import Server, answer_raw, http
from tests.kit.waiting import TIMEOUT_S

if TYPE_CHECKING:
    from tests.control.conftest import Room


def test_importing_tailrace_stays_cheap() -> None:
    script = (
        "import sys, tailrace\n"
        "heavy = {'grpc', 'httpx', 'numpy', 'msgspec', 'asyncio'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert tailrace.connect.__name__ == 'connect'\n"
        "try: tailrace.disconnect\n"
        "except AttributeError as error: assert 'disconnect' in str(error)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.parametrize(
    "address",
    ["", "host:", "host:port", "ftp://host", "http://", "host:1:2", "::1", "http://h/path", "a b"],
)
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(UsageError, match="is no address"):
        tailrace.connect(address)


@pytest.mark.parametrize("address", ["http://h:80", "grpc://h:80"])
def test_certificates_are_for_encrypted_addresses(address: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not encrypted"):
        tailrace.connect(address, ca_file=tmp_path / "ca.pem")


def test_certificates_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    for name in ("ca.pem", "absent.pem"):
        with pytest.raises(UsageError, match=name):
            tailrace.connect("h:80", ca_file=tmp_path / name)


@pytest.mark.parametrize("token", ["gehëim", "a\nb"])
def test_tokens_that_no_header_can_hold(token: str) -> None:
    with pytest.raises(UsageError, match="token"):
        tailrace.connect("h:80", token=token)


# Nobody answers


@pytest.mark.parametrize("scheme", ["http://", "grpc://", ""])
async def test_nobody_answers(scheme: str) -> None:
    address = f"127.0.0.1:{free_port()}"
    async with tailrace.connect(f"{scheme}{address}") as control:
        for ask in (control.list, lambda: control.start("a"), lambda: anext(control.watch())):
            with pytest.raises(UnreachableError, match=f"no control room answers at .*{address}"):
                await ask()


def test_nobody_answers_a_plain_script() -> None:
    with tailrace.connect_sync(f"127.0.0.1:{free_port()}") as control:
        with pytest.raises(UnreachableError):
            control.list()
        with pytest.raises(UnreachableError):
            next(control.watch())


async def test_something_else_answers(serve: Callable[..., Any]) -> None:
    async with tailrace.connect(serve().url) as control:
        with pytest.raises(TailraceError, match="cannot be read"):
            await control.list()

    async with tailrace.connect(serve(answer_raw(http(b"none", 404))).url) as control:
        with pytest.raises(TailraceError, match="no control room: HTTP 404"):
            await control.list()
        with pytest.raises(TailraceError, match="no control room: HTTP 404"):
            await anext(control.watch())


# It goes away

SERVER = """
import asyncio, socket, sys
from pathlib import Path
from starlette.applications import Starlette
from tailrace.control.faces import rest
from tailrace.control.config import ServiceConfig
from tailrace.control.controller import Controller
from tailrace.control.faces.rpc.server import serving_rpc
from tailrace.dashboard.server import serving

async def main() -> None:
    service = ServiceConfig(id="a", url=sys.argv[3])
    controller = Controller([service], interval_s=0.25, runs_dir=Path(sys.argv[4]))
    app = Starlette(routes=rest.routes(controller))
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    async with serving(app, listener), serving_rpc(controller, port=int(sys.argv[2])) as port:
        print(listener.getsockname()[1], port, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@contextmanager
def server_process(
    rest_port: int = 0, rpc_port: int = 0, target: str = "http://127.0.0.1:9/"
) -> Iterator[tuple[Any, str, str]]:
    """A control room in a process of its own, and the addresses of its faces."""
    with (
        TemporaryDirectory() as runs,
        subprocess.Popen(
            [sys.executable, "-c", SERVER, str(rest_port), str(rpc_port), target, runs],
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            ports = process.stdout.readline().split()
            yield process, f"http://127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}"
        finally:
            process.kill()


async def test_a_killed_server_ends_a_watch_and_is_found_again() -> None:
    with server_process() as (process, *addresses):
        ports = [int(address.rpartition(":")[2]) for address in addresses]
        controls = [tailrace.connect(address) for address in addresses]
        watches = [control.watch("a") for control in controls]
        for updates in watches:
            assert (await anext(updates)).service.id == "a"
        os.kill(process.pid, signal.SIGKILL)
        async with asyncio.timeout(TIMEOUT_S):
            for updates, control in zip(watches, controls, strict=True):
                with pytest.raises(UnreachableError):
                    await anext(updates)
                with pytest.raises(UnreachableError):
                    await control.list()
        process.wait(TIMEOUT_S)
    with server_process(*ports):
        for control in controls:
            async with asyncio.timeout(TIMEOUT_S):
                assert await heard(control) == ["a"]
            await control.close()


async def heard(control: RemoteControl) -> list[str]:
    """The services' ids, as soon as somebody answers."""
    while True:
        try:
            return [service.id for service in await control.list()]
        except UnreachableError:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("service_id", ["a", None])
async def test_a_server_that_stops_ends_a_watch(room: "Room", service_id: str | None) -> None:
    app = Starlette(routes=rest.routes(room.controller))
    listener = socket.create_server(("127.0.0.1", 0))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(app, listener))
        port = await stack.enter_async_context(serving_rpc(room.controller, port=0))
        addresses = [f"http://127.0.0.1:{listener.getsockname()[1]}", f"127.0.0.1:{port}"]
        controls = [tailrace.connect(address) for address in addresses]
        watches = [control.watch(service_id) for control in controls]
        for updates in watches:
            await anext(updates)
        if service_id is None:
            for updates in watches:
                await anext(updates)
    for updates, control in zip(watches, controls, strict=True):
        async with asyncio.timeout(TIMEOUT_S):
            with pytest.raises(UnreachableError):
                await anext(updates)
        await control.close()


# The documentation's own examples


@pytest.fixture(scope="module")
def addresses() -> Iterator[list[str]]:
    """Of REST and gRPC, of a control room in a process of its own."""
    target = Server().start()
    with server_process(target=target.url) as (_, *addresses):
        yield addresses
    target.close()


@pytest.mark.parametrize(
    ("number", "word"),
    [(0, -1), (1, -1), pytest.param(2, 0, marks=pytest.mark.slow("a search takes ten seconds"))],
)
def test_the_examples_of_the_documentation_run(
    addresses: list[str], number: int, word: int
) -> None:
    text = (Path(__file__).parents[2] / "docs/remote.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 3
    script = examples[number].replace("127.0.0.1:2222", addresses[1]).replace("60.0", "10.0")
    ran = subprocess.run(
        [sys.executable, "-c", script], check=True, timeout=TIMEOUT_S, stdout=subprocess.PIPE
    )
    assert float(ran.stdout.split()[word]) > 0


@pytest.mark.parametrize("ending", ["", "room.close()", "raise SystemExit", "del room"])
def test_a_script_ends_though_it_watches(addresses: list[str], ending: str) -> None:
    script = (
        "import sys, tailrace\n"
        "room = tailrace.connect_sync(sys.argv[1])\n"
        "updates = room.watch()\n"
        f"print(next(updates).service.id)\n{ending}"
    )
    for address in addresses:
        ran = subprocess.run(
            [sys.executable, "-c", script, address], capture_output=True, timeout=TIMEOUT_S
        )
        assert (ran.stdout, ran.stderr) == (b"a\n", b"")


async def test_a_stream_that_waits_ends_when_another_thread_closes(room: "Room") -> None:
    for address in (room.rest, room.rpc):
        control = tailrace.connect_sync(address)
        updates = control.watch("a")
        assert (await asyncio.to_thread(next, updates)).service.id == "a"
        waiting = asyncio.create_task(asyncio.to_thread(next, updates, None))
        await asyncio.sleep(0)
        await asyncio.to_thread(control.close)
        async with asyncio.timeout(TIMEOUT_S):
            assert await waiting is None
        await asyncio.to_thread(control.close)


def test_an_interrupted_script_ends(addresses: list[str]) -> None:
    script = (
        "import sys, tailrace\n"
        "with tailrace.connect_sync(sys.argv[1]) as room:\n"
        "    try:\n"
        "        for update in room.watch():\n"
        "            print(update.service.id, flush=True)\n"
        "    except KeyboardInterrupt:\n"
        "        print(room.get('a').state)\n"
    )
    for address in addresses:
        with subprocess.Popen(
            [sys.executable, "-c", script, address],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            try:
                assert process.stdout.readline() == b"a\n"
                process.send_signal(signal.SIGINT)
                assert process.communicate(timeout=TIMEOUT_S) == (b"idle\n", b"")
            finally:
                process.kill()


# Tokens and certificates


async def both(
    room: "Room", stack: AsyncExitStack, token: str | None, tls: Certificate | None = None
) -> list[str]:
    """Addresses of REST and gRPC that ask for the token and speak TLS, if given."""
    app = Starlette(routes=rest.routes(room.controller))
    app.add_middleware(Access, token=token)
    listener = socket.create_server(("127.0.0.1", 0))
    await stack.enter_async_context(serving(app, listener, tls))
    port = await stack.enter_async_context(
        serving_rpc(room.controller, port=0, token=token, tls=tls)
    )
    schemes = ("https", "grpcs") if tls is not None else ("http", "grpc")
    ports = (listener.getsockname()[1], port)
    return [f"{scheme}://localhost:{port}" for scheme, port in zip(schemes, ports, strict=True)]


async def test_tokens(room: "Room", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAILRACE_TOKEN", raising=False)
    async with AsyncExitStack() as stack:
        for address in await both(room, stack, "secret"):
            for token, line in ((None, "asks for a token"), ("wrong", "not accept this token")):
                async with tailrace.connect(address, token=token) as control:
                    asked: tuple[Callable[[], Awaitable[Any]], ...] = (
                        control.list,
                        lambda control=control: anext(control.watch("a")),  # type: ignore[misc]
                        lambda control=control: control.start("a"),  # type: ignore[misc]
                    )
                    for ask in asked:
                        with pytest.raises(TokenError, match=line):
                            await ask()
            async with tailrace.connect(address, token="secret") as control:
                await works(control)
            with monkeypatch.context() as patch:
                patch.setenv("TAILRACE_TOKEN", "secret")
                async with tailrace.connect(address) as control:
                    await works(control)
    assert (await room.controller.get("a")).state == "idle"


async def works(control: RemoteControl) -> None:
    listed: list[ServiceInfo] = await control.list()
    assert [service.id for service in listed] == ["a", "b"]
    async with aclosing(control.watch("b")) as updates:
        assert (await anext(updates)).service == listed[1]


async def test_tls(room: "Room", tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(tmp_path / "cert.pem", append=True)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    stranger.cert_pem.write_to_path(tmp_path / "stranger.pem")
    tls = Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    async with AsyncExitStack() as stack:
        addresses = await both(room, stack, "secret", tls)
        bare = addresses[1].removeprefix("grpcs://")
        for address in (*addresses, bare):
            async with tailrace.connect(
                address, token="secret", ca_file=tmp_path / "ca.pem"
            ) as control:
                await works(control)
            async with tailrace.connect(
                address, token="secret", ca_file=tmp_path / "stranger.pem"
            ) as control:
                with pytest.raises(UnreachableError):
                    await control.list()
        async with tailrace.connect(f"grpc://{bare}", token="secret") as control:
            with pytest.raises(UnreachableError):
                await control.list()


@pytest.mark.parametrize("files", [("absent.pem", "key.pem"), ("key.pem", "key.pem")])
async def test_a_server_without_a_certificate(
    room: "Room", tmp_path: Path, files: tuple[str, str]
) -> None:
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(tmp_path / "key.pem")
    with pytest.raises(UsageError, match=files[0]):
        async with serving_rpc(
            room.controller, port=0, tls=Certificate(tmp_path / files[0], tmp_path / files[1])
        ):
            pass
