"""The page: header, controls, figures and charts of one service, in one browser."""

import json
from collections.abc import Sequence
from urllib.parse import quote

from nicegui import Client, ui

from tailrace.control.interface import LoadControl, Window
from tailrace.dashboard.charts import CHARTS, Chart, options
from tailrace.dashboard.controls import Controls
from tailrace.dashboard.feed import Feed
from tailrace.dashboard.figures import FIGURES, NONE, broken, clock
from tailrace.dashboard.frames import grain
from tailrace.dashboard.theme import HEAD, MARK, SUN_AND_MOON
from tailrace.load.point import Percentiles

SPANS = {60: "1 min", 300: "5 min", 900: "15 min", 3600: "1 h"}

_NOTHING = Window(
    intervals=0,
    seconds=0,
    latency_ms=Percentiles(),
    service_ms=Percentiles(),
    send_lag_us=Percentiles(),
    stages_ms={},
    avg_rps=0,
    avg_qps=0,
    sr_percent=None,
    completed=0,
    failed={},
    points=(),
)


class View:
    """One browser's page. It holds what is selected; all it shows comes from a feed."""

    def __init__(
        self, control: LoadControl, feeds: Sequence[Feed], shown: Feed, client: Client
    ) -> None:
        self._feeds = {feed.service.id: feed for feed in feeds}
        self._feed = shown
        self._client = client
        self._span_s = next(iter(SPANS))
        self._drawn = ""
        ui.add_head_html(HEAD)
        self._header()
        with ui.element("main"):
            self._controls = Controls(control, shown, client)
            self._problems = ui.label().classes("problems").props("role=alert data-testid=problems")
            self._figures()
            self._charts()
        _footer()
        shown.show(self.show)
        client.on_connect(self._redraw)
        client.on_delete(lambda: self._feed.hide(self.show))
        self.show()

    def _header(self) -> None:
        with ui.element("header"):
            with ui.element("h1").classes("brand"):
                ui.html(MARK, sanitize=False).classes("mark").props("aria-hidden=true")
                ui.label("Tailrace")
            with ui.element("div").classes("service"):
                if len(self._feeds) > 1:
                    ui.select(
                        {id_: feed.service.name for id_, feed in self._feeds.items()},
                        value=self._feed.service.id,
                        on_change=lambda event: self._choose(event.value),
                    ).props(
                        'outlined dense options-dense aria-label="Service" data-testid=service'
                    ).classes("service-select")
                else:
                    ui.label(self._feed.service.name).classes("service-name")
                self._url = ui.label().classes("url").props("data-testid=url")
            with ui.element("div").classes("status"):
                self._state = (
                    ui.label()
                    .classes("state")
                    .props('role=status aria-live=polite data-testid=state aria-label="State"')
                )
                self._elapsed = (
                    ui.label().classes("elapsed").props("title=Elapsed data-testid=elapsed")
                )
                with (
                    ui.element("button")
                    .classes("icon")
                    .props('type=button aria-label="Switch the theme" data-testid=theme')
                    .on("click", js_handler="() => tailrace.switchTheme()")
                ):
                    ui.html(SUN_AND_MOON, sanitize=False)

    def _figures(self) -> None:
        self._tiles: list[tuple[ui.label, ui.label]] = []
        with ui.element("section").classes("card tiles").props('aria-label="Figures"'):
            for figure in FIGURES:
                with (
                    ui.element("div")
                    .classes(f"tile tile-{figure.name.replace('.', '')}")
                    .props(f'role=group aria-label="{figure.label}" title="{figure.about}"')
                ):
                    ui.label(figure.label).classes("tile-label")
                    with ui.element("div").classes("tile-value"):
                        value = ui.label(NONE).props(f"data-testid=value-{figure.name}")
                        if figure.unit:
                            ui.label(figure.unit).classes("unit")
                    note = ui.label().classes("tile-note").props(f"data-testid=note-{figure.name}")
                self._tiles.append((value, note))

    def _charts(self) -> None:
        with ui.element("section").classes("timeline").props('aria-label="Timeline"'):
            with ui.element("div").classes("timeline-head"):
                ui.label("Timeline").classes("heading")
                self._grain = ui.label().classes("hint")
                ui.toggle(
                    SPANS, value=self._span_s, on_change=lambda event: self._look_back(event.value)
                ).props(
                    "unelevated no-caps dense color=none text-color=none toggle-color=none "
                    'toggle-text-color=none aria-label="Time shown" data-testid=span'
                ).classes("span")
            self._grid = ui.element("div").classes("charts")
            with self._grid:
                for chart in CHARTS:
                    _panel(chart)
                self._empty()

    def _empty(self) -> None:
        self._hint = ui.element("div").classes("empty").props("data-testid=empty")
        with self._hint, ui.element("div").classes("empty-card"):
            ui.label("Nothing measured yet").classes("empty-title")
            self._hint_text = ui.label()

    def _choose(self, service_id: str) -> None:
        self._feed.hide(self.show)
        self._feed = self._feeds[service_id]
        self._feed.show(self.show)
        self._grid.classes(remove="has-stages")
        address = json.dumps("?service=" + quote(service_id))
        self._client.run_javascript(f"history.replaceState(null, '', {address})")
        self._redraw()

    def _look_back(self, span_s: int) -> None:
        self._span_s = span_s
        self._redraw()

    def _redraw(self) -> None:
        self._drawn = ""
        self.show()

    def show(self) -> None:
        """Bring the browser up to the feed's state."""
        service, last = self._feed.service, self._feed.latest
        self._url.set_text(f"{service.method} {service.url}")
        self._url.props["title"] = f"{service.arrivals} arrivals, profile {service.profile}"
        self._state.set_text(service.state)
        self._state.props["data-state"] = service.state
        self._elapsed.set_text(clock(last.t_s) if last else NONE)
        self._controls.show(self._feed)
        self._problems.set_text("This run is not valid: " + "; ".join(service.problems))
        self._problems.set_visibility(bool(service.problems))
        window = self._feed.window or _NOTHING
        over = broken(window, self._feed.slos)
        for figure, (value, note) in zip(FIGURES, self._tiles, strict=True):
            shown = figure.show(window, last)
            bad = figure.name in over and shown.value != NONE
            value.set_text(shown.value)
            value.classes(add="bad" if bad else "", remove="" if bad else "bad")
            note.set_text(over[figure.name] if bad else shown.note)
            note.props["title"] = note.text
        self._hint.set_visibility(not self._feed.points)
        offer = f"{service.rate_per_s:g} requests a second to {service.url}"
        begins = f"Press Start to offer {offer}" if service.state == "idle" else f"Offering {offer}"
        self._hint_text.set_text(
            f"{begins}. Latency, rates, failures and send lag appear here second by second."
        )
        if window.points:
            stages = bool(window.stages_ms)
            self._grid.classes(
                add="has-stages" if stages else "", remove="" if stages else "has-stages"
            )
        each = grain(self._feed.points, self._span_s) if self._feed.points else 1
        self._grain.set_text(
            f"A point is {each} intervals: rates are means, latency is the highest"
            if each > 1
            else ""
        )
        self._draw()

    def _draw(self) -> None:
        frame = self._feed.frame(self._span_s)
        if frame != self._drawn and self._client.has_socket_connection:
            self._drawn = frame
            self._client.run_javascript(f"tailrace.draw({frame})")


def _panel(chart: Chart) -> None:
    with ui.element("article").classes(f"card panel panel-{chart.name}"):
        with ui.element("div").classes("panel-head"):
            with ui.element("h2"):
                ui.label(chart.title)
            ui.label(chart.unit).classes("unit")
            ui.label(chart.about).classes("hint")
        ui.echart(options(chart), renderer="svg").classes("chart").props(
            f'data-chart={chart.name} role=img aria-label="{chart.title} over time, {chart.unit}"'
        )


def _footer() -> None:
    with ui.element("footer"):
        ui.label(
            "Latency is counted from the instant a request was meant to leave, so a slow service "
            "cannot hide behind late requests. Percentiles are of the window; the charts are of "
            "single intervals, where few responses make p99.9 the slowest one."
        )
        ui.link("REST interface", "/docs")
