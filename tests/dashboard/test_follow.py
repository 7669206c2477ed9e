"""What keeps the pages up to date goes on, whatever becomes of a single update."""

import asyncio
from collections.abc import Callable
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


@pytest.mark.parametrize("make", [Feeds, Board])
async def test_an_update_that_cannot_be_shown_is_told_and_the_next_is_shown(
    serve: Any, tmp_path: Path, make: Callable[[Controller], Feeds | Board]
) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    config = ServiceConfig(id="a", url=serve().url, profile="50")
    controller = Faltering([config], interval_s=0.1, runs_dir=tmp_path)
    follower = make(controller)
    await follower.start()
    controller.left = 3
    seen: list[object] = []
    if isinstance(follower, Feeds):
        follower.find("a").show(lambda: seen.append(follower.find("a").window))
    else:
        follower.show(seen.append)
    await controller.start("a")
    async with asyncio.timeout(TIMEOUT_S):
        while controller.left or not seen:
            await asyncio.sleep(0.02)
    await controller.close()
    await follower.close()
    assert len(told) == 3
    assert all("service 'a'" in context["message"] for context in told)
