"""The timeline: the charts of one service, drawn in the browser.

The server sends the browser only what is new, one interval at a time; what was before, the browser
fetches once. Everything else (grouping, charts, pause, zoom, export) is in view/static/timeline/.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import nicegui.elements.echart  # noqa: F401  registers the bundle that the charts are drawn with
from nicegui import Client
from nicegui.element import Element

from tailrace.load.judge.slo import Slo
from tailrace.view.charts import tell_slos
from tailrace.view.markup import MODULES


class _Charts(
    Element,
    component="static/timeline.js",
    esm={name: str(folder) for name, folder in MODULES.items()},
):
    """The element that the browser builds all of the timeline in."""


class Timeline:
    """Charts in the current slot of `client`'s page, empty until `open`; `config` is made by
    `configure`.
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
        self._element.update()

    def say(self, hint: str) -> None:
        """What stands in place of the charts as long as there is nothing to show."""
        if hint != self._element.props["hint"]:
            self._element.props["hint"] = hint
            self._element.update()

    def add(self, point_json: str) -> None:
        """Append an interval, a Point as JSON."""
        self._client.run_javascript(f"runMethod({self._element.id},'add',[{point_json}])")
