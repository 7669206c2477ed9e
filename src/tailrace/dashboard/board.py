"""All services at a glance, encoded once for all browsers that look at the overview."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from tailrace.control.interface import ServiceInfo, UnknownServiceError, Update, Window
from tailrace.dashboard.feed import RECENT_S, Feed, Feeds, report_missed
from tailrace.dashboard.figures import failures_by_reason
from tailrace.load.judge.slo import Slo
from tailrace.load.judge.verdict import is_late
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

View = Callable[[str], None]
Said = dict[str, Any]


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


def glance(
    service: ServiceInfo, slos: Sequence[Slo], window: Window | None, points: Sequence[Point]
) -> Said:
    """What services.js shows of a service: its figures are those of its own page, of the `window`
    (None before the run's first interval) and of that one's last interval; the sparkline is of
    `points`, oldest first.

    `texts` by the name of their field, `flags` that the style sheet knows, the sparkline's `path`,
    what of it is `over` an SLO and the y of its `bound`, and `rate` for the input.
    """
    texts = {"name": service.name, "url": f"{service.method} {service.url}", "state": service.state}
    flags: list[str] = [service.state]
    for said, flag in (
        _rate(service, window),
        _tail(window, slos),
        _failures(window),
        _generator(window),
        _verdict(service),
    ):
        texts |= said
        flags += [flag] if flag else []
    p99 = next((slo for slo in slos if slo.statistic == "p99"), None)
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


_Part = tuple[dict[str, str], str | None]


def _rate(service: ServiceInfo, window: Window | None) -> _Part:
    live = window is not None and service.state != "idle"
    reached = f"{number(window.points[-1].rps)}/s" if window is not None and live else NONE
    return {"asked": f"{number(service.rate_per_s)}/s", "reached": reached}, None


def _tail(window: Window | None, slos: Sequence[Slo]) -> _Part:
    within = ", ".join(slo.expression for slo in slos)
    if window is None:
        return {"p99": NONE, "of": "", "slo": within and f"SLO {within}"}, None
    of = f"· last {format_duration(window.seconds)}"
    over = ", ".join(text for text, is_kept in window.slo.items() if not is_kept)
    slo = f"over {over}" if over else within and f"SLO {within}"
    said = {"p99": number(window.latency_ms.p99), "of": of, "slo": slo}
    return said, "over" if over else None


def _failures(window: Window | None) -> _Part:
    if window is None:
        return {"failures": NONE, "kinds": ""}, None
    reasons = failures_by_reason(window)
    failures = f"{sum(window.reasons.values()):,}"
    return {"failures": failures, "kinds": reasons}, "failing" if reasons else None


def _generator(window: Window | None) -> _Part:
    if window is None:
        return {"generator": NONE, "lag": ""}, None
    late = is_late((window.send_lag_us.p99 or 0.0) / 1e6, (window.latency_ms.p99 or 0.0) / 1e3)
    lag = format_lag(window.send_lag_us.p99)
    note = f"lag {lag} · CPU {window.points[-1].cpu_percent:.0f} %"
    return {"generator": "late" if late else "fine", "lag": note}, "late" if late else None


def _verdict(service: ServiceInfo) -> _Part:
    verdict = service.verdict
    if verdict is None:
        return {"verdict": NONE, "reasons": ""}, None
    word = "valid" if verdict.valid else "invalid"
    return {"verdict": word.upper(), "reasons": "; ".join(verdict.reasons)}, word


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
