"""The page of one service, in one browser: controls, figures, verdict, timeline."""

from urllib.parse import quote

from nicegui import Client, ui

from tailrace.control.interface import LoadControl, ServiceInfo, Window
from tailrace.control.window import summarize
from tailrace.dashboard.controls import Controls
from tailrace.dashboard.feed import KEPT_INTERVALS, Feed, Feeds
from tailrace.dashboard.figures import FIGURES, broken, spans
from tailrace.dashboard.timeline import Timeline
from tailrace.load.measure.point import Point
from tailrace.plain import as_html
from tailrace.units import NONE, format_clock
from tailrace.view.charts import LIVE, configure
from tailrace.view.markup import Markup
from tailrace.view.parts import failures_table, nodes_table

_NOTHING = summarize(())


def service_page(control: LoadControl, feeds: Feeds, feed: Feed, client: Client) -> None:
    """Build the page of `feed`'s service in the current slot, and keep it up to date."""
    page = _Page(control, feeds, feed, client)
    feed.show(page.show)
    client.on_delete(lambda: feed.hide(page.show))
    page.show()


class _Page:
    def __init__(self, control: LoadControl, feeds: Feeds, feed: Feed, client: Client) -> None:
        self._feed = feed
        self._sent: Point | None = feed.latest
        self._head = _Head(feeds, feed.service, client)
        self._gone = ui.label("This service was removed.").classes("problems").props("role=alert")
        self._controls = Controls(control, feed, client)
        self._tiles = _Tiles()
        self._verdict = _VerdictCard()
        self._failures = TableCard("failures", "Failures")
        self._fleet = TableCard("fleet", "Fleet", "in the last interval")
        self._timeline = Timeline(client, configure("wall", LIVE, kept=KEPT_INTERVALS))
        self._open()

    def show(self) -> None:
        """Bring the browser up to the feed's state."""
        feed = self._feed
        window = feed.window or _NOTHING
        self._head.show(feed.service, feed.latest)
        self._gone.set_visibility(feed.service.state == "removed")
        self._controls.show()
        self._tiles.show(window, feed)
        self._verdict.show(feed.service)
        reasons = window.reasons
        self._failures.show(failures_table(reasons, feed.examples) if reasons else None)
        nodes = feed.latest.nodes if feed.latest is not None else {}
        self._fleet.show(nodes_table(nodes) if nodes else None)
        self._timeline.say(_offer(feed.service))
        if self._slos != feed.slos:
            self._open()
        if feed.latest is not None and feed.latest is not self._sent:
            self._timeline.add(feed.latest_json)
        self._sent = feed.latest

    def _open(self) -> None:
        service = self._feed.service
        self._slos = self._feed.slos
        url = f"/services/{quote(service.id)}/points"
        self._timeline.open(service.name, url, self._slos)


class _Head:
    """Which service this is, and in what state."""

    def __init__(self, feeds: Feeds, service: ServiceInfo, client: Client) -> None:
        self._feeds = feeds
        with ui.element("div").classes("service-head"):
            self._title = ui.element("h1")
            with self._title:
                self._name = ui.label().props("data-testid=name")
            self._choice = (
                ui.select(
                    {service.id: service.name},
                    value=service.id,
                    on_change=lambda event: ui.navigate.to(f"/services/{quote(event.value)}"),
                )
                .props("outlined dense options-dense data-testid=service")
                .props('aria-label="Go to a service"')
                .classes("service-select")
            )
            self._url = ui.label().classes("url").props("data-testid=url")
            self._state = (
                ui.label()
                .classes("state")
                .props('role=status aria-live=polite data-testid=state aria-label="State"')
            )
            self._elapsed = ui.label().classes("elapsed").props("title=Elapsed data-testid=elapsed")

        feeds.show_list(self._offer)
        client.on_delete(lambda: feeds.hide_list(self._offer))
        self._offer()

    def _offer(self) -> None:
        """Offer the way to the other services, in place of the name if there are any."""
        names = {feed.service.id: feed.service.name for feed in self._feeds.all()}
        several = len(names) > 1
        self._choice.set_options({self._choice.value: self._name.text, **names})
        self._choice.set_visibility(several)
        self._title.classes(add="unseen" if several else "", remove="" if several else "unseen")

    def show(self, service: ServiceInfo, last: Point | None) -> None:
        self._name.set_text(service.name)
        self._url.set_text(f"{service.method} {service.url}")
        title = f"{service.arrivals} arrivals, profile {service.profile}"
        if self._url.props.get("title") != title:
            self._url.props["title"] = title
        self._state.set_text(service.state)
        if self._state.props.get("data-state") != service.state:
            self._state.props["data-state"] = service.state
        self._elapsed.set_text(format_clock(last.t_s) if last else NONE)


