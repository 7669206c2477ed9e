"""The overview: every service at a glance, with what starts, stops, steers and changes it.

The elements are built once a service; what they say comes from the board, one message a second,
and overview.js puts it there.
"""

import asyncio
from functools import partial

from nicegui import Client, events, ui
from nicegui.element import Element

from tailrace.control.interface import LoadControl, ServiceInfo
from tailrace.dashboard.board import Board
from tailrace.dashboard.dialogs import RemoveDialog, ServiceDialog
from tailrace.dashboard.frame import attempt, button
from tailrace.dashboard.glance import HEIGHT, WIDTH

_EXAMPLE = """\
# tailrace.toml
[[service]]
id = "ssd"
url = "http://10.0.0.5:5000/gpu"
profile = "100..1000/60s"
slo = "p99<100ms"
"""


class Overview:
    """The page in one browser."""

    def __init__(self, control: LoadControl, board: Board, client: Client) -> None:
        self._control = control
        self._board = board
        self._client = client
        self._cards: dict[str, Element] = {}
        self._form = ServiceDialog(control, client)
        self._removal = RemoveDialog(control, client)
        self._head()
        self._list = ui.element("ul").classes("services").props("role=list")
        self._nothing()
        self._rebuild()
        board.show(self._tell)
        client.on_connect(self._say_all)
        client.on_delete(lambda: board.hide(self._tell))

    def _head(self) -> None:
        with ui.element("div").classes("page-head"):
            with ui.element("h1"):
                ui.label("Services")
            self._summary = ui.label().classes("hint").props("role=status data-testid=summary")
            with ui.element("div").classes("buttons") as self._buttons:
                button("Start all").props("data-testid=start-all").on("click", self._start_all, [])
                button("Stop all").props("data-testid=stop-all").on("click", self._stop_all, [])
                button("Add a service", "primary").props("data-testid=add").on(
                    "click", self._form.add, []
                )

    def _nothing(self) -> None:
        self._empty = ui.element("section").classes("card empty-room").props("data-testid=empty")
        with self._empty:
            with ui.element("h2"):
                ui.label("No services yet")
            ui.label(
                "A service is one HTTP endpoint that is put under load. Add one here, or list "
                "yours in tailrace.toml and start the control room with it:"
            ).classes("hint")
            with ui.element("pre"):
                ui.label(_EXAMPLE)
            with ui.element("pre"):
                ui.label("tailrace dashboard --config tailrace.toml")
            button("Add a service", "primary").on("click", self._form.add, [])

    def _tell(self, said: str) -> None:
        if [service.id for service in self._board.services] != list(self._cards):
            self._rebuild()
        self._say(said)

    def _rebuild(self) -> None:
        """Make the cards those of the services there are; the others are left as they are."""
        services = {service.id: service for service in self._board.services}
        for gone in self._cards.keys() - services.keys():
            self._cards.pop(gone).delete()
        with self._list:
            for id_ in services.keys() - self._cards.keys():
                self._cards[id_] = self._card(services[id_])
        for place, id_ in enumerate(services):
            self._cards[id_].move(target_index=place)
        self._cards = {id_: self._cards[id_] for id_ in services}
        self._empty.set_visibility(not services)
        self._buttons.set_visibility(bool(services))

    async def _say_all(self) -> None:
        self._say(await self._board.all())

    def _say(self, said: str) -> None:
        services = self._board.services
        running = sum(service.state != "idle" for service in services)
        self._summary.set_text(f"{running} of {len(services)} running" if services else "")
        if self._client.has_socket_connection:
            self._client.run_javascript(f"tailrace.overview.show({said})")

    def _card(self, service: ServiceInfo) -> Element:
        id_ = service.id
        with ui.element("li") as item, ui.element("article").classes("card glance") as card:
            card.props(f'data-service={id_} data-testid=service-{id_} aria-labelledby="name-{id_}"')
            with ui.element("div").classes("who"):
                with ui.element("h2"), ui.element("a").props(f"href=/services/{id_}"):
                    _text("name", service.name).props(f"id=name-{id_}")
                _text("url").classes("url")
            _text("state").classes("state")
            with ui.element("div").classes("steer"):
                self._rate(service)
                button("Start").classes("toggle").props(f"data-testid=toggle-{id_}").on(
                    "click",
                    partial(self._toggle, id_),
                    js_handler="e => emit(e.currentTarget.dataset.does)",
                )
            with ui.element("div").classes("cell"):
                ui.label("Rate").classes("cell-label")
                _text("reached").classes("cell-value")
                with ui.element("div").classes("cell-note"):
                    ui.label("asked")
                    _text("asked")
            with ui.element("div").classes("cell tail"):
                with ui.element("div"):
                    with ui.element("div").classes("cell-label"):
                        ui.label("p99")
                        _text("of")
                    with ui.element("div").classes("cell-value"):
                        _text("p99")
                        ui.label("ms").classes("unit")
                    _text("slo").classes("cell-note")
                _sparkline()
            _cell("Verdict", "verdict", "reasons")
            _cell("Generator", "generator", "lag")
            _cell("Failures", "failures", "kinds")
            with ui.element("div").classes("more"):
                button("Change", "plain").props(f"data-testid=change-{id_}").on(
                    "click", partial(self._form.change, id_), []
                )
                button("Remove", "plain").props(f"data-testid=remove-{id_}").on(
                    "click", partial(self._remove, id_), []
                )
        return item

    def _rate(self, service: ServiceInfo) -> None:
        with ui.element("label").classes("rate-inline"):
            ui.element("input").props(
                f"type=number min=0 step=any inputmode=decimal data-testid=rate-{service.id} "
                f'aria-label="Rate of {service.id}, requests per second"'
            ).on(
                "change",
                partial(self._set_rate, service.id),
                js_handler="e => emit(e.target.value)",
            )
            ui.label("req/s").classes("unit").props("aria-hidden=true")

    async def _toggle(self, service_id: str, event: events.GenericEventArguments) -> None:
        does = self._control.stop if event.args == "stop" else self._control.start
        await attempt(self._client, does(service_id))

    async def _set_rate(self, service_id: str, event: events.GenericEventArguments) -> None:
        if event.args:
            await attempt(self._client, self._control.set_rate(service_id, float(event.args)))
        await self._say_all()

    async def _remove(self, service_id: str) -> None:
        async def ask() -> None:
            self._removal.ask(await self._control.get(service_id))

        await attempt(self._client, ask())

    async def _start_all(self) -> None:
        idle = [service.id for service in await self._control.list() if service.state == "idle"]
        await asyncio.gather(*(attempt(self._client, self._control.start(id_)) for id_ in idle))

    async def _stop_all(self) -> None:
        live = [service.id for service in await self._control.list() if service.state != "idle"]
        await asyncio.gather(*(attempt(self._client, self._control.stop(id_)) for id_ in live))


def _sparkline() -> None:
    with ui.element("svg").classes("spark") as drawing:
        drawing.props(f'viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio=none aria-hidden=true')
        ui.element("path").classes("spark-line")
        # What broke an SLO is drawn over it in another colour.
        ui.element("path").classes("spark-over")
        ui.element("path").classes("spark-bound")


def _text(field: str, at_first: str = "") -> ui.label:
    return ui.label(at_first).props(f"data-field={field}")


def _cell(label: str, value: str, note: str) -> None:
    with ui.element("div").classes(f"cell cell-{value}"):
        ui.label(label).classes("cell-label")
        _text(value).classes("cell-value")
        _text(note).classes("cell-note")
