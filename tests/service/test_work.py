"""A request's place in the queue."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from numpy.typing import NDArray

from tailrace.models import model as models
from tailrace.models import zoo
from tailrace.service.errors import RequestError
from tailrace.service.stages import StageClock
from tailrace.service.work import Ticket


class Nothing:
    """Asks for nothing."""

    model = models.load(zoo.find("null"), None, models.RuntimeOptions())
    rows = 1
    kind = "nothing"
    outputs = ()

    def __init__(self) -> None:
        self.clock = StageClock()

    def prepare(self) -> Mapping[str, NDArray[Any]]:
        return {}

    def finish(self, tensors: Sequence[NDArray[Any]]) -> int:
        return 0


async def test_answers_and_errors_come_from_any_thread() -> None:
    for ticket in (Ticket(Nothing(), None), Ticket(Nothing(), None)):
        threading.Thread(target=ticket.give, args=(7,)).start()
        assert await asyncio.wait_for(ticket.answer, 60) == 7
    ticket = Ticket(Nothing(), None)
    threading.Thread(target=ticket.fail, args=(RequestError("no"),)).start()
    with pytest.raises(RequestError, match="no"):
        await asyncio.wait_for(ticket.answer, 60)


@pytest.fixture
async def complaints() -> AsyncIterator[list[dict[str, Any]]]:
    """What the event loop has to complain of."""
    heard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
    yield heard
    await asyncio.sleep(0)
    assert heard == []


@pytest.mark.usefixtures("complaints")
async def test_first_answer_stays() -> None:
    ticket = Ticket(Nothing(), None)
    ticket.give(1)
    ticket.give(2)
    ticket.fail(RequestError("late"))
    assert await ticket.answer == 1
    await asyncio.sleep(0)
    assert ticket.answer.result() == 1


@pytest.mark.usefixtures("complaints")
async def test_nobody_is_told_who_no_longer_waits() -> None:
    ticket = Ticket(Nothing(), None)
    ticket.answer.cancel()
    ticket.give(1)
    ticket.fail(RequestError("late"))
    await asyncio.sleep(0)
    assert ticket.answer.cancelled()


def test_answer_after_the_end_of_the_loop_is_dropped() -> None:
    async def arrive() -> Ticket[int]:
        return Ticket(Nothing(), None)

    ticket = asyncio.run(arrive())
    ticket.give(1)
    assert not ticket.answer.done()


async def test_deadline_is_a_point_in_time() -> None:
    ticket = Ticket(Nothing(), 1000)
    assert [ticket.overdue(now_ns) for now_ns in (999, 1000, 1001)] == [False, True, True]
    assert not Ticket(Nothing(), None).overdue(2**63)