class _Tiles:
    """The figures, one tile each."""

    def __init__(self) -> None:
        self._labels: list[tuple[ui.label, ui.label, ui.label]] = []
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
                        unit = ui.label(figure.unit).classes("unit")
                    note = ui.label().classes("tile-note").props(f"data-testid=note-{figure.name}")
                self._labels.append((value, unit, note))
            self._spans = ui.label().classes("tiles-note").props("data-testid=spans")

    def show(self, window: Window, feed: Feed) -> None:
        over = broken(window)
        for figure, (value, unit, note) in zip(FIGURES, self._labels, strict=True):
            shown = figure.show(window, feed.latest)
            unit.set_text(figure.unit or shown.unit)
            bad = figure.name in over and window.intervals > 0
            value.set_text(shown.value)
            value.classes(add="bad" if bad else "", remove="" if bad else "bad")
            note.set_text(over[figure.name] if bad else shown.note)
        self._spans.set_text(spans(window))


class _VerdictCard:
    """VALID or INVALID, every reason, and what is missing."""

    def __init__(self) -> None:
        self._card = ui.element("section").classes("card verdict").props("aria-label=Verdict")
        with self._card:
            self._word = ui.label().classes("verdict-word").props("data-testid=verdict")
            self._reasons = ui.html(sanitize=False).classes("reasons").props("data-testid=reasons")

    def show(self, service: ServiceInfo) -> None:
        verdict = service.verdict
        if verdict is None:
            word, kind = "No verdict yet", "none"
            reasons = ["A run is judged while it goes on: VALID, or INVALID with every reason."]
        else:
            over = service.state in ("idle", "removed")
            word = ("VALID" if verdict.valid else "INVALID") + ("" if over else " so far")
            kind = "valid" if verdict.valid else "invalid"
            reasons = list(dict.fromkeys([*service.problems, *verdict.reasons, *service.missing]))
        self._word.set_text(word)
        if self._card.props.get("data-verdict") != kind:
            self._card.props["data-verdict"] = kind
        items = "".join(f"<li>{as_html(reason)}</li>" for reason in reasons)
        self._reasons.set_content(f"<ul>{items}</ul>")


class TableCard:
    """A card with a table, not there without anything in it."""

    def __init__(self, name: str, title: str, about: str = "") -> None:
        self._card = ui.element("section").classes(f"card {name}").props(f"aria-labelledby={name}")
        with self._card:
            with ui.element("h2").props(f"id={name}"):
                ui.label(title)
            ui.label(about).classes("hint")
            self._table = ui.html(sanitize=False).classes("scroll").props(f"data-testid={name}")
            self._table.props(f"tabindex=0 role=region aria-labelledby={name}")

    def show(self, table: Markup | None) -> None:
        """Show `table`, or no card."""
        self._card.set_visibility(table is not None)
        self._table.set_content(table or "")


def _offer(service: ServiceInfo) -> str:
    offer = f"{service.rate_per_s:g} requests a second to {service.url}"
    begins = f"Press Start to offer {offer}" if service.state == "idle" else f"Offering {offer}"
    return f"{begins}. Latency, rates, failures and send lag appear here second by second."
