"""The overview: every service at a glance, with what starts, stops, steers and changes it.

What there is to show is encoded once for all browsers that look.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec
from nicegui import Client, events
from nicegui.element import Element

from tailrace.control.interface import LoadControl, ServiceInfo, UnknownServiceError, Update, Window
from tailrace.dashboard.feed import RECENT_S, Feed, Feeds, report_missed
from tailrace.dashboard.frame import attempt
from tailrace.dashboard.service_form import ServiceDialog
from tailrace.load.judge.answers import slo_answers, verdict_word
from tailrace.load.judge.slo import parse_slo
from tailrace.load.judge.verdict import is_late
from tailrace.load.measure.failures import describe_failures
from tailrace.load.measure.point import Point
from tailrace.units import NONE, format_duration, format_lag, number

EVERY_S = 1.0
"""Browsers are told of new intervals this often at most."""

_CHANGE_S = 0.05
"""A change of state waits this long for others, as when all services start."""

WIDTH, HEIGHT = 120, 32
"""Of a sparkline, as static/services.js draws it."""
_ROOM = 1.4
"""Its axis reaches from 0 to this many times the SLO, or to the highest value if that is more."""

_EXAMPLE = """\
# tailrace.toml
[[service]]
id = "ssd"
url = "http://10.0.0.5:5000/gpu"
profile = "100..1000/60s"
slo = "p99<100ms"
"""

View = Callable[[str], None]
Said = dict[str, Any]


class _Services(Element, component="static/services.js"):
    """The rows in the browser, brought up to date by one message a second."""


class Overview:
    """The page in one browser, which begins with what the board has `said`."""

    def __init__(self, control: LoadControl, board: "Board", client: Client, said: str) -> None:
        self._control = control
        self._board = board
        self._client = client
        self._form = ServiceDialog(control, client)
        self._rows = _Services()
        self._rows.props["example"] = _EXAMPLE
        self._rows.props["first"] = said
        self._rows.on("start-all", lambda: self._all("start"), [])
        self._rows.on("stop-all", lambda: self._all("stop"), [])
        self._rows.on("add", self._form.add, [])
        self._rows.on("toggle", self._toggle)
        self._rows.on("rate", self._set_rate)
        self._rows.on("change", self._change)
        self._rows.on("remove", self._remove)
        board.views.add(self._show)
        client.on_connect(self._show_all)
        client.on_delete(lambda: board.views.discard(self._show))

    async def _show_all(self) -> None:
        self._show(await self._board.all())

    def _show(self, said: str) -> None:
        if self._client.has_socket_connection:
            self._client.run_javascript(f"runMethod({self._rows.id},'show',[{said}])")

    async def _toggle(self, event: events.GenericEventArguments) -> None:
        service_id, does = event.args
        if does != "wait":
            await self._act(service_id, does)

    async def _all(self, does: Literal["start", "stop"]) -> None:
        services = await self._control.list()
        asked = [each.id for each in services if (each.state == "idle") == (does == "start")]
        await asyncio.gather(*(self._act(service_id, does) for service_id in asked))

    async def _act(self, service_id: str, does: Literal["start", "stop"]) -> None:
        act = self._control.start if does == "start" else self._control.stop
        await attempt(self._client, act(service_id))

    async def _set_rate(self, event: events.GenericEventArguments) -> None:
        service_id, rate = event.args
        if rate:
            await attempt(self._client, self._control.set_rate(service_id, float(rate)))
        await self._show_all()

    async def _change(self, event: events.GenericEventArguments) -> None:
        await self._form.change(event.args)

    async def _remove(self, event: events.GenericEventArguments) -> None:
        await attempt(self._client, self._control.remove(event.args))


class Board:
    """Tells its views, as JSON, what services there are and what is to be shown of those that
    changed.
    """

    def __init__(self, feeds: Feeds) -> None:
        self.views: set[View] = set()
        self._feeds = feeds
        self._changed: set[str] = set()
        self._due: asyncio.TimerHandle | None = None
        self._telling: asyncio.Task[None] | None = None
        self._told_s = float("-inf")
        feeds.listeners.add(self._note)

    def close(self) -> None:
        """Call no view any more."""
        self.views.clear()
        if self._due is not None:
            self._due.cancel()

    async def all(self) -> str:
        """The same of every service."""
        return await self._json(self._feeds.all())

    def _note(self, update: Update) -> None:
        self._changed.add(update.service.id)
        if not self.views:
            return
        loop = asyncio.get_running_loop()
        when_s = loop.time() + _CHANGE_S
        if update.point is not None:
            when_s = max(when_s, self._told_s + EVERY_S)
        if self._due is None or self._due.when() > when_s:
            if self._due is not None:
                self._due.cancel()
            self._due = loop.call_at(when_s, self._begin)

    def _begin(self) -> None:
        self._due = None
        self._telling = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        self._told_s = asyncio.get_running_loop().time()
        changed, self._changed = self._changed, set()
        said = await self._json(feed for feed in self._feeds.all() if feed.service.id in changed)
        for view in tuple(self.views):
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
            rows.append(glance(feed.service, feed.window, feed.recent))
        ids = [feed.service.id for feed in self._feeds.all()]
        return msgspec.json.encode({"ids": ids, "rows": rows}).decode()


def glance(service: ServiceInfo, window: Window | None, points: Iterable[Point]) -> Said:
    """What services.js shows of a service: its figures are those of its own page, of the `window`
    (None before the run's first interval) and of that one's last interval; the sparkline is of
    `points`, oldest first.

    `texts` by the name of their field, `flags` that the style sheet knows, the sparkline's `path`,
    what of it is `over` an SLO and the y of its `bound`, and `rate` for the input.
    """
    flags: list[str] = [service.state]
    texts = {
        "name": service.name,
        "url": f"{service.method} {service.url}",
        "state": service.state,
        "asked": f"{number(service.rate_per_s)}/s",
        "slo": f"SLO {', '.join(service.slo)}" if service.slo else "",
        **dict.fromkeys(("of", "kinds", "lag", "reasons"), ""),
        **dict.fromkeys(("reached", "p99", "failures", "generator", "verdict"), NONE),
    }
    if window is not None:
        last = window.points[-1]
        lag_us, p99_ms = window.send_lag_us.p99, window.latency_ms.p99
        over = ", ".join(text for text, is_kept in window.slo.items() if not is_kept)
        late = is_late((lag_us or 0.0) / 1e6, (p99_ms or 0.0) / 1e3)
        texts |= {
            "p99": number(p99_ms),
            "of": f"· last {format_duration(window.seconds)}",
            "failures": f"{sum(window.reasons.values()):,}",
            "kinds": describe_failures(window.reasons) if window.reasons else "",
            "generator": "late" if late else "fine",
            "lag": f"lag {format_lag(lag_us)} · CPU {last.cpu_percent:.0f} %",
        }
        if service.state != "idle":
            texts["reached"] = f"{number(last.rps)}/s"
        if over:
            texts["slo"] = f"over {over}"
        elif service.decisions:
            answers = slo_answers(window.slo, service.decisions)
            texts["slo"] = ", ".join(answer.brief for answer in answers)
        raised = {"over": over, "failing": window.reasons, "late": late}
        flags += [flag for flag, is_up in raised.items() if is_up]
    if service.verdict is not None:
        word = verdict_word(service.verdict)
        texts |= {"verdict": word, "reasons": "; ".join(service.verdict.reasons)}
        flags.append(word.lower())
    p99 = next((slo for slo in map(parse_slo, service.slo) if slo.statistic == "p99"), None)
    path, over, bound = sparkline(points, p99.bound_s * 1e3 if p99 is not None else None)
    return {
        "id": service.id,
        "rate": service.rate_per_s,
        "texts": texts,
        "flags": " ".join(flags),
        "path": path,
        "over": over,
        "bound": bound,
    }


def sparkline(points: Iterable[Point], bound_ms: float | None) -> tuple[str, str, float | None]:
    """The `d` of an SVG path of WIDTH by HEIGHT, that of its intervals that broke an SLO, and the y
    of the SLO's line.

    `points` are oldest first, the last at the right edge. Where an interval is missing or had no
    response, the line is interrupted.
    """
    shown = list(points)
    values = [p99 for point in shown if (p99 := point.latency_ms.p99) is not None]
    top = max((*values, _ROOM * (bound_ms or 0.0)), default=0.0) or 1.0

    def y_of(value_ms: float) -> float:
        return round(HEIGHT - 1 - value_ms / top * (HEIGHT - 2), 1)

    path, over = [], []
    before_s, begin = float("-inf"), ""
    for point in shown:
        if point.latency_ms.p99 is None:
            continue
        x = round(WIDTH - (shown[-1].wall_time - point.wall_time) * (WIDTH / RECENT_S), 1)
        corner = f"{x:g} {y_of(point.latency_ms.p99):g}"
        # A line to itself is a dot: round caps draw it.
        if point.wall_time - before_s < 1.5 * point.interval_s:
            step, alone = f"L{corner}", f"M{begin}L{corner}"
        else:
            step = alone = f"M{corner}h0"
        path.append(step)
        if False in point.slo.values():
            over.append(alone)
        before_s, begin = point.wall_time, corner
    return "".join(path), "".join(over), None if bound_ms is None else y_of(bound_ms)
