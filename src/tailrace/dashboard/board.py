"""All services at a glance, kept and encoded once for all browsers that look at the overview."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from tailrace.control.interface import (
    LoadControl,
    ServiceInfo,
    UnknownServiceError,
    Update,
    Window,
)
from tailrace.dashboard.follow import follow
from tailrace.dashboard.glance import glance
from tailrace.dashboard.sparkline import SPAN_S
from tailrace.load.judge.slo import parse_slo
from tailrace.load.measure.point import Point

EVERY_S = 1.0
"""Browsers are told of new intervals this often at most."""

_CHANGE_S = 0.05
"""A change of state waits this long for others, as when all services start."""

View = Callable[[str], None]


class Board:
    """Follows all services; tells its views, as JSON, what is to be shown of those that changed."""

    def __init__(self, control: LoadControl) -> None:
        self._control = control
        self._lines: dict[str, _Line] = {}
        self._views: set[View] = set()
        self._changed: set[str] = set()
        self._telling: asyncio.TimerHandle | None = None
        self._told_s = float("-inf")
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to follow, with the services that there are."""
        for service in await self._control.list():
            self._lines[service.id] = _Line(service)
            for point in (await self._control.window(service.id)).points:
                self._lines[service.id].keep(point)
        self._task = asyncio.create_task(follow(self._control, self._take))

    async def close(self) -> None:
        """Stop following."""
        if self._telling is not None:
            self._telling.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def services(self) -> list[ServiceInfo]:
        """Those that are listed now, in the order in which they were added."""
        return [line.service for line in self._lines.values()]

    async def all(self) -> str:
        """What is to be shown of every service, as JSON."""
        for line in tuple(self._lines.values()):
            await self._look(line)
        return self._json(self._lines)

    def show(self, view: View) -> None:
        """Call `view` after each change from now on."""
        self._views.add(view)

    def hide(self, view: View) -> None:
        """Call `view` no more."""
        self._views.discard(view)

    async def _take(self, update: Update) -> None:
        service = update.service
        if service.state == "removed":
            self._lines.pop(service.id, None)
        elif service.id in self._lines:
            self._lines[service.id].change(service)
        else:
            self._lines[service.id] = _Line(service)
        line = self._lines.get(service.id)
        if line is not None and update.point is not None:
            line.keep(update.point)
        self._changed.add(service.id)
        if self._views:
            if line is not None:
                await self._look(line)
            loop = asyncio.get_running_loop()
            soon_s = loop.time() + _CHANGE_S
            self._tell_at(soon_s if update.point is None else max(soon_s, self._told_s + EVERY_S))

    async def _look(self, line: "_Line") -> None:
        """Have the window as of its last interval, which nobody needs while nobody looks."""
        if line.seen:
            return
        line.seen = True
        with contextlib.suppress(UnknownServiceError):  # removed since; the update follows
            window = await self._control.window(line.service.id)
            line.window = window if window.points else None

    def _tell_at(self, when_s: float) -> None:
        if self._telling is not None:
            if self._telling.when() <= when_s:
                return
            self._telling.cancel()
        self._telling = asyncio.get_running_loop().call_at(when_s, self._tell)

    def _tell(self) -> None:
        self._telling = None
        self._told_s = asyncio.get_running_loop().time()
        changed, self._changed = self._changed, set()
        said = self._json(id_ for id_ in self._lines if id_ in changed)
        for view in tuple(self._views):
            view(said)

    def _json(self, ids: Iterable[str]) -> str:
        return msgspec.json.encode([self._lines[id_].say() for id_ in ids]).decode()


class _Line:
    """One service, its window, and its last intervals as far as a sparkline reaches."""

    def __init__(self, service: ServiceInfo) -> None:
        self.service = service
        self.window: Window | None = None
        """As of the last time that somebody looked; None before the run's first interval."""
        self.seen = False
        """Whether nothing came since."""
        self._points: deque[Point] = deque()

    def change(self, service: ServiceInfo) -> None:
        if service.state == "starting":
            self.window, self.seen = None, True
        self.service = service

    def keep(self, point: Point) -> None:
        # A new watcher is told the last interval at once, which the window had already.
        if self._points and point.wall_time <= self._points[-1].wall_time:
            return
        self.seen = False
        self._points.append(point)
        while self._points[0].wall_time < point.wall_time - SPAN_S:
            self._points.popleft()

    def say(self) -> dict[str, object]:
        slos = [parse_slo(text) for text in self.service.slo]
        return glance(self.service, slos, self.window, self._points)
