"""The control room that the tests open: a real controller, and a real service to put load on.

Prints the address of the page once it answers; ends on SIGTERM. A process of its own, because
NiceGUI keeps one page a process, and so that a test can restart it.
"""

import argparse
import asyncio
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import cast

import uvloop

from tailrace.control.config import ServiceConfig
from tailrace.control.controller import Controller
from tailrace.dashboard.app import create_app
from tailrace.dashboard.server import serving

ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
    b"Server-Timing: queue;dur=0.4, decode;dur=0.3, infer;dur=1.2\r\n\r\nok"
)


class Service(asyncio.Protocol):
    """Answers every request without a body at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by descent
        self.received = b""

    def data_received(self, data: bytes) -> None:
        *requests, self.received = (self.received + data).split(b"\r\n\r\n")
        self.transport.write(ANSWER * len(requests))


async def main(arguments: argparse.Namespace, runs_dir: Path) -> None:
    """Serve until SIGTERM."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    target = await loop.create_server(Service, "127.0.0.1", 0)
    url = (
        f"http://127.0.0.1:{target.sockets[0].getsockname()[1]}/v2/models/one-of-a-long-name/infer"
    )
    controller = Controller(
        [
            ServiceConfig(
                id=f"s{number}",
                name=f"Service {number}",
                url=url,
                slo=("p99<100ms",),
                # Of which every run here falls short.
                min_duration_s=300.0,
                mlperf=True,
            )
            for number in range(1, arguments.services + 1)
        ],
        window=40,
        interval_s=arguments.interval,
        runs_dir=runs_dir,
    )
    listener = socket.create_server(("127.0.0.1", arguments.port))
    app = create_app(controller, token=arguments.token, runs_dir=runs_dir)
    async with serving(app, listener):
        sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        await ended.wait()
    await controller.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--services", type=int, default=1)
    parser.add_argument("--interval", type=float, default=0.25, help="seconds")
    parser.add_argument("--token")
    parser.add_argument("--runs", type=Path, help="directory; without it, one that is removed")
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory() as own:
        uvloop.run(main(parsed, parsed.runs or Path(own)))
