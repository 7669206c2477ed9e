"""Fixtures for every test: servers and programs of `tests.kit`, ended with the test."""

import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import settings

pytest.register_assert_rewrite("tests.kit")

from tests.kit.paths import shared  # noqa: E402
from tests.kit.programs import ControlRoom, LaunchRoom, LaunchServer, ServerProcess  # noqa: E402
from tests.kit.server import Answer, Server, answer_ok  # noqa: E402

# Read when Ray is imported: nothing of it may leave this machine, and none of it is to be seen.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# For a busy machine.
os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")

# Examples are those of every run, and take as long as a busy machine takes.
settings.load_profile("ci")

# Whoever started the tests may have had signals ignored (nohup, a shell without job control), here
# and in all that the tests start, some of which are tested for what they do on them.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts servers: `serve()` answers ok, `serve(answer)` as `answer` does."""
    with contextlib.ExitStack() as stack:

        def start(answer: Answer = answer_ok, **settings: Any) -> Server:
            server = Server(answer, **settings).start()
            stack.callback(server.close)
            return server

        yield start


@pytest.fixture
def launch() -> Iterator[LaunchServer]:
    """`launch("shapes", "--port", "0", …)`: `tailrace serve`, not waited for."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str, **settings: Any) -> ServerProcess:
            server = ServerProcess(*arguments, **settings)
            stack.callback(server.close)
            return server

        yield start


@pytest.fixture(scope="session")
def shapes_server() -> Iterator[ServerProcess]:
    """The embedded model and null, for every test that leaves a service as it was."""
    server = ServerProcess("shapes", "null", "--port", "0")
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def control_room(tmp_path: Path) -> Iterator[LaunchRoom]:
    """Starts control rooms in the test's folder, on free ports unless told others."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str, cwd: Path = tmp_path, **settings: Any) -> ControlRoom:
            for option in ("--port", "--rpc-port"):
                if option not in arguments and "--config" not in arguments:
                    arguments += (option, "0")
            room = ControlRoom(cwd, *arguments, **settings)
            stack.callback(room.close)
            stack.callback(room.process.kill)
            return room

        yield start


@pytest.fixture(scope="session")
def coco_model() -> Path:
    """SSD-MobileNet as MLPerf publishes it."""
    return shared("models/ssd-mobilenet-v1-coco/ssd_mobilenet_v1_coco.onnx")


@pytest.fixture(scope="session")
def coco_mini() -> Path:
    """79 real pictures with COCO's annotations."""
    return shared("datasets/coco-mini")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A Ray cluster: a head with one CPU, where the tests themselves are, and two more nodes with
    two each.
    """
    from tests.kit.ray_nodes import ray_cluster

    with ray_cluster(1, 2, 2) as cluster:
        yield cluster


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Any]:
    """A Chromium."""
    from tests.kit.browser import chromium

    async with chromium() as browser:
        yield browser


_SHARED = {"on_ray": "/on_ray/", "browser": "/dashboard/|/report/|test_predict_page"}
"""Tests that share a cluster or a browser, by what their paths match."""
_COSTLY = {"cluster": "on Ray", "browser": "in a browser"}
"""Fixtures whose tests are slow."""


def _group(nodeid: str) -> str | None:
    return next((name for name, paths in _SHARED.items() if re.search(paths, nodeid)), None)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that share something come first, since they take longest."""
    items.sort(key=lambda item: _group(item.nodeid) is None)
    for item in items:
        for fixture in _COSTLY.keys() & item.fixturenames:
            item.add_marker(pytest.mark.slow(_COSTLY[fixture]))
        for mark in (*item.iter_markers("slow"), *item.iter_markers("alone")):
            if not mark.args:
                raise pytest.UsageError(f"{item.nodeid}: {mark.name} without its reason")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Beside each other run files, and all that share something are as one file."""
    from xdist.scheduler import LoadFileScheduling

    class ByGroup(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid) or super()._split_scope(nodeid)

    return ByGroup(config, log)
