"""`tailrace demo`: a service, load on it and the control room, in one go."""

import asyncio
import contextlib
import ctypes
import signal
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli.listening import listen
from tailrace.errors import TailraceError
from tailrace.machine.cgroup import cores

if TYPE_CHECKING:
    from tailrace.cli.live import LiveLine
    from tailrace.control.controller import Controller

EXAMPLE = "Example: [bold]tailrace demo --for 30s --rate 50[/bold]"

HOST = "127.0.0.1"
MODEL = "shapes"
PICTURES = 64
READY_TIMEOUT_S = 60.0
_PR_SET_PDEATHSIG = 1


def _port(about: str) -> Any:
    return typer.Option(help=about, metavar="N", min=0, max=65535)


def demo(
    duration: Annotated[
        str | None,
        typer.Option("--for", help="End after this long; else on Ctrl-C.", metavar="TIME"),
    ] = None,
    rate: Annotated[
        str, typer.Option(help="Requests a second to begin with.", metavar="RATE")
    ] = "50",
    port: Annotated[
        int | None,
        _port("Port of the dashboard; 8080, or the next free one."),
    ] = None,
    service_port: Annotated[
        int | None,
        _port("Port of the service; 5000, or the next free one."),
    ] = None,
    rpc_port: Annotated[
        int | None,
        _port("Port of gRPC; 2222, or the next free one."),
    ] = None,
    slo: Annotated[
        str, typer.Option(help="The bound to hold the service to.", metavar="BOUND")
    ] = "p99<100ms",
) -> None:
    """Serve the embedded detector, put Poisson load on it, and show its p99 live in a browser."""
    import uvloop

    from tailrace.cli.output import positive_duration_s
    from tailrace.load.judge.slo import parse_slo
    from tailrace.load.schedule.profile import parse_profile
    from tailrace.units import parse_option

    duration_s = positive_duration_s("--for", duration) if duration is not None else None
    parse_option("--rate", parse_profile, rate)
    parse_option("--slo", parse_slo, slo)
    with (
        listen(HOST, _ports(port, 8080)) as page,
        listen(HOST, _ports(service_port, 5000)) as held,
        listen(HOST, _ports(rpc_port, 2222)) as held_rpc,
    ):
        # Service and gRPC bind their ports themselves; what holds them until then only reserves
        # the numbers.
        numbers = held.getsockname()[1], held_rpc.getsockname()[1]
        held.close()
        held_rpc.close()
        sys.exit(uvloop.run(_demo(page, *numbers, rate, slo, duration_s)))


def _ports(port: int | None, preferred: int) -> Sequence[int]:
    return [port] if port is not None else range(preferred, preferred + 20)


async def _demo(
    page: socket.socket,
    service_port: int,
    rpc_port: int,
    rate: str,
    slo: str,
    duration_s: float | None,
) -> int:
    from tailrace.cli.live import LiveLine
    from tailrace.cli.output import interruptible, print_summary
    from tailrace.control.config import ServiceConfig
    from tailrace.control.controller import Controller
    from tailrace.control.faces.rpc.server import serving_rpc
    from tailrace.dashboard.app import create_app
    from tailrace.dashboard.server import serving

    line = LiveLine()
    ended = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(line.close)
        pictures = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tailrace-")))
        draw_pictures(pictures)
        service_url = f"http://{HOST}:{service_port}"
        config = ServiceConfig(
            id="demo",
            name=f"{MODEL} detector",
            url=f"{service_url}/predict/{MODEL}",
            body=pictures,
            profile=rate,
            duration_s=duration_s,
            slo=(slo,),
        )
        controller = Controller([config])
        stack.enter_context(interruptible(lambda _: ended.set(), controller.abandon, line.note))
        line.note("starting the service ...")
        await stack.enter_async_context(service(service_port, ended))
        await stack.enter_async_context(serving(create_app(controller), page))
        await stack.enter_async_context(serving_rpc(controller, HOST, rpc_port))
        page_url = f"http://{HOST}:{page.getsockname()[1]}"
        line.note(f"  service    {service_url}/docs")
        line.note(f"  dashboard  {page_url}/services/demo")
        line.note(f"  REST       {page_url}/docs")
        line.note(f"  gRPC       {HOST}:{rpc_port}")
        if not ended.is_set():
            await controller.start("demo")
            shower = asyncio.create_task(_show(controller, line, duration_s))
            # A little longer than the run, which ends by itself and should not be cut short.
            left_s = duration_s + 0.1 if duration_s is not None else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await ended.wait()
            await controller.close()
            shower.cancel()
        result = controller.result("demo")
        problems = (await controller.get("demo")).problems
    line.report(problems)
    if result is not None:
        print_summary(result)
    return 1 if problems else 0


async def _show(controller: "Controller", line: "LiveLine", duration_s: float | None) -> None:
    from tailrace.cli.output import describe_interval
    from tailrace.load.judge.answers import slo_answers

    async for update in controller.watch("demo"):
        line.report(update.service.problems)
        if update.point is not None:
            window, service = await controller.window("demo"), update.service
            answers = slo_answers(window.slo, service.decisions)
            line.draw(describe_interval(window.points, window.latency_ms, duration_s, answers))


def draw_pictures(directory: Path) -> None:
    """Draw the scenes that the demo sends into `directory`, as JPEG files."""
    import cv2

    from tailrace.datasets.shapes import HELD_OUT_SEEDS, draw_scene

    for number, seed in enumerate(HELD_OUT_SEEDS[:PICTURES]):
        image = cv2.cvtColor(draw_scene(seed).image, cv2.COLOR_RGB2BGR)
        (directory / f"{number:03}.jpg").write_bytes(cv2.imencode(".jpg", image)[1].tobytes())


@contextlib.asynccontextmanager
async def service(port: int, ended: asyncio.Event) -> AsyncIterator[None]:
    """`tailrace serve` in a process of its own, ready; ended with the context.

    One core stays free of inference, for the load generator.

    Raises:
        TailraceError: it ends before it is ready, with its own last words, or takes too long.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "tailrace", "serve", MODEL),
        *("--port", str(port), "--concurrency", str(max(1, cores() - 1))),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        # Ctrl-C is for the demo alone: the service goes on until the last answer is in.
        start_new_session=True,
        preexec_fn=end_with_parent,
    )
    assert process.stderr is not None
    words: deque[str] = deque(maxlen=20)
    reader = asyncio.create_task(_collect(process.stderr, words))
    try:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not ended.is_set() and not await _ready(port):
            if process.returncode is not None:
                await reader
                raise TailraceError("the service did not start: " + " ".join(words))
            if time.monotonic() > deadline:
                raise TailraceError(f"the service was not ready after {READY_TIMEOUT_S:.0f} s")
            await asyncio.sleep(0.05)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        reader.cancel()


def end_with_parent() -> None:
    """Have the kernel end this process when its parent dies, however that happens (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


async def _collect(stream: asyncio.StreamReader, words: "deque[str]") -> None:
    async for raw in stream:
        words.append(raw.decode(errors="replace").strip())


async def _ready(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.write(b"GET /v2/health/ready HTTP/1.0\r\n\r\n")
    status = await reader.readline()
    writer.close()
    return b" 200 " in status
