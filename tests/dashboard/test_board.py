"""What all browsers are told of the services, from a real controller."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from tailrace.control.config import ServiceConfig
from tailrace.control.controller import Controller
from tailrace.dashboard.feed import Feeds
from tailrace.dashboard.overview import Board
from tests.kit.waiting import TIMEOUT_S


class Listener:
    """A view that keeps what it was told."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def __call__(self, said: str) -> None:
        self.told.put_nowait(msgspec.json.decode(said))

    async def ids(self) -> list[object]:
        async with asyncio.timeout(TIMEOUT_S):
            return [row["id"] for row in (await self.told.get())["rows"]]


@asynccontextmanager
async def following_points(tmp_path: Path) -> AsyncIterator[tuple[Controller, Board, Listener]]:
    """A board of the services a, b and c, and a view that was told of them."""
    configs = [ServiceConfig(id=id_, url="http://127.0.0.1:9/") for id_ in "abc"]
    controller = Controller(configs, runs_dir=tmp_path)
    feeds = Feeds(controller)
    board, listener = Board(feeds), Listener()
    board.views.add(listener)
    await feeds.start()
    assert await listener.ids() == ["a", "b", "c"]
    yield controller, board, listener
    board.close()
    await feeds.close()
    await controller.close()


async def test_only_those_that_changed_are_told(tmp_path: Path) -> None:
    async with following_points(tmp_path) as (controller, board, listener):
        await controller.set_rate("b", 70)
        await controller.set_rate("b", 80)
        async with asyncio.timeout(TIMEOUT_S):
            (said,) = (await listener.told.get())["rows"]
        assert (said["id"], said["rate"]) == ("b", 80)
        await controller.set_rate("c", 90)
        await controller.set_rate("a", 90)
        assert await listener.ids() == ["a", "c"]
        said = msgspec.json.decode(await board.all())
        assert said["ids"] == ["a", "b", "c"]
        assert [row["rate"] for row in said["rows"]] == [90, 80, 90]


async def test_services_are_listed_as_they_come_and_go(tmp_path: Path) -> None:
    async with following_points(tmp_path) as (controller, board, listener):
        await controller.add(ServiceConfig(id="d", url="http://127.0.0.1:9/"))
        assert await listener.ids() == ["d"]
        await controller.remove("b")
        assert await listener.ids() == []
        assert msgspec.json.decode(await board.all())["ids"] == ["a", "c", "d"]


async def test_a_view_that_was_hidden_is_told_nothing(tmp_path: Path) -> None:
    async with following_points(tmp_path) as (controller, board, listener):
        other = Listener()
        board.views.add(other)
        board.views.discard(listener)
        await controller.set_rate("a", 70)
        assert await other.ids() == ["a"]
        assert listener.told.empty()
