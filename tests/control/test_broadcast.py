"""Updates reach every watcher, and none of them holds up another."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from tailrace.control.broadcast import Broadcast
from tailrace.control.interface import State, Update
from tests.kit.samples import POINT, SERVICE
from tests.kit.waiting import TIMEOUT_S


def update(
    service_id: str = "a", index: int | None = None, rate: float = 1, state: State = "running"
) -> Update:
    service = msgspec.structs.replace(SERVICE, id=service_id, state=state, rate_per_s=rate)
    point = msgspec.structs.replace(POINT, index=index) if index is not None else None
    return Update(service=service, point=point)


async def take(updates: AsyncIterator[Update], count: int) -> list[Update]:
    async with asyncio.timeout(TIMEOUT_S):
        return [await anext(updates) for _ in range(count)]


async def test_everyone_gets_what_concerns_them() -> None:
    broadcast = Broadcast()
    one = broadcast.watch("a", lambda: [update("a", rate=7)])
    every = broadcast.watch(None, list)
    begun = asyncio.create_task(take(every, 2))
    await asyncio.sleep(0)  # it watches from its first step on
    assert (await take(one, 1))[0].service.rate_per_s == 7
    broadcast.publish(update("b", 1))
    broadcast.publish(update("a", 2))
    assert [u.service.id for u in await take(one, 1)] == ["a"]
    assert [u.service.id for u in await begun] == ["b", "a"]


async def test_states_unread_give_way_to_newer_ones_and_intervals_do_not() -> None:
    broadcast = Broadcast()
    updates = broadcast.watch("a", lambda: [update(index=0)])
    await take(updates, 1)
    broadcast.publish(update(index=1))
    for rate in range(10_000):
        broadcast.publish(update(rate=rate))
    broadcast.publish(update(index=2))
    seen = await take(updates, 2)
    # The interval's own update says the state at its time, which is newer than the changes.
    assert [u.point.index for u in seen if u.point] == [1, 2]


async def test_the_last_state_is_always_told() -> None:
    broadcast = Broadcast()
    updates = broadcast.watch("a", lambda: [update(rate=0)])
    await take(updates, 1)
    for rate in (1, 2, 3):
        broadcast.publish(update(rate=rate))
    assert [u.service.rate_per_s for u in await take(updates, 1)] == [3]


async def test_a_stuck_watcher_loses_its_own_oldest_intervals_alone() -> None:
    broadcast = Broadcast()
    stuck = broadcast.watch("a", lambda: [update()])
    lively = broadcast.watch("a", lambda: [update()])
    await take(stuck, 1)
    await take(lively, 1)
    for index in range(1000):
        broadcast.publish(update(index=index))
        (seen,) = await take(lively, 1)
        assert seen.point is not None
        assert seen.point.index == index
    assert [u.point.index for u in await take(stuck, 256) if u.point] == list(range(744, 1000))


async def test_watching_a_service_ends_with_its_removal() -> None:
    broadcast = Broadcast()
    one, every = broadcast.watch("a", lambda: [update()]), broadcast.watch(None, lambda: [update()])
    await take(one, 1)
    await take(every, 1)
    broadcast.publish(update(state="removed"))
    broadcast.publish(update("b"))
    assert [u.service.state for u in await take(one, 1)] == ["removed"]
    with pytest.raises(StopAsyncIteration):
        await anext(one)
    assert [u.service.id for u in await take(every, 2)] == ["a", "b"]


async def test_a_closed_watch_is_forgotten() -> None:
    broadcast = Broadcast()
    updates = broadcast.watch("a", lambda: [update()])
    await take(updates, 1)
    assert len(broadcast._watchers) == 1
    await updates.aclose()  # type: ignore[attr-defined]
    assert not broadcast._watchers
