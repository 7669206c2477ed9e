"""What browsers are told of services, from a real controller that loads real servers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from fastapi import FastAPI

from tailrace.control.config import ServiceConfig
from tailrace.control.controller import Controller
from tailrace.control.interface import UnknownServiceError
from tailrace.control.window import Window
from tailrace.dashboard.feed import Feed, Feeds, View, points_router
from tailrace.dashboard.overview import Board
from tailrace.load.measure.point import Point
from tests.kit.waiting import TIMEOUT_S


@pytest.fixture
async def controller(serve: Any, tmp_path: Path) -> AsyncIterator[Controller]:
    services = [
        ServiceConfig(id=id_, url=serve().url, profile="50", slo=("p99<10s",)) for id_ in "ab"
    ]
    controller = Controller(services, window=5, interval_s=0.1, runs_dir=tmp_path)
    yield controller
    await controller.close()


@pytest.fixture
async def feeds(controller: Controller) -> AsyncIterator[Feeds]:
    feeds = Feeds(controller)
    await feeds.start()
    yield feeds
    await feeds.close()


async def shown(views: set[View], holds: Callable[[], bool]) -> None:
    """Wait until something holds after a call of one of `views`."""
    held = asyncio.Event()

    def view() -> None:
        if holds():
            held.set()

    views.add(view)
    async with asyncio.timeout(TIMEOUT_S):
        await held.wait()


def kept(feed: Feed, since: float = 0.0) -> list[Point]:
    """The points as a browser gets them."""
    return msgspec.json.decode(feed.points_json(since), type=list[Point])


async def test_history_grows_and_the_newest_is_encoded_once(
    controller: Controller, feeds: Feeds
) -> None:
    feed = feeds.find("a")
    assert feed.latest is None
    assert kept(feed) == []
    await controller.start("a")
    await shown(feed.views, lambda: len(kept(feed)) >= 8)
    points = kept(feed)
    assert [point.index for point in points] == list(range(len(points)))
    assert feed.latest == points[-1] == msgspec.json.decode(feed.latest_json, type=Point)
    assert feed.window is not None
    assert feed.window.points[-1] == feed.latest
    assert kept(feed, points[5].wall_time) == points[6:]
    assert feed.service.state == "running"
    assert kept(feeds.find("b")) == []


async def test_the_window_is_not_worked_out_while_nobody_looks(
    controller: Controller, feeds: Feeds
) -> None:
    feed = feeds.find("a")
    await controller.start("a")
    async with asyncio.timeout(TIMEOUT_S):
        async for update in controller.watch("a"):
            if update.point is not None and update.point.index >= 3:
                break
    assert feed.window is None
    await shown(feed.views, lambda: feed.window is not None)


async def test_a_new_run_begins_without_a_latest_interval(
    controller: Controller, feeds: Feeds
) -> None:
    feed = feeds.find("a")
    await controller.start("a")
    await shown(feed.views, lambda: len(kept(feed)) >= 3)
    await controller.stop("a")
    states: list[tuple[str, bool]] = []
    feed.views.add(lambda: states.append((feed.service.state, feed.latest is None)))
    await controller.start("a")
    await shown(feed.views, lambda: feed.latest is not None and feed.service.state == "running")
    assert ("starting", True) in states or ("running", True) in states
    assert [point.index for point in kept(feed)].count(0) == 2


async def test_feeds_begun_later_know_the_window(controller: Controller) -> None:
    await controller.start("a")
    async with asyncio.timeout(TIMEOUT_S):
        async for update in controller.watch("a"):
            if update.point is not None and update.point.index >= 3:
                break
    late = Feeds(controller)
    await late.start()
    feed = late.find("a")
    assert len(kept(feed)) >= 4
    await shown(feed.views, lambda: len(kept(feed)) >= 8)
    numbers = [point.index for point in kept(feed)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    await late.close()


async def test_services_come_and_go(controller: Controller, feeds: Feeds, serve: Any) -> None:
    assert [feed.service.id for feed in feeds.all()] == ["a", "b"]
    gone = feeds.find("a")
    adding = asyncio.create_task(shown(feeds.views, lambda: len(feeds.all()) == 3))
    await asyncio.sleep(0)
    await controller.add(ServiceConfig(id="c", url=serve().url, slo=("p99<1s",)))
    await adding
    assert feeds.find("c").service.slo == ("p99<1s",)
    removing = asyncio.create_task(shown(gone.views, lambda: gone.service.state == "removed"))
    await asyncio.sleep(0)
    await controller.remove("a")
    await removing
    assert [feed.service.id for feed in feeds.all()] == ["b", "c"]
    with pytest.raises(UnknownServiceError):
        feeds.find("a")


async def test_many_changes_of_the_rate_are_told_as_few(
    controller: Controller, feeds: Feeds
) -> None:
    feed = feeds.find("a")
    told: list[float] = []
    feed.views.add(lambda: told.append(feed.service.rate_per_s))
    for rate in range(1, 201):
        await controller.set_rate("a", rate)
    await shown(feed.views, lambda: feed.service.rate_per_s == 200)
    assert told[-1] == 200
    assert len(told) <= 20


async def test_a_view_that_fails_fails_alone(controller: Controller, feeds: Feeds) -> None:
    feed = feeds.find("a")
    failures: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))

    def broken() -> None:
        raise RuntimeError("a browser of the worst kind")

    feed.views.add(broken)
    await controller.start("a")
    await shown(feed.views, lambda: len(kept(feed)) >= 3)
    assert any(isinstance(failure, RuntimeError) for failure in failures)


async def test_a_browser_fetches_the_points(controller: Controller, feeds: Feeds) -> None:
    app = FastAPI()
    app.include_router(points_router(feeds))
    feed = feeds.find("a")
    await controller.start("a")
    await shown(feed.views, lambda: len(kept(feed)) >= 3)
    await controller.stop("a")
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await client.get("/services/a/points")
        assert answer.content == feed.points_json()
        since = kept(feed)[0].wall_time
        answer = await client.get("/services/a/points", params={"since": since})
        assert len(answer.json()) == len(kept(feed)) - 1
        assert (await client.get("/services/x/points")).status_code == 404


class Faltering(Controller):
    """Cannot work its windows out a few times."""

    left = 0

    async def window(self, service_id: str) -> Window:
        if self.left:
            self.left -= 1
            raise ValueError("this window cannot be")
        return await super().window(service_id)


@pytest.mark.parametrize("of", ["service", "overview"])
async def test_an_update_that_cannot_be_shown_is_told_and_the_next_is_shown(
    serve: Any, tmp_path: Path, of: str
) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    config = ServiceConfig(id="a", url=serve().url, profile="50")
    controller = Faltering([config], interval_s=0.1, runs_dir=tmp_path)
    feeds = Feeds(controller)
    board = Board(feeds)
    await feeds.start()
    controller.left = 2
    shown = asyncio.Event()

    def look(_: str = "") -> None:
        if feeds.find("a").window is not None:
            shown.set()

    if of == "service":
        feeds.find("a").views.add(look)
    else:
        board.views.add(look)
    await controller.start("a")
    async with asyncio.timeout(TIMEOUT_S):
        await shown.wait()
    await controller.close()
    board.close()
    await feeds.close()
    assert len(told) == 2
    assert all("service 'a'" in context["message"] for context in told)
