"""One feed a service: its history and its frames, made once for all browsers that look at it."""

import asyncio
import json
from collections import deque
from collections.abc import Callable

from tailrace.control.interface import LoadControl, ServiceInfo, Window
from tailrace.dashboard.frames import frame
from tailrace.load.point import Point
from tailrace.load.slo import parse_slo

KEPT_INTERVALS = 3600


class Feed:
    """What the browsers see of one service; every view is called after each update."""

    def __init__(self, control: LoadControl, service: ServiceInfo) -> None:
        self.service = service
        self.slos = [parse_slo(text) for text in service.slo]
        self.window: Window | None = None
        self.points: deque[Point] = deque(maxlen=KEPT_INTERVALS)
        self._control = control
        self._views: set[Callable[[], None]] = set()
        self._frames: dict[int, str] = {}

    @property
    def latest(self) -> Point | None:
        """The last interval of the window; None before the first of a run."""
        return self.window.points[-1] if self.window and self.window.points else None

    def frame(self, span_s: int) -> str:
        """The charts' data of the last `span_s` seconds as JSON, made once an interval."""
        if span_s not in self._frames:
            self._frames[span_s] = json.dumps(
                frame(self.points, span_s, self.slos), separators=(",", ":")
            )
        return self._frames[span_s]

    def show(self, view: Callable[[], None]) -> None:
        """Call `view` after each update from now on."""
        self._views.add(view)

    def hide(self, view: Callable[[], None]) -> None:
        """Call `view` no more."""
        self._views.discard(view)

    async def refresh(self) -> None:
        """Read the service's state and window anew, and tell the views."""
        self.service = await self._control.get(self.service.id)
        self.window = await self._control.window(self.service.id)
        for view in tuple(self._views):
            view()

    async def follow(self) -> None:
        """Keep up with the service until cancelled."""
        await self.refresh()
        for point in self.window.points if self.window else ():
            self._keep(point)
        async for update in self._control.watch(self.service.id):
            self.service = update.service
            if update.point is not None:
                self._keep(update.point)
            if self._views:
                # Not from the update: what a view has just asked for may be newer than it.
                await self.refresh()

    def _keep(self, point: Point) -> None:
        # A new watcher is told the last interval at once, which the window had already.
        if not self.points or point.wall_time > self.points[-1].wall_time:
            self.points.append(point)
            self._frames.clear()


class Feeds:
    """The feeds of all services, in the order of LoadControl.list."""

    def __init__(self, control: LoadControl) -> None:
        self._control = control
        self._feeds: dict[str, Feed] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def all(self) -> list[Feed]:
        """A feed for each service that is listed now; follows those that are new."""
        services = await self._control.list()
        for service in services:
            if service.id not in self._feeds:
                feed = self._feeds[service.id] = Feed(self._control, service)
                task = asyncio.create_task(feed.follow())
                task.add_done_callback(_report)
                self._tasks.append(task)
        return [self._feeds[service.id] for service in services]

    async def close(self) -> None:
        """Stop following."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        context = {"message": "A feed of the dashboard ended", "exception": error}
        task.get_loop().call_exception_handler(context)
