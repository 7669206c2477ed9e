"""The timeline: the charts of one service or of one or two runs, drawn in the browser.

The server sends the browser only what is new, one interval at a time; what was before, the browser
fetches once. Everything else (grouping, charts, pause, zoom, export) is in view/static/timeline/.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import nicegui.elements.echart  # noqa: F401  registers the bundle that the charts are drawn with
from nicegui import Client
from nicegui.element import Element

from tailrace.dashboard.feed import KEPT_INTERVALS
from tailrace.load.judge.slo import Slo
from tailrace.view.charts import SERVICE_CHARTS, Clock, configure, tell_slos
from tailrace.view.static_files import MODULES


@dataclass(frozen=True, slots=True)
class Source:
    """Where the browser finds the intervals of one line of charts.

    `url` answers with a JSON array of Points, or with an object that has one as `points`.
    """

    label: str
    url: str
    slos: Sequence[Slo] = ()


class _Charts(
    Element,
    component="static/timeline.js",
    esm={name: str(folder) for name, folder in MODULES.items()},
):
    """The element that the browser builds all of the timeline in."""


class Timeline:
    """Charts in the current slot of `client`'s page, empty until `open`.

    `clock` is what the time axis says: the time of day, or the time since a run's start.
    """

    def __init__(self, client: Client, clock: Clock = "wall") -> None:
        self._client = client
        self._element = _Charts()
        self._element.props["config"] = configure(
            clock, SERVICE_CHARTS, kept=KEPT_INTERVALS if clock == "wall" else None
        )
        self._element.props["hint"] = ""
        self._element.props["sources"] = "[]"

    def open(self, sources: Sequence[Source]) -> None:
        """Show these: a live service, or one run, or two runs laid over each other."""
        # As text, which the browser can tell to be the same when another property changes.
        self._element.props["sources"] = json.dumps([_told(source) for source in sources])
        self._element.update()

    def say(self, hint: str) -> None:
        """What stands in place of the charts as long as there is nothing to show."""
        if hint != self._element.props["hint"]:
            self._element.props["hint"] = hint
            self._element.update()

    def add(self, point_json: str) -> None:
        """Append an interval, a Point as JSON, to the first source."""
        self._client.run_javascript(f"runMethod({self._element.id},'add',[{point_json}])")


def _told(source: Source) -> dict[str, Any]:
    return {"label": source.label, "url": source.url, "slos": tell_slos(source.slos)}
