"""All services at a glance, encoded once for all browsers that look at the overview."""

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from tailrace.control.interface import ServiceInfo, UnknownServiceError, Update
from tailrace.dashboard.feed import Feed, Feeds, report_missed
from tailrace.dashboard.glance import glance

EVERY_S = 1.0
"""Browsers are told of new intervals this often at most."""

_CHANGE_S = 0.05
"""A change of state waits this long for others, as when all services start."""

View = Callable[[str], None]


class Board:
    """Tells its views, as JSON, what services there are and what is to be shown of those that
    changed.
    """

    def __init__(self, feeds: Feeds) -> None:
        self._feeds = feeds
        self._views: set[View] = set()
        self._changed: set[str] = set()
        self._due: asyncio.TimerHandle | None = None
        self._telling: asyncio.Task[None] | None = None
        self._told_s = float("-inf")
        feeds.listen(self._note)

    def close(self) -> None:
        """Call no view any more."""
        self._views.clear()
        if self._due is not None:
            self._due.cancel()

    @property
    def services(self) -> list[ServiceInfo]:
        """Those that are listed now, in the order in which they were added."""
        return [feed.service for feed in self._feeds.all()]

    async def all(self) -> str:
        """The same of every service."""
        return await self._json(self._feeds.all())

    def show(self, view: View) -> None:
        """Call `view` after each change from now on."""
        self._views.add(view)

    def hide(self, view: View) -> None:
        """Call `view` no more."""
        self._views.discard(view)

    def _note(self, update: Update) -> None:
        self._changed.add(update.service.id)
        if self._views:
            loop = asyncio.get_running_loop()
            soon_s = loop.time() + _CHANGE_S
            self._tell_at(soon_s if update.point is None else max(soon_s, self._told_s + EVERY_S))

    def _tell_at(self, when_s: float) -> None:
        if self._due is not None:
            if self._due.when() <= when_s:
                return
            self._due.cancel()
        loop = asyncio.get_running_loop()
        self._due = loop.call_at(when_s, self._begin)

    def _begin(self) -> None:
        self._due = None
        self._telling = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        self._told_s = asyncio.get_running_loop().time()
        changed, self._changed = self._changed, set()
        said = await self._json(feed for feed in self._feeds.all() if feed.service.id in changed)
        for view in tuple(self._views):
            view(said)

    async def _json(self, feeds: Iterable[Feed]) -> str:
        rows = []
        for feed in feeds:
            try:
                await feed.look()
            except UnknownServiceError:
                pass  # removed since; the update that says so follows
            except Exception as error:  # noqa: BLE001
                report_missed(feed.service, error)
            rows.append(glance(feed.service, feed.slos, feed.window, feed.recent))
        ids = [service.id for service in self.services]
        return msgspec.json.encode({"ids": ids, "rows": rows}).decode()
