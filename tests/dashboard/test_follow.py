"""What keeps the pages up to date goes on, whatever becomes of a single update."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tailrace.control.config import ServiceConfig
from tailrace.control.controller import Controller
from tailrace.control.window import Window
from tailrace.dashboard.board import Board
from tailrace.dashboard.feed import Feeds
from tests.kit.waiting import TIMEOUT_S


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
        feeds.find("a").show(look)
    else:
        board.show(look)
    await controller.start("a")
    async with asyncio.timeout(TIMEOUT_S):
        await shown.wait()
    await controller.close()
    board.close()
    await feeds.close()
    assert len(told) == 2
    assert all("service 'a'" in context["message"] for context in told)
