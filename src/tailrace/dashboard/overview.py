"""The overview: every service at a glance, with what starts, stops, steers and changes it."""

import asyncio

from nicegui import Client, events
from nicegui.element import Element

from tailrace.control.interface import LoadControl
from tailrace.dashboard.board import Board
from tailrace.dashboard.dialogs import ServiceDialog
from tailrace.dashboard.frame import attempt

_EXAMPLE = """\
# tailrace.toml
[[service]]
id = "ssd"
url = "http://10.0.0.5:5000/gpu"
profile = "100..1000/60s"
slo = "p99<100ms"
"""


class _Services(Element, component="static/services.js"):
    """The rows in the browser, brought up to date by one message a second."""


class Overview:
    """The page in one browser, which begins with what the board has `said`."""

    def __init__(self, control: LoadControl, board: Board, client: Client, said: str) -> None:
        self._control = control
        self._board = board
        self._client = client
        self._form = ServiceDialog(control, client)
        self._rows = _Services()
        self._rows.props["example"] = _EXAMPLE
        self._rows.props["first"] = said
        self._rows.on("start-all", self._start_all, [])
        self._rows.on("stop-all", self._stop_all, [])
        self._rows.on("add", self._form.add, [])
        self._rows.on("toggle", self._toggle)
        self._rows.on("rate", self._set_rate)
        self._rows.on("change", self._change)
        self._rows.on("remove", self._remove)
        board.show(self._show)
        client.on_connect(self._show_all)
        client.on_delete(lambda: board.hide(self._show))

    async def _show_all(self) -> None:
        self._show(await self._board.all())

    def _show(self, said: str) -> None:
        if self._client.has_socket_connection:
            self._client.run_javascript(f"runMethod({self._rows.id},'show',[{said}])")

    async def _toggle(self, event: events.GenericEventArguments) -> None:
        service_id, does = event.args
        if does != "wait":
            act = self._control.stop if does == "stop" else self._control.start
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

    async def _start_all(self) -> None:
        idle = [service.id for service in await self._control.list() if service.state == "idle"]
        await asyncio.gather(*(attempt(self._client, self._control.start(id_)) for id_ in idle))

    async def _stop_all(self) -> None:
        live = [service.id for service in await self._control.list() if service.state != "idle"]
        await asyncio.gather(*(attempt(self._client, self._control.stop(id_)) for id_ in live))
