"""Updates on their way to whoever watches, none of whom can hold up another or the controller."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence

from tailrace.control.interface import Update

_BACKLOG = 256
"""Intervals kept for a watcher that does not keep up; older ones are dropped."""


class Broadcast:
    """Hands each update to all watchers of its service and to those of all services."""

    def __init__(self) -> None:
        self._watchers: set[_Watcher] = set()

    def publish(self, update: Update) -> None:
        """Give `update` to whom it concerns; never waits."""
        for watcher in self._watchers:
            if watcher.service_id in (None, update.service.id):
                watcher.put(update)

    async def watch(
        self, service_id: str | None, now: Callable[[], Sequence[Update]]
    ) -> AsyncGenerator[Update, None]:
        """What `now` gives, then every update of the service, or of all for None.

        Of one service it ends with the update that says it is removed.
        """
        watcher = _Watcher(service_id)
        self._watchers.add(watcher)
        try:
            for update in now():
                watcher.put(update)
            while True:
                update = await watcher.get()
                yield update
                if service_id is not None and update.service.state == "removed":
                    return
        finally:
            self._watchers.discard(watcher)


class _Watcher:
    def __init__(self, service_id: str | None) -> None:
        self.service_id = service_id
        self._updates: deque[Update] = deque(maxlen=_BACKLOG)
        self._some = asyncio.Event()

    def put(self, update: Update) -> None:
        # A state that nobody has read yet is of no interest beside a newer one; so a hundred
        # changes of the rate a second push no interval out.
        last = self._updates[-1] if self._updates else None
        if last is not None and last.point is None and last.service.id == update.service.id:
            self._updates.pop()
        self._updates.append(update)
        self._some.set()

    async def get(self) -> Update:
        await self._some.wait()
        update = self._updates.popleft()
        if not self._updates:
            self._some.clear()
        return update
