"""One service's run, and what becomes of it where it cannot be followed."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tailrace.control.config import ServiceConfig
from tailrace.control.interface import Update
from tailrace.control.service import Service, Settings
from tailrace.load.judge.slo import Slo
from tailrace.load.session.plan import read_plan
from tailrace.runs.listing import list_runs
from tests.kit.waiting import TIMEOUT_S, until


class Watcher:
    """Sees each update; raises `error` at the interval of that number."""

    def __init__(self, error: Exception | None = None, at: int = 1) -> None:
        self.updates: list[Update] = []
        self.error = error
        self._at = at

    def __call__(self, update: Update) -> None:
        self.updates.append(update)
        if self.error is not None and update.point is not None and update.point.index == self._at:
            raise self.error


@pytest.fixture
async def make(serve: Any, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    made: list[Service] = []

    def service(watcher: Watcher, *slos: Slo) -> tuple[Service, Any]:
        server = serve()
        config = ServiceConfig(id="a", url=server.url, profile="200", workers=2)
        judged = replace(read_plan(config), slos=slos)
        settings = Settings(interval_s=0.1, runs_dir=tmp_path)
        made.append(Service(config, judged, settings, watcher))
        return made[-1], server

    yield service
    for each in made:
        each.abandon()
        await each.finished()


async def ended(service: Service, server: Any) -> None:
    """Waits for the end of the run, then for as long as its load would take to be noticed."""
    async with asyncio.timeout(TIMEOUT_S):
        await service.finished()
    assert service.info.state == "idle"
    # A worker is given no time to answer for what it sent last: that may still arrive.
    before = -1
    async with asyncio.timeout(TIMEOUT_S):
        while before != (before := len(server.arrived_ns)):
            await asyncio.sleep(0.2)


@pytest.mark.parametrize(
    "error",
    [OSError(5, "Input/output error"), RecursionError()],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_a_follower_raises_ends_the_run_and_is_told(
    make: Callable[..., Any], error: Exception, tmp_path: Path
) -> None:
    watcher = Watcher(error)
    service, server = make(watcher)
    await service.start(None)
    await ended(service, server)
    (problem,) = service.info.problems
    assert "the run was ended" in problem
    assert type(error).__name__ in problem
    assert str(error) in problem
    assert "test_service.py" in problem
    assert "\n" not in problem
    assert watcher.updates[-1].service == service.info
    (info,) = list_runs(tmp_path)
    assert (info.state, info.intervals) == ("interrupted", 2)
    # Nothing of it is in the way of the next.
    watcher.error = None
    await service.start(None)
    assert service.info.problems == ()
    await service.stop()
    assert service.result is not None


async def test_an_slo_that_cannot_be_judged_ends_the_run(make: Callable[..., Any]) -> None:
    service, server = make(Watcher(), Slo("p0<1s", "p0", 0.0, 1.0, inclusive=False))
    await service.start(None)
    await ended(service, server)
    assert "the run was ended" in service.info.problems[0]
    await service.stop()


async def test_a_start_that_is_called_off_as_it_is_done_leaves_no_load(
    make: Callable[..., Any],
) -> None:
    service, server = make(Watcher())
    for turns in range(4):
        start = asyncio.create_task(service.start(None))
        others = asyncio.all_tasks()
        await asyncio.sleep(0)
        (beginning,) = asyncio.all_tasks() - others
        await asyncio.wait({beginning})
        for _ in range(turns):
            await asyncio.sleep(0)
        start.cancel()
        await asyncio.wait({start})
        if not start.cancelled():
            await service.stop()
        await ended(service, server)


async def test_a_run_whose_directory_is_removed_says_so_and_goes_on(
    make: Callable[..., Any],
) -> None:
    watcher = Watcher()
    service, _ = make(watcher)
    await service.start(None)
    shutil.rmtree(service.info.run)
    await until(lambda: service.info.problems)
    assert "was removed" in service.info.problems[0]
    assert service.info.state == "running"
    seen = len(watcher.updates)
    await until(lambda: len(watcher.updates) >= seen + 3)
    await service.stop()
    assert service.result is not None
    assert len(service.info.problems) == 1
    assert msgspec.json.encode(service.info)
