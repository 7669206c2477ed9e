"""What is known of the services: state, window and history, kept once for all browsers."""

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec
from fastapi import APIRouter, Response

from tailrace.control.faces.rest import NO_STORE, answer_error
from tailrace.control.interface import (
    LoadControl,
    SearchProgress,
    ServiceInfo,
    UnknownServiceError,
    Update,
    Window,
)
from tailrace.load.measure.point import Point

KEPT_INTERVALS = 3600
RECENT_S = 120.0
"""The overview draws as much."""

View = Callable[[], None]
Listener = Callable[[Update], None]

_STATE_DELAY_S = 0.05
"""How long a change of state may wait for others: a program may set the rate 100 times a second."""


class Feed:
    """What the browsers see of one service."""

    def __init__(self, control: LoadControl, service: ServiceInfo) -> None:
        self.service = service
        self.window: Window | None = None
        """As of the last interval when somebody last looked; None before the first."""
        self.latest: Point | None = None
        """The run's last interval; None before its first."""
        self.latest_json = ""
        """The same as JSON, encoded once for all browsers."""
        self.search: SearchProgress | None = None
        """The search in progress, or the last one until the next start."""
        self.examples: dict[str, str] = {}
        """Answers of the run that were failures, by their reason."""
        self.recent: deque[Point] = deque()
        """The intervals of the last RECENT_S, of earlier runs too."""
        self.views: set[View] = set()
        """Called after each change."""
        self._looked = True
        self._control = control
        self._points: deque[tuple[float, bytes]] = deque(maxlen=KEPT_INTERVALS)
        self._telling: asyncio.TimerHandle | None = None
        self._set_service(service)

    def points_json(self, since: float = 0.0) -> bytes:
        """The kept points that ended after `since`, Unix time in seconds, as a JSON array."""
        return b"[" + b",".join(json for at, json in self._points if at > since) + b"]"

    async def look(self) -> None:
        """Have the window as of the last interval, which nobody needs while nobody looks."""
        if not self._looked:
            await self._read_window()

    async def take(self, update: Update) -> None:
        """Keep what `update` says, and call the views."""
        self._set_service(update.service)
        self.search = update.search
        point = update.point
        if point is not None and self._is_new(point):
            lost = point.index > (self.latest.index + 1 if self.latest is not None else 0)
            self._looked = False
            if self.views or lost:
                await self.look()
            if lost:
                self._keep_window()
            self._keep(point)
            self._tell()
        elif self.views and self._telling is None:
            loop = asyncio.get_running_loop()
            self._telling = loop.call_later(_STATE_DELAY_S, self._tell)

    async def catch_up(self) -> None:
        """Keep the intervals that the window holds."""
        await self._read_window()
        self._keep_window()

    def close(self) -> None:
        """Call no view any more."""
        self.views.clear()
        if self._telling is not None:
            self._telling.cancel()

    def _set_service(self, service: ServiceInfo) -> None:
        if service.state == "starting":
            self.latest, self.window, self.examples = None, None, {}
            self._looked = True
        self.service = service

    async def _read_window(self) -> None:
        # Before the waiting: what comes meanwhile is to be looked at anew.
        self._looked = True
        window = await self._control.window(self.service.id)
        self.window = window if window.points else None

    def _keep_window(self) -> None:
        for point in self.window.points if self.window is not None else ():
            self._keep(point)

    def _is_new(self, point: Point) -> bool:
        # A new watcher is told the last interval at once, which the window had already.
        return not self._points or point.wall_time > self._points[-1][0]

    def _keep(self, point: Point) -> None:
        if not self._is_new(point):
            return
        encoded = msgspec.json.encode(point)
        self._points.append((point.wall_time, encoded))
        self.recent.append(point)
        while self.recent[0].wall_time < point.wall_time - RECENT_S:
            self.recent.popleft()
        self.latest, self.latest_json = point, encoded.decode()
        self.examples = {**point.examples, **self.examples}

    def _tell(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        _call(self.views)


class Feeds:
    """The feeds of all services, in the order of LoadControl.list, kept up by one task."""

    def __init__(self, control: LoadControl) -> None:
        self.views: set[View] = set()
        """Called whenever a service was added or removed."""
        self.listeners: set[Listener] = set()
        """Called with each update of any service, once its feed has it."""
        self._control = control
        self._feeds: dict[str, Feed] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to follow all services, those added later included."""
        for service in await self._control.list():
            await self._add(service)
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for feed in self._feeds.values():
            feed.close()

    def all(self) -> list[Feed]:
        """A feed for each service that is listed now."""
        return list(self._feeds.values())

    def find(self, service_id: str) -> Feed:
        """One service's feed.

        Raises:
            UnknownServiceError: there is no such service.
        """
        try:
            return self._feeds[service_id]
        except KeyError:
            raise UnknownServiceError(f"no service {service_id!r}") from None

    async def _follow(self) -> None:
        """Take each update, those of services added later included, whatever becomes of one."""
        async for update in self._control.watch(None):
            try:
                await self._take(update)
            except UnknownServiceError:
                continue  # removed since; the update that says so follows
            except Exception as error:  # noqa: BLE001
                report_missed(update.service, error)

    async def _add(self, service: ServiceInfo) -> None:
        feed = self._feeds[service.id] = Feed(self._control, service)
        await feed.catch_up()

    async def _take(self, update: Update) -> None:
        service = update.service
        feed = self._feeds.get(service.id)
        if feed is not None:
            if service.state == "removed":
                del self._feeds[service.id]
                _call(self.views)
            await feed.take(update)
        elif service.state != "removed":
            await self._add(service)
            _call(self.views)
        for listener in self.listeners:
            listener(update)


def report_missed(service: ServiceInfo, error: Exception) -> None:
    """Tell the event loop's handler what went wrong with one update; the pages of all services
    would stand still if it ended what keeps them up to date.
    """
    what = f"The pages have missed an update of service {service.id!r}"
    asyncio.get_running_loop().call_exception_handler({"message": what, "exception": error})


def points_router(feeds: Feeds) -> APIRouter:
    """`GET /services/{id}/points?since=`: a service's kept intervals, as a JSON array."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/services/{id}/points")
    async def points(id: str, since: float = 0.0) -> Response:  # noqa: A002
        try:
            body = feeds.find(id).points_json(since)
        except UnknownServiceError as error:
            return answer_error(error)
        return Response(body, 200, NO_STORE, "application/json")

    return routes


def _call(views: set[View]) -> None:
    """Call each of `views` from the event loop, so that one that fails fails alone."""

    def call_if_shown(view: View) -> None:
        if view in views:
            view()

    loop = asyncio.get_running_loop()
    for view in views:
        loop.call_soon(call_if_shown, view)
