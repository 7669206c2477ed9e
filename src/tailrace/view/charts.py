"""Which charts there are, and what those that draw them (static/timeline/) are told."""

from collections.abc import Sequence
from typing import Any, Literal

from tailrace.load.judge.slo import Slo
from tailrace.load.measure.histogram import BINS_PER_DECADE

LIVE = ("latency", "heatmap", "rates", "failures", "in-flight", "send-lag", "stages", "server")
"""Names of the charts on the page of a service."""
RUN = ("latency", "heatmap", "rates", "in-flight", "failures", "server", "stages")
"""Of a run, and those below of the generator's own health."""
RUN_HEALTH = ("send-lag", "load-cpu", "tick-lag", "connections")
COMPARED = (
    "runs-p99",
    "runs-p50",
    "runs-p99.9",
    "runs-qps",
    "runs-in-flight",
    "runs-failures",
    "runs-server",
    "runs-heatmap",
)
"""Of several runs."""
COMPARED_HEALTH = ("runs-send-lag", "runs-load-cpu")

COLOURS = 10
"""So many has the palette of stages, and that of kinds of failures, in static/page.css. Which names
there are, and their order, is said by the data: the first that is met has the first colour.
"""

Clock = Literal["wall", "elapsed"]


def configure(clock: Clock, charts: Sequence[str], **more: Any) -> dict[str, Any]:
    """The configuration of a Timeline in the browser: `charts` by name, in this order, and what a
    time is, that of the day or that since a run's start. `more` is as static/timeline/index.js
    says.
    """
    return {
        "clock": clock,
        "charts": charts,
        "binsPerDecade": BINS_PER_DECADE,
        "colours": COLOURS,
        **more,
    }


def tell_slos(slos: Sequence[Slo]) -> list[dict[str, Any]]:
    """Bounds as the charts draw them."""
    return [{"expression": slo.expression, "bound_ms": slo.bound_s * 1e3} for slo in slos]
