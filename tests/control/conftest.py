"""A whole control room on loopback: a controller with real targets, and its REST and gRPC."""

import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from tailrace.control.config import ServiceConfig
from tailrace.control.controller import Controller
from tailrace.control.faces import rest
from tailrace.control.faces.rpc.server import serving_rpc
from tailrace.control.limits import LOOPBACK, Limits
from tailrace.dashboard.server import serving


@dataclass(frozen=True)
class Room:
    """A controller of services "a" and "b", and the addresses of its faces."""

    controller: Controller
    rest: str
    rpc: str
    target: str
    """Answers ok; for services yet to be added."""


@pytest.fixture
async def room(serve: Callable[..., Any], tmp_path: Path) -> AsyncIterator[Room]:
    services = [
        ServiceConfig(id="a", url=serve().url, profile="100"),
        ServiceConfig(id="b", url=serve().url, name="Second", slo=("p99<10s",)),
    ]
    limits = Limits(allow=LOOPBACK, max_rate_per_s=5000, bodies=tmp_path)
    controller = Controller(
        services, window=4, interval_s=0.25, runs_dir=tmp_path / "runs", limits=limits
    )
    app = Starlette(routes=rest.routes(controller))
    listener = socket.create_server(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with serving(app, listener), serving_rpc(controller, port=0) as port:
        yield Room(controller, base, f"127.0.0.1:{port}", serve().url)
    await controller.close()
