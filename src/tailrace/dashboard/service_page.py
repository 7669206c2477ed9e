"""The page of one service, in one browser: controls, figures, verdict, timeline."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import nicegui.elements.echart  # noqa: F401  registers the bundle that the charts are drawn with
from nicegui import Client, ui
from nicegui.element import Element

from tailrace.control.interface import LoadControl, ServiceInfo
from tailrace.control.window import Window, summarize
from tailrace.dashboard.controls import Controls
from tailrace.dashboard.feed import KEPT_INTERVALS, Feed, Feeds
from tailrace.dashboard.figures import Tiles
from tailrace.dashboard.frame import set_prop
from tailrace.dashboard.search_card import SearchCard
from tailrace.load.judge.answers import slo_answers, verdict_word
from tailrace.load.judge.slo import Slo, parse_slo
from tailrace.load.measure.point import Point
from tailrace.units import NONE, format_clock
from tailrace.view.charts import LIVE, configure, tell_slos
from tailrace.view.markup import MODULES, Markup, h, join
from tailrace.view.parts import answers_list, failures_table, nodes_table

_NOTHING = summarize(())


def service_page(control: LoadControl, feeds: Feeds, feed: Feed, client: Client) -> None:
    """Build the page of `feed`'s service in the current slot, and keep it up to date."""
    page = _Page(control, feeds, feed, client)
    feed.views.add(page.show)
    client.on_delete(lambda: feed.views.discard(page.show))
    page.show()


class _Page:
    def __init__(self, control: LoadControl, feeds: Feeds, feed: Feed, client: Client) -> None:
        self._feed = feed
        self._sent: Point | None = feed.latest
        self._head = _Head(feeds, feed.service, client)
        self._gone = ui.label("This service was removed.").classes("problems").props("role=alert")
        self._controls = Controls(control, feed, client)
        self._search = SearchCard()
        self._tiles = Tiles()
        self._verdict = ui.html(tag="section", sanitize=False).classes("card verdict")
        self._verdict.props("aria-label=Verdict")
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
        self._search.show(feed.search)
        self._tiles.show(window)
        self._show_verdict(window)
        reasons = window.reasons
        self._failures.show(failures_table(reasons, feed.examples) if reasons else None)
        nodes = feed.latest.nodes if feed.latest is not None else {}
        self._fleet.show(nodes_table(nodes) if nodes else None)
        self._timeline.say(_offer(feed.service))
        if self._slos != feed.service.slo:
            self._open()
        if feed.latest is not None and feed.latest is not self._sent:
            self._timeline.add(feed.latest_json)
        self._sent = feed.latest

    def _show_verdict(self, window: Window) -> None:
        """VALID or INVALID, what is decided of each SLO, MLPerf's answer, and every reason."""
        service = self._feed.service
        verdict = service.verdict
        if verdict is None:
            kind, word = "none", "No verdict yet"
            reasons = ["A run is judged while it goes on: VALID, or INVALID with every reason."]
        else:
            kind = "valid" if verdict.valid else "invalid"
            ended = service.state in ("idle", "removed")
            word = verdict_word(verdict) + ("" if ended else " so far")
            reasons = list(dict.fromkeys([*service.problems, *verdict.reasons]))
        set_prop(self._verdict, "data-verdict", kind)
        slos = slo_answers(window.slo, service.decisions) if service.decisions else ()
        items = h("ul", [h("li", reason) for reason in reasons])
        self._verdict.set_content(
            h("div", word, class_="verdict-word", data_testid="verdict")
            + h("div", items, class_="reasons", data_testid="reasons")
            + join(answers_list(slos, service.mlperf))
        )

    def _open(self) -> None:
        service = self._feed.service
        self._slos = service.slo
        url = f"/services/{quote(service.id)}/points"
        self._timeline.open(service.name, url, [parse_slo(text) for text in service.slo])


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

        feeds.views.add(self._offer)
        client.on_delete(lambda: feeds.views.discard(self._offer))
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
        set_prop(self._url, "title", title)
        self._state.set_text(service.state)
        set_prop(self._state, "data-state", service.state)
        self._elapsed.set_text(format_clock(last.t_s) if last else NONE)


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


class _Charts(
    Element,
    component="static/timeline.js",
    esm={name: str(folder) for name, folder in MODULES.items()},
):
    """The element that the browser builds all of the timeline in."""


class Timeline:
    """Charts in the current slot of `client`'s page, empty until `open`; `config` is made by
    `configure`.

    The browser is sent only what is new, one interval at a time; what was before, it fetches once.
    Everything else (grouping, charts, pause, zoom, export) is in view/static/timeline/.
    """

    def __init__(self, client: Client, config: Mapping[str, Any]) -> None:
        self._client = client
        self._element = _Charts()
        self._element.props["config"] = config
        self._element.props["hint"] = ""
        self._element.props["sources"] = "[]"

    def open(self, label: str, url: str, slos: Sequence[Slo]) -> None:
        """Show the intervals that `url` answers with, a JSON array of Points."""
        # As text, which the browser can tell to be the same when another property changes.
        self._element.props["sources"] = json.dumps(
            [{"label": label, "url": url, "slos": tell_slos(slos)}]
        )

    def say(self, hint: str) -> None:
        """What stands in place of the charts as long as there is nothing to show."""
        set_prop(self._element, "hint", hint)

    def add(self, point_json: str) -> None:
        """Append an interval, a Point as JSON."""
        self._client.run_javascript(f"runMethod({self._element.id},'add',[{point_json}])")


def _offer(service: ServiceInfo) -> str:
    offer = f"{service.rate_per_s:g} requests a second to {service.url}"
    begins = f"Press Start to offer {offer}" if service.state == "idle" else f"Offering {offer}"
    return f"{begins}. Latency, rates, failures and send lag appear here second by second."
