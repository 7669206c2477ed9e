"""The bounded queue and its threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from tailrace.service.errors import ClientGoneError, QueueFullError
from tailrace.service.pool import Pool


class Gate:
    """Work that begins, tells so, and goes on when it is let."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.open = threading.Event()

    def __call__(self) -> str:
        self.began.set()
        assert self.open.wait(60)
        return "through"


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


async def test_results_and_errors_reach_those_who_asked() -> None:
    pool = Pool(threads=3, queue=100)
    tickets = [pool.submit(lambda i=i: i * i) for i in range(50)]  # type: ignore[misc]
    assert [await ticket.result() for ticket in tickets] == [i * i for i in range(50)]
    with pytest.raises(ZeroDivisionError):
        await pool.submit(lambda: 1 // 0).result()
    pool.close()


async def test_oldest_first(gate: Gate) -> None:
    pool = Pool(threads=1, queue=10)
    pool.submit(gate)
    order: list[int] = []
    tickets = [pool.submit(lambda i=i: order.append(i)) for i in range(10)]  # type: ignore[misc]
    gate.open.set()
    await asyncio.gather(*(ticket.result() for ticket in tickets))
    assert order == list(range(10))
    pool.close()


async def test_full_queue_refuses_at_once_and_takes_again_later(gate: Gate) -> None:
    pool = Pool(threads=1, queue=2)
    tickets = [pool.submit(gate) for _ in range(3)]
    assert pool.waiting == 2
    with pytest.raises(QueueFullError):
        pool.submit(gate)
    gate.open.set()
    assert [await ticket.result() for ticket in tickets] == ["through"] * 3
    assert pool.waiting == 0
    assert await pool.submit(gate).result() == "through"
    pool.close()


async def test_abandoned_work_is_skipped_and_frees_its_place(gate: Gate) -> None:
    pool = Pool(threads=1, queue=1)
    first = pool.submit(gate)
    second = Gate()
    ticket = pool.submit(second)
    ticket.abandon()
    with pytest.raises(ClientGoneError):
        await ticket.result()
    await asyncio.sleep(0)
    third = pool.submit(lambda: "third")
    gate.open.set()
    assert await first.result() == "through"
    assert await third.result() == "third"
    assert not second.began.is_set()
    pool.close()


async def test_cancelled_waiter_takes_its_work_back(gate: Gate) -> None:
    pool = Pool(threads=1, queue=1)
    first = pool.submit(gate)
    second = Gate()
    waiter = asyncio.create_task(pool.submit(second).result())
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    gate.open.set()
    await first.result()
    pool.close()
    assert not second.began.is_set()


async def test_abandoning_work_that_has_begun_lets_it_end(gate: Gate) -> None:
    pool = Pool(threads=1, queue=1)
    ticket = pool.submit(gate)
    assert await asyncio.to_thread(gate.began.wait, 60)
    ticket.abandon()
    with pytest.raises(ClientGoneError):
        await ticket.result()
    gate.open.set()
    assert await pool.submit(lambda: "next").result() == "next"
    pool.close()
